//! What accounts may do in spaces, as the chat workers say, kept for a short while and corrected by the
//! live feed.
//!
//! An answer counts only while it is based on the newest change of space and membership that was seen here,
//! whichever of the two came first. So a load that crosses a change is of no use, and nothing needs to be
//! locked.

use std::collections::hash_map::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use moka::notification::RemovalCause;
use moka::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use veza_events::{AccountId, Permission, Permissions, RoomId, SpaceId, Subject};
use veza_platform::contract::chat::Access;
use veza_platform::contract::{Problem, ProblemKind};

/// How long an answer is used without asking again.
const FRESH: Duration = Duration::from_secs(30);
/// How long an answer may stand in while nobody can be asked.
const STALE: Duration = Duration::from_mins(1);
/// Longest wait for a worker while there is an answer that can stand in.
const PATIENCE: Duration = Duration::from_millis(250);
/// Answers kept.
const ENTRIES: u64 = 100_000;
/// Spaces and memberships whose newest change is kept; each as long as answers older than it may be.
const CHANGES: u64 = 200_000;
/// Questions under way at once; more wait. A change in a large space makes many at once.
const QUESTIONS: usize = 128;
/// Times that an answer from before a known change is asked for again: the worker hears of it a moment later.
const TRIES: u32 = 6;
/// Pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(5);

type Ask = Box<dyn Fn(AccountId, SpaceId) -> BoxFuture<'static, Result<Access, Problem>> + Send + Sync>;

/// What accounts may do, bounded in number and age.
pub struct AccessCache {
    ask: Ask,
    questions: Semaphore,
    entries: Cache<(AccountId, SpaceId), Entry>,
    spaces: Cache<SpaceId, u64>,
    members: Cache<(SpaceId, AccountId), u64>,
    /// Counts the times that everything known became doubtful.
    epoch: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Entry {
    access: Arc<Access>,
    /// When it was asked for.
    asked: Instant,
    /// The epoch in which it was asked for.
    epoch: u64,
}

impl AccessCache {
    /// A cache that asks by `ask`.
    pub fn new(
        ask: impl Fn(AccountId, SpaceId) -> BoxFuture<'static, Result<Access, Problem>> + Send + Sync + 'static,
    ) -> Self {
        let epoch = Arc::new(AtomicU64::new(0));
        Self {
            ask: Box::new(ask),
            questions: Semaphore::new(QUESTIONS),
            entries: Cache::builder().max_capacity(ENTRIES).time_to_live(STALE).build(),
            spaces: seen(&epoch),
            members: seen(&epoch),
            epoch,
        }
    }

    /// What `account` may do in `space`. While no worker answers, an earlier answer of at most a minute
    /// stands in, unless it is known to be outdated.
    ///
    /// # Errors
    /// The worker's refusal, or `platform.unavailable`.
    pub async fn of(&self, account: AccountId, space: SpaceId) -> Result<Arc<Access>, Problem> {
        let known = self
            .entries
            .get(&(account, space))
            .filter(|entry| self.is_current(entry, account, space));
        if let Some(entry) = &known
            && entry.epoch == self.epoch.load(Ordering::Acquire)
            && entry.asked.elapsed() < FRESH
        {
            return Ok(Arc::clone(&entry.access));
        }
        let Some(entry) = known.filter(|entry| entry.asked.elapsed() < STALE) else {
            return self.load(account, space).await;
        };
        match tokio::time::timeout(PATIENCE, self.load(account, space)).await {
            Ok(Err(problem)) if problem.kind != ProblemKind::Unavailable => Err(problem),
            Ok(Ok(access)) => Ok(access),
            // Unless a change has come in while it was asked for.
            _ if self.is_current(&entry, account, space) => Ok(entry.access),
            _ => self.load(account, space).await,
        }
    }

    /// What `account` may do in `space`, for those who are in it.
    ///
    /// # Errors
    /// `space.not_found` for who is not; else as [`Self::of`].
    pub async fn joined(&self, account: AccountId, space: SpaceId) -> Result<Arc<Access>, Problem> {
        let access = self.of(account, space).await?;
        if access.joined {
            Ok(access)
        } else {
            Err(no_such_space())
        }
    }

    /// The rooms of `space` in which `account` may manage messages, for those who may in one.
    ///
    /// # Errors
    /// `space.not_allowed` for who may in none; else as [`Self::joined`].
    pub async fn managed(&self, account: AccountId, space: SpaceId) -> Result<Vec<RoomId>, Problem> {
        let access = self.joined(account, space).await?;
        let rooms = access.rooms.iter();
        let managed = rooms.filter(|(_, may)| may.has(Permission::ManageMessages));
        let managed: Vec<_> = managed.map(|(room, _)| *room).collect();
        if managed.is_empty() {
            let detail = "this needs the permission `manage_messages` in a room of the space";
            return Err(Problem::new(ProblemKind::Forbidden, "space.not_allowed", detail));
        }
        Ok(managed)
    }

    /// What `account` may do in `room`, for those who may at least see it.
    ///
    /// # Errors
    /// `room.not_found` for who may not; else as [`Self::of`].
    pub async fn in_room(
        &self,
        account: AccountId,
        space: SpaceId,
        room: RoomId,
    ) -> Result<Permissions, Problem> {
        let access = self.of(account, space).await?;
        let found = access.rooms.iter().find(|(id, _)| *id == room);
        let visible = found
            .map(|(_, permissions)| *permissions)
            .filter(|all| all.has(Permission::View));
        visible.filter(|_| access.joined).ok_or_else(no_such_room)
    }

    /// Up to which sequence `account` sees nothing of `room`, for those who may at least see it.
    ///
    /// # Errors
    /// As [`Self::in_room`].
    pub async fn hidden_in_room(
        &self,
        account: AccountId,
        space: SpaceId,
        room: RoomId,
    ) -> Result<u64, Problem> {
        self.in_room(account, space, room).await?;
        Ok(self.of(account, space).await?.hidden_up_to(room))
    }

    /// Takes note of a stored event.
    pub fn event(&self, subject: &Subject, seq: u64) {
        match subject {
            Subject::Space(_, space) => {
                raise(&self.spaces, *space, seq);
            }
            Subject::Member(_, space, account) => {
                raise(&self.members, (*space, *account), seq);
            }
            Subject::Account(_)
            | Subject::Handle(_)
            | Subject::Room(..)
            | Subject::Report(..)
            | Subject::Schedule(..)
            | Subject::Call(..)
            | Subject::Held(..) => {}
        }
    }

    /// Takes note that events may have been missed.
    pub fn lagged(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    async fn load(&self, account: AccountId, space: SpaceId) -> Result<Arc<Access>, Problem> {
        let _turn = self
            .questions
            .acquire()
            .await
            .expect("the semaphore is never closed");
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(PAUSE * (1 << (attempt - 1))).await;
            }
            let (asked, epoch) = (Instant::now(), self.epoch.load(Ordering::Acquire));
            let access = Arc::new((self.ask)(account, space).await?);
            let entry = Entry { access, asked, epoch };
            if self.is_current(&entry, account, space) {
                let access = Arc::clone(&entry.access);
                self.entries.insert((account, space), entry);
                return Ok(access);
            }
        }
        Err(Problem::unavailable(
            "the worker has not heard of the newest change yet",
            100,
        ))
    }

    /// Whether no newer change than those it is based on has been seen.
    fn is_current(&self, entry: &Entry, account: AccountId, space: SpaceId) -> bool {
        let space_seq = self.spaces.get(&space).unwrap_or(0);
        let member_seq = self.members.get(&(space, account)).unwrap_or(0);
        entry.access.space_seq >= space_seq && entry.access.member_seq >= member_seq
    }
}

/// The newest sequence seen of each. When one is forgotten before its time, all answers become doubtful.
fn seen<K: std::hash::Hash + Eq + Send + Sync + 'static>(
    epoch: &Arc<AtomicU64>,
) -> Cache<K, u64, RandomState> {
    let epoch = Arc::clone(epoch);
    Cache::builder()
        .max_capacity(CHANGES)
        .time_to_live(2 * STALE)
        .eviction_listener(move |_, _, cause| {
            if cause == RemovalCause::Size {
                epoch.fetch_add(1, Ordering::AcqRel);
            }
        })
        .build()
}

fn raise<K: std::hash::Hash + Eq + Send + Sync + 'static>(cache: &Cache<K, u64>, key: K, seq: u64) {
    if cache.get(&key).is_none_or(|known| known < seq) {
        cache.insert(key, seq);
    }
}

/// Refuses who does not have `permission` among what is `allowed`. What is read alone is checked here; what is
/// written, by the workers.
pub(crate) fn requires(allowed: Permissions, permission: Permission) -> Result<(), Problem> {
    if allowed.has(permission) {
        return Ok(());
    }
    let detail = "your roles do not allow this here";
    Err(Problem::new(ProblemKind::Forbidden, "space.not_allowed", detail))
}

/// The one answer for rooms that are not there and rooms that the caller may not know of.
pub(crate) fn no_such_room() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "room.not_found",
        "there is no such room, or not for you",
    )
}

/// The one answer for spaces that are not there and spaces that the caller is not in.
pub(crate) fn no_such_space() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "space.not_found",
        "there is no such space, or not for you",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use uuid::Uuid;

    use super::*;

    fn account() -> AccountId {
        AccountId::new(Uuid::from_u128(1))
    }

    fn space() -> SpaceId {
        SpaceId::new(Uuid::from_u128(2))
    }

    fn member() -> Subject {
        Subject::Member(0, space(), account())
    }

    fn access(space_seq: u64, member_seq: u64) -> Access {
        Access {
            joined: true,
            permissions: Permissions::all(),
            rooms: Vec::new(),
            categories: Vec::new(),
            hidden: Vec::new(),
            space_seq,
            member_seq,
        }
    }

    /// A worker that gives these answers, one after the other.
    struct Worker(Arc<Mutex<Vec<Result<Access, Problem>>>>);

    impl Worker {
        fn new(answers: impl IntoIterator<Item = Result<Access, Problem>>) -> (Self, AccessCache) {
            let mut answers: Vec<_> = answers.into_iter().collect();
            answers.reverse();
            let answers = Arc::new(Mutex::new(answers));
            let asked = Arc::clone(&answers);
            let cache = AccessCache::new(move |_, _| {
                let answer = asked.lock().unwrap().pop().expect("nobody asks more often");
                Box::pin(async move { answer })
            });
            (Self(answers), cache)
        }

        fn left(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    async fn seen_by(cache: &AccessCache) -> (u64, u64) {
        let access = cache.of(account(), space()).await.unwrap();
        (access.space_seq, access.member_seq)
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_used_again_for_half_a_minute() {
        let (worker, cache) = Worker::new([Ok(access(1, 1)), Ok(access(1, 1))]);
        for _ in 0..3 {
            seen_by(&cache).await;
        }
        assert_eq!(worker.left(), 1);
        tokio::time::advance(FRESH).await;
        seen_by(&cache).await;
        assert_eq!(worker.left(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_makes_older_answers_useless_also_those_still_on_their_way() {
        let (_, cache) = Worker::new([
            Ok(access(5, 5)),
            Ok(access(5, 5)),
            Ok(access(5, 8)),
            Ok(access(9, 8)),
        ]);
        assert_eq!(seen_by(&cache).await, (5, 5));
        cache.event(&member(), 8);
        assert_eq!(
            seen_by(&cache).await,
            (5, 8),
            "the answer from before the change is asked for again"
        );
        cache.event(&Subject::Space(0, space()), 9);
        assert_eq!(seen_by(&cache).await, (9, 8));
        cache.event(&member(), 7);
        assert_eq!(seen_by(&cache).await, (9, 8), "an old event changes nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_never_hears_of_the_change_is_not_believed() {
        let (_, cache) = Worker::new((0..TRIES).map(|_| Ok(access(1, 1))));
        cache.event(&member(), 2);
        let problem = cache.of(account(), space()).await.unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unavailable);
    }

    #[tokio::test(start_paused = true)]
    async fn while_nobody_can_be_asked_an_answer_of_a_minute_stands_in_unless_outdated() {
        let away = || Err(Problem::unavailable("away", 1_000));
        let (_, cache) = Worker::new([Ok(access(5, 5)), away(), away(), away()]);
        seen_by(&cache).await;
        cache.lagged();
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(seen_by(&cache).await, (5, 5));
        cache.event(&member(), 6);
        assert!(
            cache.of(account(), space()).await.is_err(),
            "known to be outdated"
        );
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(cache.of(account(), space()).await.is_err(), "too old");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_hangs_is_not_waited_for_while_an_answer_can_stand_in() {
        let answers = Mutex::new(vec![access(5, 5)]);
        let cache = AccessCache::new(move |_, _| match answers.lock().unwrap().pop() {
            Some(answer) => Box::pin(async move { Ok(answer) }),
            None => Box::pin(std::future::pending()),
        });
        seen_by(&cache).await;
        cache.lagged();
        let begun = Instant::now();
        assert_eq!(seen_by(&cache).await, (5, 5));
        assert_eq!(begun.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_lag_everything_is_asked_for_again() {
        let (worker, cache) = Worker::new([Ok(access(5, 5)), Ok(access(5, 6))]);
        seen_by(&cache).await;
        cache.lagged();
        assert_eq!(seen_by(&cache).await, (5, 6));
        assert_eq!(worker.left(), 0);
    }

    #[tokio::test]
    async fn a_room_that_may_not_be_seen_is_not_found() {
        let (seen, hidden) = (RoomId::new(Uuid::from_u128(3)), RoomId::new(Uuid::from_u128(4)));
        let mine = Access {
            rooms: vec![(seen, Permissions::all()), (hidden, Permissions::NONE)],
            ..access(1, 1)
        };
        let (_, cache) = Worker::new([Ok(mine)]);
        assert!(cache.in_room(account(), space(), seen).await.is_ok());
        assert_eq!(
            cache.in_room(account(), space(), hidden).await.unwrap_err().code,
            "room.not_found"
        );
    }
}

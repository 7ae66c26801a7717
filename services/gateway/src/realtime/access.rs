//! Who may still read: looks up the accesses that have become uncertain.
//!
//! Watchers of an uncertain access are suspended by the feed at once; here they are let go on, or removed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::Instant;
use veza_events::{AccountId, Permissions, SpaceId};
use veza_platform::contract::chat::Access;
use veza_platform::contract::{Problem, ProblemKind};

use super::hub::Hub;
use super::room::{Granted, Need, Room, may_read};
use super::sockets::Peer;
use crate::rooms::Place;

/// Accesses that are looked up at once.
const LOOKUPS: usize = 64;
/// First and longest pause before the same access is looked up again.
const RETRY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// How often a `watch` asks again when an event outruns its answer.
const WATCH_TRIES: usize = 8;

/// Accesses to look up. One entry for each account with a socket and each of its spaces at most.
#[derive(Debug, Default)]
pub(super) struct Rechecks {
    state: Mutex<State>,
    added: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<(SpaceId, AccountId)>,
    queued: HashSet<(SpaceId, AccountId)>,
}

impl Rechecks {
    /// Asks for a look-up.
    pub(super) fn push(&self, space: SpaceId, account: AccountId) {
        let mut state = self.lock();
        if state.queued.insert((space, account)) {
            state.queue.push_back((space, account));
            drop(state);
            self.added.notify_one();
        }
    }

    async fn pop(&self) -> (SpaceId, AccountId) {
        loop {
            {
                let mut state = self.lock();
                if let Some(next) = state.queue.pop_front() {
                    state.queued.remove(&next);
                    return next;
                }
            }
            self.added.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last changes that bear on accesses, so that a watcher that begins right after one is not admitted by an
/// answer from before it. Kept for one to two turns.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The present turn and the one before. Without an account: a change for the whole space.
    turns: Mutex<[Turn; 2]>,
}

type Turn = HashMap<(SpaceId, Option<AccountId>), u64>;

impl Changes {
    /// An event of a space, or of one membership, changed what somebody may do.
    pub(super) fn note(&self, space: SpaceId, account: Option<AccountId>, seq: u64) {
        self.lock()[0].insert((space, account), seq);
    }

    /// What an answer about this account must have seen at least.
    pub(super) fn need(&self, space: SpaceId, account: AccountId) -> Need {
        let state = self.lock();
        let last = |key| state.iter().find_map(|turn| turn.get(&key)).copied().unwrap_or(0);
        Need {
            space: last((space, None)),
            member: last((space, Some(account))),
        }
    }

    /// Forgets what is older than a turn. A turn is longer than any cache takes to follow.
    pub(super) fn turn(&self) {
        let mut state = self.lock();
        state.swap(0, 1);
        state[0].clear();
    }

    fn lock(&self) -> MutexGuard<'_, [Turn; 2]> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks up what is asked for, for as long as the process lives.
pub(super) async fn run(hub: Arc<Hub>) {
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some(()) = under_way.next() => {}
            (space, account) = hub.rechecks.pop(), if under_way.len() < LOOKUPS => {
                under_way.push(settle(&hub, space, account));
            }
        }
    }
}

/// Looks an access up until the answer covers what made it uncertain. While no worker answers, the watchers
/// stay suspended.
async fn settle(hub: &Hub, space: SpaceId, account: AccountId) {
    let mut pause = RETRY.0;
    loop {
        let rooms = hub.sockets.rooms_of(account, space);
        if rooms.is_empty() {
            return;
        }
        if let Ok(access) = look_up(hub, space, account).await
            && apply(hub, account, &rooms, &access)
        {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    }
}

impl Hub {
    /// An account is out of a space: it watches nothing there any more.
    pub(super) fn deny(&self, space: SpaceId, account: AccountId) {
        apply(self, account, &self.sockets.rooms_of(account, space), &nothing());
    }

    /// Lets a new watcher begin if its account may read the room. It watches no more otherwise.
    ///
    /// # Errors
    /// `room.not_found`; `platform.unavailable` when no worker tells.
    pub(super) async fn admit(&self, room: &Room, peer: &Peer) -> Result<(), Problem> {
        let account = peer.identity.account;
        let need = self.changes.need(room.space, account);
        if need != Need::default() {
            room.suspend(Some(account), need);
        }
        let mut pause = RETRY.0;
        for _ in 0..WATCH_TRIES {
            let access = look_up(self, room.space, account).await?;
            match room.grant(account, &access, Instant::now()) {
                Granted::Yes => return Ok(()),
                Granted::No(mut sockets) => {
                    sockets.retain(|socket| *socket != peer.key);
                    self.sockets.lost(account, &sockets, room.id);
                    return Err(not_found());
                }
                Granted::Stale => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(RETRY.1);
        }
        Err(Problem::unavailable(
            "what you may do is changing just now",
            1_000,
        ))
    }

    /// Whether an account may read a room, as far as is known now: before a room is opened for it.
    ///
    /// # Errors
    /// As [`Self::admit`].
    pub(super) async fn may_read(&self, place: Place, account: AccountId) -> Result<(), Problem> {
        let access = look_up(self, place.space, account).await?;
        if may_read(&access, place.gate) {
            Ok(())
        } else {
            Err(not_found())
        }
    }
}

fn not_found() -> Problem {
    let detail = "there is no such room, or not for you";
    Problem::new(ProblemKind::NotFound, "room.not_found", detail)
}

/// An access; a space that is not there is one without any rights.
async fn look_up(hub: &Hub, space: SpaceId, account: AccountId) -> Result<Arc<Access>, Problem> {
    match hub.services.access(space, account).await {
        Err(problem) if matches!(problem.kind, ProblemKind::NotFound | ProblemKind::Forbidden) => {
            Ok(Arc::new(nothing()))
        }
        answer => answer,
    }
}

/// True when every room is settled.
fn apply(hub: &Hub, account: AccountId, rooms: &[Arc<Room>], access: &Access) -> bool {
    let now = Instant::now();
    let mut settled = true;
    for room in rooms {
        match room.grant(account, access, now) {
            Granted::Yes => {}
            Granted::No(sockets) => hub.sockets.lost(account, &sockets, room.id),
            Granted::Stale => settled = false,
        }
    }
    settled
}

/// No rights, whatever happened.
fn nothing() -> Access {
    Access {
        joined: false,
        permissions: Permissions::NONE,
        rooms: Vec::new(),
        categories: Vec::new(),
        hidden: Vec::new(),
        space_seq: u64::MAX,
        member_seq: u64::MAX,
    }
}

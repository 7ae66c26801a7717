//! How far accounts have read. A marker only moves forward. What devices say is gathered here and written at
//! most once in a while per account; the other devices hear of what was written.
//!
//! One entry per account and not per room: the subjects of a bucket live in the server's memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use veza_events::{AccountId, RoomId};
use veza_platform::ambient;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::event_log::EventLog;
use veza_platform::kv::{Kv, KvError};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::notices::Notices;
use veza_readmodel::notice::{AccountNotice, NoticeData};

/// Bucket of the markers.
const BUCKET: &str = "READ_MARKERS";
/// Rooms of which one account's marker is kept; those read longest ago make room.
const MAX_ROOMS: usize = 5_000;
/// Accounts whose markers wait to be written, at most.
const MAX_ACCOUNTS: usize = 100_000;
/// How often is looked at what is due.
const TICK: Duration = Duration::from_millis(200);
/// Accounts that are written at once.
const WRITING: usize = 32;
/// Times that a write is tried against other gateways before it waits for the next turn.
const TRIES: u32 = 5;
/// Longest time that a shutdown goes on writing.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// Markers of one account, as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    rooms: BTreeMap<RoomId, u64>,
}

impl Stored {
    /// Moves markers forward. Returns those that moved.
    fn raise(&mut self, to: &BTreeMap<RoomId, u64>) -> BTreeMap<RoomId, u64> {
        let mut moved = BTreeMap::new();
        for (&room, &seq) in to {
            let marker = self.rooms.entry(room).or_default();
            if seq > *marker {
                *marker = seq;
                moved.insert(room, seq);
            }
        }
        while self.rooms.len() > MAX_ROOMS
            && let Some(oldest) = self
                .rooms
                .iter()
                .min_by_key(|(_, seq)| **seq)
                .map(|(room, _)| *room)
        {
            self.rooms.remove(&oldest);
        }
        moved
    }
}

/// The markers.
pub struct Reads {
    kv: Kv<Stored>,
    notices: Notices,
    every: Duration,
    pending: Mutex<HashMap<AccountId, Pending>>,
}

#[derive(Debug)]
struct Pending {
    rooms: BTreeMap<RoomId, u64>,
    /// Not before.
    due: Instant,
}

impl Reads {
    /// Writes at most every `every` per account.
    pub fn new(log: &EventLog, every: Duration) -> Self {
        Self {
            kv: Kv::open(log, BUCKET),
            notices: Notices::open(log),
            every,
            pending: Mutex::default(),
        }
    }

    /// Notes that an account has read a room up to `seq`, which must exist. Written soon.
    ///
    /// # Errors
    /// `platform.busy`
    pub fn mark(&self, account: AccountId, room: RoomId, seq: u64) -> Result<(), Problem> {
        let mut pending = self.lock();
        if pending.len() >= MAX_ACCOUNTS && !pending.contains_key(&account) {
            let detail = "too many read markers wait to be written";
            return Err(Problem {
                retry_after_ms: Some(1_000),
                ..Problem::new(ProblemKind::Unavailable, "platform.busy", detail)
            });
        }
        let mine = pending.entry(account).or_insert_with(|| Pending {
            rooms: BTreeMap::new(),
            due: Instant::now(),
        });
        let marker = mine.rooms.entry(room).or_default();
        *marker = seq.max(*marker);
        Ok(())
    }

    /// The markers of an account; those of this gateway also while they wait to be written.
    ///
    /// # Errors
    /// `platform.unavailable`
    pub async fn of(&self, account: AccountId) -> Result<BTreeMap<RoomId, u64>, Problem> {
        let waiting = self.lock().get(&account).map(|pending| pending.rooms.clone());
        let stored = self.kv.get_consistent(&account.to_string()).await?;
        let mut stored = stored.map(|entry| entry.value).unwrap_or_default();
        stored.raise(&waiting.unwrap_or_default());
        Ok(stored.rooms)
    }

    /// Writes what is due, until the role ends; then everything.
    pub fn start(self: &Arc<Self>, lifecycle: &Lifecycle) {
        let reads = Arc::clone(self);
        let soft = lifecycle.soft.clone();
        lifecycle.spawn("read markers", async move {
            while !soft.is_cancelled() {
                tokio::select! {
                    () = tokio::time::sleep(TICK) => {}
                    () = soft.cancelled() => {}
                }
                reads.write_due(Instant::now()).await;
            }
            let end = Instant::now() + LAST_WRITES;
            while Instant::now() < end && reads.waits() {
                reads.write_due(end + reads.every).await;
                tokio::time::sleep(TICK / 4).await;
            }
        });
        // Sockets that are still being drained may read on; once they are gone this ends with the process.
        let late = Arc::clone(self);
        lifecycle.accompany("late read markers", {
            let soft = lifecycle.soft.clone();
            async move {
                soft.cancelled().await;
                loop {
                    tokio::time::sleep(TICK / 4).await;
                    late.write_due(Instant::now() + late.every).await;
                }
            }
        });
    }

    fn waits(&self) -> bool {
        self.lock().values().any(|pending| !pending.rooms.is_empty())
    }

    async fn write_due(&self, now: Instant) {
        let due: Vec<_> = {
            let mut pending = self.lock();
            pending.retain(|_, mine| !mine.rooms.is_empty() || mine.due > now);
            let due = pending.iter_mut().filter(|(_, mine)| mine.due <= now);
            let taken = due.map(|(account, mine)| {
                mine.due = now + self.every;
                (*account, mine.rooms.clone())
            });
            taken.collect()
        };
        futures::stream::iter(due)
            .for_each_concurrent(WRITING, async |(account, rooms)| {
                match self.write(account, &rooms).await {
                    Ok(()) => self.written(account, &rooms),
                    Err(error) => tracing::debug!(error.message = %error, "read markers wait"),
                }
            })
            .await;
    }

    /// What was written waits no more, unless it has moved on meanwhile.
    fn written(&self, account: AccountId, rooms: &BTreeMap<RoomId, u64>) {
        if let Some(mine) = self.lock().get_mut(&account) {
            mine.rooms
                .retain(|room, seq| rooms.get(room).is_none_or(|written| written < seq));
        }
    }

    async fn write(&self, account: AccountId, rooms: &BTreeMap<RoomId, u64>) -> Result<(), KvError> {
        let key = account.to_string();
        let mut told = BTreeMap::new();
        for _ in 0..TRIES {
            let stored = self.kv.get_consistent(&key).await?;
            let (mut value, revision) = stored.map_or_else(
                || (Stored::default(), None),
                |entry| (entry.value, Some(entry.revision)),
            );
            let moved = value.raise(rooms);
            if moved.is_empty() {
                return Ok(());
            }
            // First, since what is written is not told again: a marker that is told too early is written soon.
            if told != moved {
                self.tell(account, moved.clone()).await?;
                told = moved;
            }
            let wrote = match revision {
                Some(revision) => self.kv.update(&key, &value, revision).await,
                None => self.kv.create(&key, &value).await,
            };
            match wrote {
                Ok(_) => return Ok(()),
                Err(KvError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Err(KvError::Conflict)
    }

    async fn tell(&self, account: AccountId, moved: BTreeMap<RoomId, u64>) -> Result<(), KvError> {
        let notice = AccountNotice {
            source: None,
            kind: "account.read".to_owned(),
            at: ambient::now().into(),
            data: NoticeData {
                read: Some(moved),
                ..NoticeData::default()
            },
        };
        self.notices.tell(account, None, &notice).await?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn room(n: u128) -> RoomId {
        Uuid::from_u128(n).into()
    }

    #[test]
    fn a_marker_only_moves_forward() {
        let mut stored = Stored::default();
        assert_eq!(stored.raise(&[(room(1), 5)].into()), [(room(1), 5)].into());
        assert_eq!(stored.raise(&[(room(1), 4)].into()), BTreeMap::new());
        assert_eq!(
            stored.raise(&[(room(1), 6), (room(2), 1)].into()),
            [(room(1), 6), (room(2), 1)].into()
        );
        assert_eq!(stored.rooms, [(room(1), 6), (room(2), 1)].into());
    }

    #[test]
    fn rooms_read_longest_ago_make_room() {
        let mut stored = Stored::default();
        let many = (1..)
            .take(MAX_ROOMS + 2)
            .map(|seq| (room(u128::from(seq) - 1), seq));
        stored.raise(&many.collect());
        assert_eq!(stored.rooms.len(), MAX_ROOMS);
        assert!(!stored.rooms.contains_key(&room(0)) && stored.rooms.contains_key(&room(2)));
    }
}

//! Who carries the calls of which room: an entry for each room, and one for each worker that is alive. A room whose
//! worker is not alive can be taken by another; the revision of its entry is the epoch, which only grows.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use veza_events::RoomId;
use veza_platform::{
    contract::{Problem, media::CallPlaced},
    event_log::EventLog,
    kv::{Kv, KvError},
};

/// How often a worker says that it is alive; its entry lives four times as long.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(500);
/// Tries to take a room while others try too.
const TRIES: usize = 5;

/// A worker that is alive.
#[derive(Debug, Serialize, Deserialize)]
struct Alive {
    /// It takes no new rooms.
    draining: bool,
}

/// The worker of a room.
#[derive(Debug, Serialize, Deserialize)]
struct Placed {
    worker: String,
}

/// The two buckets, as one worker sees them.
pub(crate) struct Placement {
    id: String,
    workers: Kv<Alive>,
    rooms: Kv<Placed>,
}

impl Placement {
    pub(crate) fn new(log: &EventLog, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            workers: Kv::open(log, "MEDIA_WORKERS"),
            rooms: Kv::open(log, "CALL_PLACEMENT"),
        }
    }

    /// Says that this worker is alive.
    pub(crate) async fn beat(&self, draining: bool) -> Result<(), KvError> {
        let id = &self.id;
        self.workers.put(id, &Alive { draining }).await.map(drop)
    }

    /// Says that it is not any more.
    pub(crate) async fn end(&self) {
        if let Err(error) = self.workers.remove(&self.id).await {
            tracing::debug!(%error, "the end of this worker could not be told; its entry will end by itself");
        }
    }

    /// Who carries the calls of a room; this worker, if nobody does.
    pub(crate) async fn find_or_take(&self, room: RoomId) -> Result<CallPlaced, Problem> {
        let key = room.to_string();
        for _ in 0..TRIES {
            let found = self.rooms.get_consistent(&key).await?;
            let mine = Placed {
                worker: self.id.clone(),
            };
            let taken = match found {
                Some(entry) if self.carries(&entry.value.worker).await? => {
                    return Ok(placed(entry.value.worker, entry.revision));
                }
                Some(entry) => self.rooms.update(&key, &mine, entry.revision).await,
                None => self.rooms.create(&key, &mine).await,
            };
            match taken {
                Ok(epoch) => return Ok(placed(mine.worker, epoch)),
                Err(KvError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KvError::Conflict.into())
    }

    /// The epoch in which this worker carries the calls of a room; `None` when it does not.
    pub(crate) async fn epoch(&self, room: RoomId) -> Result<Option<u64>, Problem> {
        let found = self.rooms.get_consistent(&room.to_string()).await?;
        let mine = found.filter(|entry| entry.value.worker == self.id);
        Ok(mine.map(|entry| entry.revision))
    }

    /// Carries the calls of a room no more.
    pub(crate) async fn release(&self, room: RoomId, epoch: u64) {
        match self.rooms.delete(&room.to_string(), epoch).await {
            // Somebody else has it already.
            Ok(()) | Err(KvError::Conflict) => {}
            Err(error) => tracing::debug!(%error, "a room could not be released; it will be taken over"),
        }
    }

    async fn carries(&self, worker: &str) -> Result<bool, KvError> {
        if worker == self.id {
            return Ok(true);
        }
        let alive = self.workers.get_consistent(worker).await?;
        Ok(alive.is_some_and(|entry| !entry.value.draining))
    }
}

fn placed(worker: String, epoch: u64) -> CallPlaced {
    CallPlaced { worker, epoch }
}

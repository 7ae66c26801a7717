//! Where rooms are. A room never moves, and every event of its timeline names its space, so the last one
//! is enough; it is asked of the log itself, for the read model may not know a new room yet.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use moka::sync::Cache;
use serde::Deserialize;
use veza_events::{RoomId, Shards, SpaceId, Subject};
use veza_platform::contract::Problem;
use veza_platform::event_log::{EventLog, ReadError};
use veza_platform::ledger;
use veza_readmodel::ReadModel;

use crate::access::no_such_room;
use crate::problems;

/// Rooms whose place is remembered.
const ROOMS: u64 = 200_000;
/// Ids that turned out to be no room and are remembered as that.
const UNKNOWN: u64 = 50_000;
/// How long: a room may just be on its way into the log.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);

/// Where a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The space it belongs to.
    pub space: SpaceId,
    /// The shard of that space.
    pub shard: u16,
    /// The room whose rights count: itself, or the one that it hangs on when it is a thread.
    pub gate: RoomId,
}

/// Finds rooms. Cheap to clone.
#[derive(Clone)]
pub struct RoomIndex {
    log: EventLog,
    read: ReadModel,
    shards: Shards,
    places: Cache<RoomId, Place>,
    unknown: Cache<RoomId, ()>,
}

/// What any event of a timeline says, whatever its type or version.
#[derive(Deserialize)]
struct InSpace {
    space: SpaceId,
    #[serde(default)]
    parent: Option<RoomId>,
}

impl RoomIndex {
    /// An index that asks the log, and the read model while the log is away.
    pub fn new(log: EventLog, read: ReadModel, shards: Shards) -> Self {
        Self {
            log,
            read,
            shards,
            places: Cache::new(ROOMS),
            unknown: Cache::builder()
                .max_capacity(UNKNOWN)
                .time_to_live(UNKNOWN_FOR)
                .build(),
        }
    }

    /// Where `room` is.
    ///
    /// # Errors
    /// `room.not_found`, or `platform.unavailable` when nobody can be asked.
    pub async fn place(&self, room: RoomId) -> Result<Place, Problem> {
        if let Some(place) = self.places.get(&room) {
            return Ok(place);
        }
        if self.unknown.contains_key(&room) {
            return Err(no_such_room());
        }
        let found = match self.in_log(room).await {
            Err(ReadError::Unavailable { .. }) => self.in_read_model(room).await?,
            answer => answer.map_err(ledger::read_problem)?,
        };
        let Some(InSpace { space, parent }) = found else {
            self.unknown.insert(room, ());
            return Err(no_such_room());
        };
        let place = Place {
            space,
            shard: self.shards.of(space),
            gate: parent.unwrap_or(room),
        };
        self.places.insert(room, place);
        Ok(place)
    }

    /// Asks all shards at once: the id alone does not tell which one it is.
    async fn in_log(&self, room: RoomId) -> Result<Option<InSpace>, ReadError> {
        let ask = |shard| async move {
            let subject = Subject::Room(shard, room).to_string();
            self.log.last(&subject).await
        };
        let mut answers: FuturesUnordered<_> = (0..self.shards.count()).map(ask).collect();
        let mut failure = None;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(None) => {}
                Ok(Some(record)) => {
                    let named = serde_json::from_slice::<InSpace>(&record.payload);
                    return Ok(Some(
                        named.map_err(|error| ReadError::Malformed(error.to_string()))?,
                    ));
                }
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }

    async fn in_read_model(&self, room: RoomId) -> Result<Option<InSpace>, Problem> {
        let found = self.read.place(room).await.map_err(problems::of_read_model)?;
        Ok(found.map(|(space, gate)| InSpace {
            space,
            parent: Some(gate).filter(|gate| *gate != room),
        }))
    }
}

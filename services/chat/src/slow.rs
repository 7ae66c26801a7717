//! Who said something last in rooms with slow mode, and when: read from the tail of the timeline, a little
//! further each time. Only rooms with slow mode are held, and only those of their authors who still wait.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::Mutex;
use veza_events::{AccountId, RoomId, Subject, Timestamp};
use veza_platform::{
    contract::Problem,
    event_log::{EventLog, Record},
    ledger::{read_envelope, read_problem},
};

/// Events of a tail that are looked at when a room was not held. A room where more is said in so short a time
/// is no slow one, and those who were first may wait a little less.
const TAIL: usize = 10_000;
/// The wire name of what counts.
const POSTED: &str = "room.message_posted.v1";

/// The last words in slow rooms.
pub(crate) struct LastWords {
    log: EventLog,
    rooms: moka::sync::Cache<RoomId, Arc<Mutex<Tail>>>,
}

#[derive(Default)]
struct Tail {
    /// The sequence up to which the timeline was read; 0 before the first time.
    seq: u64,
    /// How far back it was read, and when.
    window: Duration,
    read_at: Option<Timestamp>,
    last: HashMap<AccountId, Timestamp>,
}

impl LastWords {
    /// Holds at most about `capacity` rooms.
    pub(crate) fn new(log: EventLog, capacity: u64) -> Self {
        Self {
            log,
            rooms: moka::sync::Cache::new(capacity),
        }
    }

    /// When `author` said something last in a room, if that is within `window` of `now`.
    pub(crate) async fn of(
        &self,
        subject: &Subject,
        room: RoomId,
        author: AccountId,
        window: Duration,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Problem> {
        let tail = self.rooms.get_with(room, Arc::default);
        let mut tail = tail.lock().await;
        let begin = now.time() - window;
        let subject = subject.to_string();
        let goes_on =
            tail.seq > 0 && tail.window >= window && tail.read_at.is_some_and(|at| at.time() > begin);
        let records = if goes_on {
            self.log.load(&subject, tail.seq).await
        } else {
            self.log.since(&subject, begin, TAIL).await
        };
        let records = records.map_err(read_problem)?;
        if !goes_on {
            *tail = Tail::default();
        }
        for record in &records {
            tail.take(record);
        }
        (tail.window, tail.read_at) = (window, Some(now));
        tail.last.retain(|_, at| at.time() > begin);
        Ok(tail.last.get(&author).copied())
    }
}

impl Tail {
    fn take(&mut self, record: &Record) {
        self.seq = record.position.seq;
        let Ok(envelope) = read_envelope(record) else {
            return;
        };
        if let Some(actor) = envelope.actor.filter(|_| envelope.kind == POSTED) {
            self.last.insert(actor, envelope.time);
        }
    }
}

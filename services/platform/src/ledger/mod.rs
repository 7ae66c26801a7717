//! The event log with types and keys: what workers decide goes in sealed, what anyone reads comes out
//! opened as far as its keys still exist.

mod execute;
mod seen;

use std::time::Duration;

use veza_events::{DecodeError, Envelope, EnvelopeError, Event, Subject, SubjectError};

use crate::{
    contract::Problem,
    event_log::{EventLog, Position, ReadError, Record},
    keyring::{Aad, Keyring},
};

pub use execute::{MAX_AGE, MAX_AHEAD, Write, Written};
pub use seen::About;

/// One event of the log, opened as far as its keys exist.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Where it lies.
    pub position: Position,
    /// The previous sequence of the same subject, 0 if there is none.
    pub prev: u64,
    /// The aggregate.
    pub subject: Subject,
    /// Who, when, by which command.
    pub envelope: Envelope,
    /// What happened.
    pub event: Event,
}

/// A record that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Its subject names no aggregate.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// Its headers are not an event's.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Its body is not its type's, or the type is unknown here.
    #[error(transparent)]
    Body(#[from] DecodeError),
    /// Its key could not be looked up just now; try again.
    #[error("{0}")]
    Keys(Problem),
}

/// The typed log. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    log: EventLog,
    keys: Keyring,
    source: &'static str,
}

impl Ledger {
    /// The log as written by `source`, `veza/<role>`.
    pub fn new(log: EventLog, keys: Keyring, source: &'static str) -> Self {
        Self { log, keys, source }
    }

    /// The bytes underneath.
    pub fn log(&self) -> &EventLog {
        &self.log
    }

    /// The keys that this ledger seals and opens with.
    pub fn keys(&self) -> &Keyring {
        &self.keys
    }

    /// All events of an aggregate behind `after`, in order.
    ///
    /// # Errors
    /// When the log or the keys are away, or a record cannot be read.
    pub async fn load(&self, subject: &Subject, after: u64) -> Result<Vec<Recorded>, Problem> {
        let records = self
            .log
            .load(&subject.to_string(), after)
            .await
            .map_err(read_problem)?;
        let mut events = Vec::with_capacity(records.len());
        for record in records {
            events.push(self.read(record).await.map_err(record_problem)?);
        }
        Ok(events)
    }

    /// The last event of an aggregate, possibly a moment old.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn last(&self, subject: &Subject) -> Result<Option<Recorded>, Problem> {
        let record = self.log.last(&subject.to_string()).await.map_err(read_problem)?;
        self.read_some(record).await
    }

    /// The last event of an aggregate, from the stream's leader: sees every write that was acked.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn last_consistent(&self, subject: &Subject) -> Result<Option<Recorded>, Problem> {
        let record = self
            .log
            .last_consistent(&subject.to_string())
            .await
            .map_err(read_problem)?;
        self.read_some(record).await
    }

    async fn read_some(&self, record: Option<Record>) -> Result<Option<Recorded>, Problem> {
        match record {
            Some(record) => self.read(record).await.map(Some).map_err(record_problem),
            None => Ok(None),
        }
    }

    /// Decodes one record and opens what its key opens.
    ///
    /// # Errors
    /// [`RecordError`]; a key that is gone is none: the field stays closed.
    pub async fn read(&self, record: Record) -> Result<Recorded, RecordError> {
        self.read_ref(&record).await
    }

    /// The same without taking the record, for those that may have to read it again: headers are costly
    /// to copy.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub async fn read_ref(&self, record: &Record) -> Result<Recorded, RecordError> {
        let subject = record.subject.parse()?;
        let envelope = read_envelope(record)?;
        let mut event = Event::decode(&envelope.kind, &record.payload)?;
        if let Some(key) = envelope.key
            && let Some(data_key) = self.keys.get(key).await.map_err(RecordError::Keys)?
        {
            let data = Aad::event(&envelope.kind, envelope.id, key);
            event.visit_sealed(&mut |field| field.open(&mut |text| data_key.open(&data, text)));
        }
        Ok(Recorded {
            position: record.position.clone(),
            prev: record.prev,
            subject,
            envelope,
            event,
        })
    }
}

fn header_of<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record.headers.get(name).map(async_nats::HeaderValue::as_str)
}

/// The envelope of a record, without its body.
///
/// # Errors
/// When the headers are not an event's.
pub fn read_envelope(record: &Record) -> Result<Envelope, EnvelopeError> {
    Envelope::read(|name| header_of(record, name))
}

fn record_problem(error: RecordError) -> Problem {
    match error {
        RecordError::Keys(problem) => problem,
        error => Problem::internal(&error),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A failed read as callers see it.
pub fn read_problem(error: ReadError) -> Problem {
    match error {
        ReadError::Unavailable { retry_after } => {
            Problem::unavailable("the event log is away; try again", millis(retry_after))
        }
        error => Problem::internal(&error),
    }
}

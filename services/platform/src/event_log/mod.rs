//! The log of everything that happened, at the level of subjects, headers, bytes and sequences.
//! What the bytes mean belongs to `recorded`; what may be appended, to the aggregates.

mod types;

use std::time::Duration;

use futures::Stream;
use tokio_util::task::TaskTracker;

pub use types::{
    AppendError, Appended, Draft, Expect, InvalidPosition, Live, Page, Position, ReadError, Record,
    StreamName,
};

/// How the log is reached.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Streams of spaces, fixed at installation.
    pub shards: u16,
    /// Copies that the servers keep of each stream: 1, 3 or 5.
    pub replicas: u8,
    /// How long an append may stay unanswered.
    pub append_timeout: Duration,
    /// How long a read may stay unanswered.
    pub read_timeout: Duration,
    /// Where the log's own tasks run; they end when the last clone of the log is dropped.
    pub tasks: TaskTracker,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            shards: 1,
            replicas: 1,
            append_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(5),
            tasks: TaskTracker::new(),
        }
    }
}

/// The log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventLog;

/// Events of one subject (or a pattern of subjects) from now on. A [`Stream`] of [`Live`].
#[derive(Debug)]
pub struct LiveFeed;

impl Stream for LiveFeed {
    type Item = Live;
    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        unimplemented!()
    }
}

impl EventLog {
    /// The log behind `client`. Makes no request.
    pub fn connect(_client: async_nats::Client, _options: LogOptions) -> Self {
        unimplemented!()
    }

    /// The stream that stores `subject`.
    pub fn stream_of(&self, _subject: &str) -> StreamName {
        unimplemented!()
    }

    /// All streams of the log.
    pub fn streams(&self) -> Vec<StreamName> {
        unimplemented!()
    }

    /// Stores one event.
    pub async fn append(&self, _draft: Draft) -> Result<Appended, AppendError> {
        unimplemented!()
    }

    /// Stores 1 to 1,000 events of one stream, all or none.
    pub async fn append_atomic(&self, _drafts: Vec<Draft>) -> Result<Vec<Appended>, AppendError> {
        unimplemented!()
    }

    /// The last event of a subject, from any replica: fast, possibly a moment old.
    pub async fn last(&self, _subject: &str) -> Result<Option<Record>, ReadError> {
        unimplemented!()
    }

    /// The last event of a subject, from the stream's leader: sees every acked append.
    pub async fn last_consistent(&self, _subject: &str) -> Result<Option<Record>, ReadError> {
        unimplemented!()
    }

    /// The event at a position.
    pub async fn get(&self, _position: &Position) -> Result<Option<Record>, ReadError> {
        unimplemented!()
    }

    /// All events of one subject behind `after` (exclusive), in order.
    pub async fn load(&self, _subject: &str, _after: u64) -> Result<Vec<Record>, ReadError> {
        unimplemented!()
    }

    /// At most `max` events behind `after` (exclusive), optionally of one subject pattern, and none behind `up_to`.
    pub async fn page(
        &self,
        _stream: &StreamName,
        _after: u64,
        _max: usize,
        _subject_filter: Option<&str>,
        _up_to: Option<u64>,
    ) -> Result<Page, ReadError> {
        unimplemented!()
    }

    /// Every event of a stream behind `after`, in order, without gaps, forever.
    pub fn follow(
        &self,
        _stream: &StreamName,
        _after: u64,
    ) -> impl Stream<Item = Result<Record, ReadError>> + Send + Unpin + 'static {
        futures::stream::pending()
    }

    /// Events as they are stored, for a subject or pattern such as `live.0.room.<id>`.
    pub async fn live(&self, _subject_filter: &str) -> Result<LiveFeed, ReadError> {
        unimplemented!()
    }

    /// The last sequence of a stream, from its leader; 0 when it is empty.
    pub async fn head(&self, _stream: &StreamName) -> Result<u64, ReadError> {
        unimplemented!()
    }
}

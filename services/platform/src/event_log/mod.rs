//! The log of everything that happened, at the level of subjects, headers, bytes and sequences.
//! What the bytes mean belongs to `recorded`; what may be appended, to the aggregates.

mod admin;
mod append;
mod commit;
mod follow;
mod link;
mod live;
mod metrics;
mod read;
mod streams;
mod types;
mod wire;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use async_nats::HeaderMap;
use bytes::Bytes;
use futures::Stream;
use prometheus_client::registry::Registry;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::config::NatsConfig;
use crate::lifecycle::Lifecycle;
use append::Appender;
use commit::Lane;
use link::Link;
use metrics::{Counted, LogMetrics};
use read::{Reader, Span};
use wire::Prepared;

/// The stream of what the devices of accounts must hear: not of the log, but told in the same way.
pub(crate) const NOTICES: &str = "NOTICES";
/// Pause between two tries to subscribe while the servers are away.
const LIVE_RETRY: Duration = Duration::from_millis(250);

pub(crate) use follow::{Follower, Step};
pub use live::LiveFeed;
pub use streams::{Applied, ApplyError, StreamsSpec};
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
    /// How long a request may stay unanswered.
    pub timeout: Duration,
    /// Where the log's own tasks run; they end when the last clone of the log is dropped.
    pub lifecycle: Lifecycle,
}

impl LogOptions {
    /// The options that the settings name.
    pub fn new(config: &NatsConfig, lifecycle: &Lifecycle) -> Self {
        Self {
            shards: u16::try_from(config.shards).unwrap_or(u16::MAX),
            replicas: u8::try_from(config.replicas).unwrap_or(u8::MAX),
            timeout: Duration::from_millis(config.request_timeout_ms),
            lifecycle: lifecycle.clone(),
        }
    }
}

/// The log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct EventLog(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    appender: Appender,
    reader: Reader,
    /// Group commit, by stream; none where it does not pay.
    lanes: HashMap<StreamName, Lane>,
    shards: u16,
    replicas: u8,
    metrics: LogMetrics,
    lifecycle: Lifecycle,
}

impl EventLog {
    /// The log behind `client`. Makes no request, so the servers may still be away.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn connect(client: async_nats::Client, options: LogOptions) -> Self {
        let LogOptions {
            shards,
            replicas,
            timeout,
            lifecycle,
        } = options;
        let link = Link::new(client, &lifecycle);
        let appender = Appender {
            link: link.clone(),
            timeout,
        };
        let metrics = LogMetrics::default();
        let grouped = if replicas == 1 {
            all_streams(shards)
        } else {
            Vec::new()
        };
        let lane = |stream| (stream, Lane::open(appender.clone(), metrics.clone(), &lifecycle));
        let lanes = grouped.into_iter().map(lane).collect();
        Self(Arc::new(Inner {
            appender,
            reader: Reader { link, timeout },
            lanes,
            shards,
            replicas,
            metrics,
            lifecycle,
        }))
    }

    /// Adds the log's metrics to `registry`, named `log_…`.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.0.metrics.register(registry);
    }

    /// Makes the streams and buckets of `spec`, or brings them in line. Waits up to half a minute for
    /// servers that are just starting. Doing it again changes nothing.
    ///
    /// # Errors
    /// Changes that could lose or hide events are refused, and so is another number of shards than the
    /// installation was made with.
    pub async fn apply(&self, spec: &StreamsSpec) -> Result<Applied, ApplyError> {
        streams::apply(&self.0.reader, spec, self.0.shards, self.0.replicas).await
    }

    /// All streams of the log.
    pub fn streams(&self) -> Vec<StreamName> {
        all_streams(self.0.shards)
    }

    /// The stream that stores `subject`.
    pub fn stream_of(&self, subject: &str) -> StreamName {
        stream_of(subject)
    }

    /// Stores one event. With one replica and many appends waiting, several are committed together.
    ///
    /// # Errors
    /// See [`AppendError`]; after [`AppendError::Unavailable`] the event may be stored all the same.
    pub async fn append(&self, draft: Draft) -> Result<Appended, AppendError> {
        let draft = Prepared::new(draft, stream_of)?;
        let append = async {
            match self.0.lanes.get(&draft.stream) {
                Some(lane) => lane.append(draft).await.map(|appended| [appended]),
                None => self.0.appender.one(&draft).await.map(|appended| [appended]),
            }
        };
        self.measured(append).await.map(|[appended]| appended)
    }

    /// Stores 1 to 1,000 events of one stream, all or none, side by side. Every expectation speaks of the
    /// state before the batch. A batch that was stored within the last two minutes is recognised by its
    /// ids and not stored again.
    ///
    /// # Errors
    /// As [`EventLog::append`]; code 10201 when some, but not all, of the ids are stored already.
    pub async fn append_atomic(&self, drafts: Vec<Draft>) -> Result<Vec<Appended>, AppendError> {
        let drafts = drafts.into_iter().map(|draft| Prepared::new(draft, stream_of));
        let drafts = drafts.collect::<Result<Vec<_>, _>>()?;
        append::check_batch(&drafts)?;
        self.measured(self.0.appender.atomic(drafts, &self.0.reader))
            .await
    }

    /// The last event of a subject, from any replica: fast, possibly a moment old.
    pub async fn last(&self, subject: &str) -> Result<Option<Record>, ReadError> {
        self.0.reader.last(&stream_of(subject), subject).await
    }

    /// The last event of a subject, from the stream's leader: sees every acked append.
    pub async fn last_consistent(&self, subject: &str) -> Result<Option<Record>, ReadError> {
        self.0.reader.last_consistent(&stream_of(subject), subject).await
    }

    /// The event at a position, from any replica.
    pub async fn get(&self, position: &Position) -> Result<Option<Record>, ReadError> {
        self.0.reader.get(position).await
    }

    /// All events of one subject behind `after` (exclusive), in order, from any replica. If `after` is
    /// itself of the subject, or 0, then every `prev` is known.
    ///
    /// # Errors
    /// [`ReadError::Refused`] beyond 200,000 events: such an aggregate is read in pages.
    pub async fn load(&self, subject: &str, after: u64) -> Result<Vec<Record>, ReadError> {
        self.0.reader.load(&stream_of(subject), subject, after).await
    }

    /// The events of one subject that were stored from `since` on, in order, from any replica: at most
    /// `max` of them, the oldest.
    pub async fn since(
        &self,
        subject: &str,
        since: OffsetDateTime,
        max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.0
            .reader
            .since(&stream_of(subject), subject, since, max)
            .await
    }

    /// At most `max` events (never more than 4,096, or 8 MiB) behind `after` (exclusive), of all subjects
    /// or of those that match `subject_filter`, and none behind `up_to` (inclusive). With a filter that is
    /// a literal subject, `prev` is known as in [`EventLog::load`]; otherwise it is 0.
    pub async fn page(
        &self,
        stream: &StreamName,
        after: u64,
        max: usize,
        subject_filter: Option<&str>,
        up_to: Option<u64>,
    ) -> Result<Page, ReadError> {
        let mut page = self
            .0
            .reader
            .page(&Span {
                stream,
                after,
                max,
                filter: subject_filter,
            })
            .await?;
        if let Some(up_to) = up_to {
            let within = page
                .records
                .partition_point(|record| record.position.seq <= up_to);
            if within < page.records.len()
                || page.records.last().is_some_and(|last| last.position.seq == up_to)
            {
                page.records.truncate(within);
                page.pending = 0;
            }
        }
        Ok(page)
    }

    /// Every event of a stream behind `after`, in order, without gaps, forever. It outlives the servers'
    /// absence and reads as fast as they give; it holds at most two pages. The only errors are those that
    /// waiting does not mend, such as a stream that does not exist; asking again goes on where it stopped.
    pub fn follow(
        &self,
        stream: &StreamName,
        after: u64,
    ) -> impl Stream<Item = Result<Record, ReadError>> + Send + Unpin + use<> {
        Follower::new(self.clone(), stream.clone(), announced(stream), after).records()
    }

    /// Events as they are stored, for a subject or a pattern such as `live.0.room.<id>`. What is stored
    /// after this returns is delivered, or a lag is reported.
    pub async fn live(&self, subject_filter: &str) -> Result<LiveFeed, ReadError> {
        self.live_on(&[subject_filter.to_owned()]).await
    }

    /// As [`Self::live`], waiting for servers that are away until `stop` is cancelled.
    ///
    /// # Errors
    /// When `stop` came first, or the servers refuse.
    pub async fn live_patiently(
        &self,
        subject_filter: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<LiveFeed> {
        loop {
            match self.live(subject_filter).await {
                Ok(feed) => return Ok(feed),
                Err(ReadError::Unavailable { .. }) => {}
                Err(error) => return Err(error).context("subscribing to the live feed"),
            }
            tokio::select! {
                () = tokio::time::sleep(LIVE_RETRY) => {}
                () = stop.cancelled() => anyhow::bail!("stopped before the log could be reached"),
            }
        }
    }

    /// The last sequence of a stream, from its leader; 0 when it is empty.
    pub async fn head(&self, stream: &StreamName) -> Result<u64, ReadError> {
        self.0.reader.head(stream).await
    }

    /// The first and the last sequence that a stream has, from its leader. Of an empty stream the first is one
    /// behind the last.
    pub(crate) async fn bounds(&self, stream: &StreamName) -> Result<(u64, u64), ReadError> {
        self.0.reader.bounds(stream).await
    }

    async fn live_on(&self, filters: &[String]) -> Result<LiveFeed, ReadError> {
        let Inner {
            reader,
            metrics,
            lifecycle,
            ..
        } = &*self.0;
        let feed = live::subscribe(&reader.link, filters, metrics.clone(), lifecycle).await?;
        reader.link.settle(reader.timeout).await?;
        Ok(feed)
    }

    async fn measured<T: AsRef<[Appended]>>(
        &self,
        append: impl Future<Output = Result<T, AppendError>>,
    ) -> Result<T, AppendError> {
        let metrics = &self.0.metrics;
        let _waiting = Counted::new(&metrics.waiting);
        let begun = Instant::now();
        let outcome = append.await;
        metrics.append_seconds.observe(begun.elapsed().as_secs_f64());
        match &outcome {
            Ok(appended) => {
                let (duplicates, stored): (Vec<_>, Vec<_>) =
                    appended.as_ref().iter().partition(|one| one.duplicate);
                metrics.appended.inc_by(stored.len() as u64);
                metrics.duplicates.inc_by(duplicates.len() as u64);
            }
            Err(AppendError::Conflict) => drop(metrics.conflicts.inc()),
            Err(AppendError::Unavailable { .. }) => drop(metrics.unavailable.inc()),
            Err(AppendError::TooLarge { .. } | AppendError::Refused { .. }) => {}
        }
        outcome
    }

    fn reader(&self) -> &Reader {
        &self.0.reader
    }

    fn metrics(&self) -> &LogMetrics {
        &self.0.metrics
    }

    /// Stores a message that is no event, in a stream that is not of the log.
    pub(crate) async fn store_in(
        &self,
        stream: &StreamName,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Appended, AppendError> {
        self.0.appender.message(stream, subject, headers, payload).await
    }

    /// The last message of a subject of any stream.
    pub(crate) async fn last_in(
        &self,
        stream: &StreamName,
        subject: &str,
        consistent: bool,
    ) -> Result<Option<Record>, ReadError> {
        if consistent {
            self.0.reader.last_consistent(stream, subject).await
        } else {
            self.0.reader.last(stream, subject).await
        }
    }
}

/// Where a stream of the log announces what it stored.
fn announced(stream: &StreamName) -> Vec<String> {
    match (stream.as_str(), stream.as_str().strip_prefix("SPACES_")) {
        (_, Some(shard)) => vec![format!("live.{shard}.>")],
        (NOTICES, None) => vec!["live.notice.>".to_owned()],
        (_, None) => vec!["live.account.*".to_owned(), "live.handle.*".to_owned()],
    }
}

/// The second token of a subject is the shard, or a kind that belongs to accounts.
fn stream_of(subject: &str) -> StreamName {
    match subject.split('.').nth(1).and_then(|token| token.parse().ok()) {
        Some(shard) => StreamName::spaces(shard),
        None => StreamName::accounts(),
    }
}

fn all_streams(shards: u16) -> Vec<StreamName> {
    std::iter::once(StreamName::accounts())
        .chain((0..shards).map(StreamName::spaces))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_names_the_stream() {
        assert_eq!(stream_of("evt.account.a"), StreamName::accounts());
        assert_eq!(stream_of("evt.handle.h"), StreamName::accounts());
        assert_eq!(stream_of("evt.12.room.r"), StreamName::spaces(12));
        assert_eq!(
            all_streams(2),
            ["ACCOUNTS", "SPACES_0", "SPACES_1"].map(StreamName::from)
        );
    }
}

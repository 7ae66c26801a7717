//! Reading the log in batches: decoded, opened, and a few ahead of the writer.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{Stream, StreamExt};
use time::OffsetDateTime;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Span;
use veza_events::{DecodeError, KeyId, Subject, header};
use veza_platform::config::{Config, ProjectorConfig};
use veza_platform::event_log::{ReadError, Record, StreamName};
use veza_platform::ledger::{Ledger, RecordError, Recorded};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::telemetry;

use crate::metrics::StreamMetrics;
use crate::tables::Entry;

/// Pause before a log that refuses, or keys that are away, are asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// Most events of one batch that get a span of their own.
const MAX_SPANS: usize = 64;

/// How to read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Most events of a batch.
    pub(crate) events: usize,
    /// Most bytes of a batch.
    pub(crate) bytes: usize,
    /// Longest wait for a batch to fill.
    pub(crate) wait: Duration,
    /// Batches read ahead.
    pub(crate) ahead: usize,
    /// Whether traces go on from the events.
    pub(crate) traced: bool,
    /// Nothing behind this sequence is read.
    pub(crate) until: Option<u64>,
}

impl Reading {
    pub(crate) fn new(config: &Config) -> Self {
        let ProjectorConfig {
            batch_events,
            batch_bytes,
            batch_wait_ms,
            read_ahead_batches,
            ..
        } = config.projector;
        Self {
            events: batch_events.max(1),
            bytes: batch_bytes.max(1),
            wait: Duration::from_millis(batch_wait_ms),
            ahead: read_ahead_batches.max(1),
            traced: config.telemetry.otlp_endpoint.is_some(),
            until: None,
        }
    }
}

/// Consecutive events of a stream.
#[derive(Debug)]
pub(crate) struct Batch {
    /// Never empty.
    pub(crate) items: Vec<Item>,
    /// Sequence of the last one.
    pub(crate) last: u64,
    /// When the last one was stored.
    pub(crate) stored_at: OffsetDateTime,
    /// There was no room for more, so there probably are more.
    pub(crate) full: bool,
    /// Spans that go on the traces of the commands; they end with the batch.
    pub(crate) spans: Vec<Span>,
}

/// One event, as far as it can be read.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) seq: u64,
    /// As it stands in the log.
    pub(crate) subject: String,
    /// Wire name, empty if there is none.
    pub(crate) kind: String,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    Event(Box<Recorded>),
    /// Of a type that is unknown here.
    Unknown(Subject),
    /// Not of the shape that its type says; why.
    Unreadable(String),
}

impl Item {
    /// What tables see of it; nothing if it cannot be read.
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        let (subject, recorded) = match &self.content {
            Content::Event(recorded) => (&recorded.subject, Some(&**recorded)),
            Content::Unknown(subject) => (subject, None),
            Content::Unreadable(_) => return None,
        };
        Some(Entry {
            seq: self.seq,
            subject,
            recorded,
        })
    }
}

/// Starts to read `stream` behind `after`. Reading ends when the receiver is dropped or `until` is reached.
pub(crate) fn start(
    lifecycle: &Lifecycle,
    ledger: Ledger,
    stream: StreamName,
    after: u64,
    reading: Reading,
    metrics: StreamMetrics,
) -> mpsc::Receiver<Batch> {
    let (sender, receiver) = mpsc::channel(reading.ahead);
    lifecycle.spawn("reader", async move {
        let records = ledger.log().follow(&stream, after);
        let reader = Reader {
            ledger,
            reading,
            metrics,
        };
        tokio::select! {
            () = sender.closed() => {}
            () = reader.run(records, after, &sender) => {}
        }
    });
    receiver
}

struct Reader {
    ledger: Ledger,
    reading: Reading,
    metrics: StreamMetrics,
}

impl Reader {
    async fn run(
        &self,
        mut records: impl Stream<Item = Result<Record, ReadError>> + Unpin,
        after: u64,
        sender: &mpsc::Sender<Batch>,
    ) {
        let mut last = after;
        while self.reading.until.is_none_or(|until| last < until) {
            let (raw, full) = self.collect(&mut records, &mut last).await;
            if raw.is_empty() {
                return;
            }
            let batch = self.decode(raw, full).await;
            if sender.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// Waits for one record, then takes what comes within the wait. Empty at the end of the stream, which
    /// only a stopping process sees.
    async fn collect(
        &self,
        records: &mut (impl Stream<Item = Result<Record, ReadError>> + Unpin),
        last: &mut u64,
    ) -> (Vec<Record>, bool) {
        let mut raw = Vec::new();
        let mut bytes = 0;
        let mut deadline = None;
        loop {
            let next = match deadline {
                None => records.next().await,
                Some(deadline) => match tokio::time::timeout_at(deadline, records.next()).await {
                    Ok(next) => next,
                    Err(_) => return (raw, false),
                },
            };
            match next {
                None => return (raw, false),
                Some(Err(error)) => {
                    tracing::error!(%error, "the log cannot be read");
                    tokio::time::sleep(PAUSE).await;
                }
                Some(Ok(record)) => {
                    *last = record.position.seq;
                    bytes += record.payload.len();
                    raw.push(record);
                    deadline = deadline.or_else(|| Some(Instant::now() + self.reading.wait));
                    if self.reading.until.is_some_and(|until| *last >= until) {
                        return (raw, false);
                    }
                    if raw.len() >= self.reading.events || bytes >= self.reading.bytes {
                        return (raw, true);
                    }
                }
            }
        }
    }

    async fn decode(&self, raw: Vec<Record>, full: bool) -> Batch {
        let (last, stored_at) = raw.last().map_or((0, OffsetDateTime::UNIX_EPOCH), |record| {
            (record.position.seq, record.time)
        });
        self.fetch_keys(&raw).await;
        let spans = if self.reading.traced {
            raw.iter().filter_map(span).take(MAX_SPANS).collect()
        } else {
            Vec::new()
        };
        let mut items = Vec::with_capacity(raw.len());
        for record in raw {
            items.push(read_item(&self.ledger, &self.metrics, record).await);
        }
        Batch {
            items,
            last,
            stored_at,
            full,
            spans,
        }
    }

    /// All keys of a batch by one request; what fails here is asked for again, key by key.
    async fn fetch_keys(&self, raw: &[Record]) {
        let keys: BTreeSet<KeyId> = raw
            .iter()
            .filter_map(|record| header_of(record, header::KEY)?.parse().ok())
            .collect();
        let keys: Vec<KeyId> = keys.into_iter().collect();
        if let Err(problem) = self.ledger.keys().get_many(&keys).await {
            tracing::warn!(error = %problem, "keys cannot be looked up now");
        }
    }
}

/// Decodes one record; waits while keys are away.
pub(crate) async fn read_item(ledger: &Ledger, metrics: &StreamMetrics, record: Record) -> Item {
    let seq = record.position.seq;
    let kind = header_of(&record, header::TYPE).unwrap_or_default().to_owned();
    let content = loop {
        match ledger.read_ref(&record).await {
            Ok(recorded) => break Content::Event(Box::new(recorded)),
            Err(RecordError::Keys(problem)) => {
                tracing::warn!(error = %problem, "an event waits for its key");
                tokio::time::sleep(PAUSE).await;
            }
            Err(RecordError::Body(DecodeError::UnknownType(_))) => {
                metrics.unknown.inc();
                break match record.subject.parse() {
                    Ok(subject) => Content::Unknown(subject),
                    Err(error) => Content::Unreadable(error.to_string()),
                };
            }
            Err(error) => break Content::Unreadable(error.to_string()),
        }
    };
    Item {
        seq,
        subject: record.subject,
        kind,
        content,
    }
}

fn header_of<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record.headers.get(name).map(async_nats::HeaderValue::as_str)
}

/// A span that goes on from the command behind an event, if its trace is recorded.
fn span(record: &Record) -> Option<Span> {
    let sampled = header_of(record, "traceparent")?.ends_with("-01");
    sampled.then(|| {
        let kind = header_of(record, header::TYPE).unwrap_or_default();
        let span = tracing::info_span!(
            "project",
            event.kind = kind,
            log.stream = %record.position.stream,
            log.seq = record.position.seq,
            projection.delay_ms = tracing::field::Empty,
        );
        telemetry::continue_from(&span, telemetry::extract(&record.headers));
        span
    })
}

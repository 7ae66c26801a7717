//! One stream of the log: which messages somebody has to be told of, each once.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::mpsc;
use veza_events::room::RoomEvent;
use veza_events::{Event, MessageId, Timestamp};
use veza_platform::ambient;
use veza_platform::event_log::{EventLog, Position, Record, StreamName};
use veza_platform::ledger::read_envelope;
use veza_platform::lifecycle::Lifecycle;

use crate::decide::{Deciding, Push};
use crate::digests::Digests;
use crate::known::Known;
use crate::metrics::Metrics;
use crate::missed::Missed;
use crate::place::{KEEP_EVERY, Place};

/// The one type of event that people are told of.
const POSTED: &str = "room.message_posted.v1";
/// Pause while somebody is away.
const PAUSE: Duration = Duration::from_millis(500);

/// What all streams share.
pub(crate) struct Parts {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) log: EventLog,
    pub(crate) known: Arc<Known>,
    pub(crate) deciding: Arc<Deciding>,
    /// None in an installation without mail.
    pub(crate) digests: Option<Arc<Digests>>,
    pub(crate) metrics: Metrics,
    pub(crate) grace: Duration,
    pub(crate) max_age: Duration,
    pub(crate) queue: mpsc::Sender<Push>,
}

/// Reads one stream.
pub(crate) struct Stream {
    parts: Arc<Parts>,
    of: StreamName,
}

impl Stream {
    pub(crate) fn new(parts: Arc<Parts>, stream: StreamName) -> Self {
        Self { parts, of: stream }
    }

    /// Tells of what comes, until the role ends.
    pub(crate) async fn run(self) {
        let soft = self.parts.lifecycle.soft.clone();
        while !soft.is_cancelled() {
            let ended = tokio::select! {
                ended = self.follow() => ended,
                () = soft.cancelled() => return,
            };
            match ended {
                Ok(()) => tracing::debug!(log.stream = %self.of, "another notifier is ahead"),
                Err(error) => tracing::debug!(%error, log.stream = %self.of, "the notifier has to wait"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Goes on from the kept position. Ends when another instance has kept a newer one.
    async fn follow(&self) -> anyhow::Result<()> {
        let mut place = Place::open(&self.parts.log, &self.of).await?;
        let mut records = self.parts.log.follow(&self.of, place.seq);
        loop {
            let next = tokio::time::timeout(KEEP_EVERY, records.next()).await;
            if let Ok(None) = next {
                return Ok(());
            }
            if let Ok(Some(record)) = next {
                let record = record?;
                place.seq = record.position.seq;
                let pushes = match posted(&record) {
                    Some((message, at)) => self.pushes(&record.position, message, at).await,
                    None => Vec::new(),
                };
                if !pushes.is_empty() {
                    // Never the other way round.
                    if !place.keep().await? {
                        return Ok(());
                    }
                    self.hand_over(pushes).await?;
                }
            }
            if place.is_due() && !place.keep().await? {
                return Ok(());
            }
        }
    }

    async fn hand_over(&self, pushes: Vec<Push>) -> anyhow::Result<()> {
        if let Some(digests) = &self.parts.digests {
            let mailed = pushes.iter().filter(|push| push.to_mail);
            let missed = mailed.map(|push| (push.account, Missed::of(push)));
            digests.miss(missed.collect()).await;
        }
        for push in pushes.into_iter().filter(|push| push.to_devices) {
            self.parts.metrics.waiting.inc();
            self.parts.queue.send(push).await?;
        }
        Ok(())
    }

    /// Who is told of a message once it is its time; asks until it knows.
    async fn pushes(&self, position: &Position, message: MessageId, at: Timestamp) -> Vec<Push> {
        loop {
            let age = ambient::now() - at.time();
            let age = Duration::try_from(age).unwrap_or_default();
            if age > self.parts.max_age {
                return Vec::new();
            }
            tokio::time::sleep(self.parts.grace.saturating_sub(age)).await;
            let decided = self
                .parts
                .deciding
                .pushes(&self.parts.known, position, message)
                .await;
            match decided {
                Ok(pushes) => {
                    let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
                    self.parts.metrics.behind(self.of.as_str(), seconds);
                    return pushes;
                }
                Err(problem) => {
                    tracing::debug!(%problem, "who is told cannot be decided yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// The message that a record posts, and when.
fn posted(record: &Record) -> Option<(MessageId, Timestamp)> {
    let envelope = read_envelope(record).ok()?;
    if envelope.kind != POSTED {
        return None;
    }
    match Event::decode(&envelope.kind, &record.payload).ok()? {
        // What was imported was said long ago.
        Event::Room(RoomEvent::MessagePosted(event)) if event.imported.is_none() => {
            Some((event.message, envelope.time))
        }
        Event::Account(_)
        | Event::Handle(_)
        | Event::Space(_)
        | Event::Member(_)
        | Event::Room(_)
        | Event::Report(_)
        | Event::Schedule(_)
        | Event::Call(_)
        | Event::Held(_) => None,
    }
}

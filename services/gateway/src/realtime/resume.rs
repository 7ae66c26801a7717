//! Filling what a client missed: from memory, from the log, from the read model, or not at all.
//!
//! While a room is filled, its live events wait; the last step hands out what is in memory and lets the
//! watcher go on in one move, so that nothing falls between a fill and the next event.

use std::time::Duration;

use veza_events::MessageId;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::event_log::{ReadError, Record, StreamName};
use veza_platform::ledger::{RecordError, read_problem};

use super::commands::Session;
use super::frames::{FillBuilder, Outgoing, ResetReason, deletion, join_deflated, message_json, redacted};
use super::gaps::Gap;
use super::hub::{frame_of, frame_without_content};
use super::ring::Entry;
use super::room::{Filled, Room};

/// Events that are read from the log at once.
const PAGE: usize = 500;
/// Bytes of events in one `fill`, about.
const FILL_BYTES: usize = 64 * 1024;
/// Messages that are read from the read model at once.
const HISTORY: u16 = 200;
/// How often a replica that is behind is asked again, and after which pause.
const BEHIND: (usize, Duration) = (20, Duration::from_millis(25));

/// Fills a room. Returns the rest of the gap if that cannot be done just now: until it is tried again, the
/// room is held back, so that the client is never left believing that it has seen everything.
pub(super) async fn fill(session: &Session, gap: Gap) -> Option<Gap> {
    let peer = &session.peer;
    let room = match peer.watched(gap.room) {
        Some(room) => room,
        None if peer.awaits(gap.room) => match session.enter(gap.room).await {
            Ok(room) => room?,
            Err(problem) if problem.kind == ProblemKind::Unavailable => {
                note_failure(session, gap, &problem);
                return Some(gap);
            }
            Err(problem) => {
                session.refuse_resume(gap.room, &problem);
                return None;
            }
        },
        // It was watched when the client asked.
        None if gap.again => return None,
        None => {
            let detail = "watch the room first";
            let problem = Problem::new(ProblemKind::Conflict, "room.not_watched", detail);
            peer.outbox.push(&Outgoing::error(None, &problem));
            return None;
        }
    };
    let head = room.hold(peer.key)?;
    let mut filling = Filling {
        session,
        room: &room,
        cursor: gap.from,
        left: session.limits.max_fill_events,
        how: "memory",
    };
    filling.pass_hidden(head);
    match filling.run().await {
        Ok(()) => session.hub.metrics.filled(filling.how),
        Err(Stop::Reset(why)) => {
            let head = room.skip(peer.key);
            let reset = Outgoing::Reset {
                room: Some(gap.room),
                why,
                head: Some(head),
            };
            peer.outbox.push(&reset.frame());
            session.hub.metrics.filled(match why {
                ResetReason::TooFar => "reset_too_far",
                ResetReason::Epoch => "reset_epoch",
                ResetReason::Access => "reset_access",
            });
        }
        Err(Stop::Failed(problem)) => {
            let left = Gap {
                from: filling.cursor,
                ..gap
            };
            note_failure(session, left, &problem);
            return Some(left);
        }
    }
    None
}

fn note_failure(session: &Session, left: Gap, why: &Problem) {
    tracing::debug!(room.id = %left.room, from = left.from, error.message = %why, "a gap cannot be filled now");
    session.hub.metrics.filled("failed");
}

/// Why a fill was not completed.
enum Stop {
    /// It cannot be; the client must begin anew.
    Reset(ResetReason),
    /// Not now; it is to be tried again.
    Failed(Problem),
}

struct Filling<'a> {
    session: &'a Session,
    room: &'a Room,
    /// The client has, or will be handed, everything up to here.
    cursor: u64,
    /// Events that may still be filled in.
    left: usize,
    how: &'static str,
}

impl Filling<'_> {
    /// Of what the client may not see, it misses nothing.
    fn pass_hidden(&mut self, head: u64) {
        let to = self.room.hidden_from(self.session.peer.key).min(head);
        if to > self.cursor {
            let nothing = FillBuilder::new(self.room.id, self.cursor, to, false);
            self.push(nothing);
            self.cursor = to;
        }
    }

    async fn run(&mut self) -> Result<(), Stop> {
        let peer = &self.session.peer;
        let mut turn = None;
        loop {
            if turn.is_none() {
                peer.outbox.roomy().await;
            }
            match self
                .room
                .fill(peer.key, self.cursor, self.session.limits.deflate_min_bytes)
            {
                Filled::Done | Filled::NotWatched => return Ok(()),
                Filled::Ahead => return self.ahead(self.cursor).await,
                Filled::Missing(until) => match turn.take() {
                    // Somebody else may be reading it.
                    None => turn = Some(self.room.reading.lock().await),
                    Some(turn) => self.cursor = self.fill_stored(self.cursor, until, turn).await?,
                },
            }
        }
    }

    /// The client saw more than this gateway: either this one is a moment behind, or the log is another.
    async fn ahead(&self, from: u64) -> Result<(), Stop> {
        let subject = self.session.hub.subject(self.room).to_string();
        match self.session.hub.log.last_consistent(&subject).await {
            Ok(last) if last.as_ref().is_none_or(|last| last.position.seq < from) => {
                Err(Stop::Reset(ResetReason::Epoch))
            }
            Ok(_) => {
                self.room.resume_at(self.session.peer.key, from);
                Ok(())
            }
            Err(error) => Err(Stop::Failed(read_problem(error))),
        }
    }

    /// Fills towards `until` from the log, or from the read model while the log is away. Returns how far it got.
    async fn fill_stored(
        &mut self,
        from: u64,
        until: u64,
        turn: tokio::sync::MutexGuard<'_, ()>,
    ) -> Result<u64, Stop> {
        let entries = self.read_log(from, until).await;
        // A client that takes its time holds up nobody.
        drop(turn);
        match entries {
            Ok(entries) => Ok(self.send(from, &entries).await),
            Err(Stop::Failed(problem)) if problem.kind == ProblemKind::Unavailable => {
                self.fill_messages(from, problem).await
            }
            Err(stop) => Err(stop),
        }
    }

    async fn page(&self, from: u64, until: u64) -> Result<Vec<Record>, Stop> {
        let hub = &self.session.hub;
        let subject = hub.subject(self.room);
        let stream = StreamName::from(subject.stream().as_str());
        let subject = subject.to_string();
        for _ in 0..BEHIND.0 {
            let page = hub
                .log
                .page(&stream, from, PAGE, Some(&subject), Some(until))
                .await;
            let page = page.map_err(|error: ReadError| Stop::Failed(read_problem(error)))?;
            let more = usize::try_from(page.pending).unwrap_or(usize::MAX);
            if page.records.len().saturating_add(more) > self.left {
                return Err(Stop::Reset(ResetReason::TooFar));
            }
            let reached = page.records.last().is_some_and(|last| last.position.seq == until);
            if reached || (page.pending > 0 && !page.records.is_empty()) {
                return Ok(page.records);
            }
            // The event at `until` was seen, so a replica that does not have it is behind.
            tokio::time::sleep(BEHIND.1).await;
        }
        let detail = "the event log is behind";
        Err(Stop::Failed(Problem::unavailable(detail, 1_000)))
    }

    async fn read_log(&mut self, from: u64, until: u64) -> Result<Vec<Entry>, Stop> {
        let _turn = self.session.hub.filling.acquire().await;
        let records = self.page(from, until).await?;
        self.how = "log";
        self.left -= records.len().min(self.left);
        let mut entries = Vec::with_capacity(records.len());
        let mut prev = from;
        let told: Vec<MessageId> = records.iter().filter_map(told).collect();
        for record in records {
            let seq = record.position.seq;
            entries.push(self.open(prev, record).await?);
            prev = seq;
        }
        self.redact(&mut entries, told, until).await;
        if prev == until {
            self.room.keep(from, &entries, self.session.hub.ring_limits());
        }
        Ok(entries)
    }

    /// Takes out the texts of messages that were taken back by something behind them. What is taken back only now
    /// follows.
    async fn redact(&self, entries: &mut [Entry], told: Vec<MessageId>, until: u64) {
        if told.is_empty() {
            return;
        }
        let whole = entries.last().is_some_and(|last| last.seq == until);
        let behind = self.room.deleted_behind(until).filter(|_| whole);
        let deleted = match behind {
            Some(mut deleted) => {
                deleted.extend(entries.iter().filter_map(|entry| deletion(&entry.frame)));
                deleted
            }
            // What lies between these and what is in memory is known to the read model alone.
            None => self.session.hub.services.deleted(told).await,
        };
        for message in deleted {
            for entry in entries.iter_mut() {
                if let Some(frame) = redacted(&entry.frame, message) {
                    entry.frame = frame;
                }
            }
        }
    }

    /// Queues a fill, compressed for who reads that.
    fn push(&self, fill: FillBuilder) {
        let outbox = &self.session.peer.outbox;
        let fill = fill.finish();
        if outbox.deflates() {
            let min = self.session.limits.deflate_min_bytes;
            outbox.push_bytes(join_deflated(std::iter::once(&fill), min));
        } else {
            outbox.push(&fill);
        }
    }

    /// Queues events in pieces that are not too large. Returns how far they go.
    async fn send(&self, from: u64, entries: &[Entry]) -> u64 {
        let outbox = &self.session.peer.outbox;
        let hidden = self.room.hidden_from(self.session.peer.key);
        let mut cursor = from;
        let mut rest = entries;
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(fitting(rest));
            let to = part.last().map_or(cursor, |last| last.seq);
            let mut fill = FillBuilder::new(self.room.id, cursor, to, false);
            for entry in part {
                fill.push(entry.shown(hidden).json());
            }
            outbox.roomy().await;
            self.push(fill);
            (cursor, rest) = (to, behind);
        }
        cursor
    }

    async fn open(&self, prev: u64, record: Record) -> Result<Entry, Stop> {
        let seq = record.position.seq;
        let frame = match self.session.hub.services.read(record.clone()).await {
            Ok(recorded) => frame_of(self.room, prev, &recorded),
            Err(RecordError::Keys(problem)) => return Err(Stop::Failed(problem)),
            Err(RecordError::Subject(_) | RecordError::Envelope(_) | RecordError::Body(_)) => {
                frame_without_content(self.room, prev, &record)
            }
        };
        Ok(Entry { seq, frame })
    }

    /// Messages stand for all events: what else happened in the range cannot be shown without the log.
    async fn fill_messages(&mut self, from: u64, why: Problem) -> Result<u64, Stop> {
        self.how = "read_model";
        let history = self
            .session
            .hub
            .services
            .history(self.room.space, self.room.id, from, HISTORY)
            .await;
        let Some(history) = history.map_err(Stop::Failed)? else {
            return Err(Stop::Reset(ResetReason::TooFar));
        };
        if history.messages.len() > self.left {
            return Err(Stop::Reset(ResetReason::TooFar));
        }
        self.left -= history.messages.len();
        let last = history.messages.last().map_or(from, |last| last.seq);
        let to = if history.more {
            last
        } else {
            history.head.max(last)
        };
        if to <= from {
            return Err(Stop::Failed(why));
        }
        let mut fill = FillBuilder::new(self.room.id, from, to, false);
        for message in &history.messages {
            fill.push(&message_json(self.room.id, message));
        }
        self.push(fill);
        Ok(to)
    }
}

/// The message whose text an event tells.
fn told(record: &Record) -> Option<MessageId> {
    #[derive(serde::Deserialize)]
    struct Told {
        message: MessageId,
        #[serde(rename = "body")]
        _body: serde::de::IgnoredAny,
    }
    let told = serde_json::from_slice::<Told>(&record.payload).ok()?;
    Some(told.message)
}

/// How many of the entries go into one `fill`; at least one.
fn fitting(entries: &[Entry]) -> usize {
    let mut bytes = 0;
    let fits = entries.iter().take_while(|entry| {
        bytes += entry.frame.len();
        bytes <= FILL_BYTES
    });
    fits.count().max(1)
}

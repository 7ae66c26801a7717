//! Every event of a stream, in order, without gaps, forever. The past is read in pages, one ahead; the
//! present comes from the live feed, and whatever the feed misses is read.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};

use super::EventLog;
use super::live::LiveFeed;
use super::read::{PAGE_RECORDS, PendingPage, Span};
use super::types::{Live, ReadError, Record, StreamName};

/// How long an event from the live feed may wait for the one before it: two feeds of one stream (accounts
/// and handles) are not in order among each other.
const REORDER: Duration = Duration::from_millis(2);
/// Events that wait for the one before them; more are read again instead.
const EARLY_EVENTS: usize = 256;
/// A quiet stream is looked at this often, should the last event of all have been missed.
const QUIET: Duration = Duration::from_secs(1);
/// A replica that answers may be behind the live feed; it is asked again after this.
const REPLICA_BEHIND: Duration = Duration::from_millis(5);
/// Servers that are away are asked again after this.
const AWAY: Duration = Duration::from_millis(100);

/// A reader's place in a stream.
#[derive(Debug)]
pub(crate) struct Follower {
    log: EventLog,
    stream: StreamName,
    /// Subjects on which the stream announces what it stored.
    announced: Vec<String>,
    /// The last sequence that was given out.
    last: u64,
    ready: VecDeque<Record>,
    /// The page after the one being given out.
    ahead: Option<PendingPage>,
    live: Option<LiveFeed>,
    /// Live events that came before their turn.
    early: BTreeMap<u64, Record>,
    /// The highest sequence that the live feed has shown.
    seen: u64,
    /// Something behind `last` may exist that is not in `early`.
    must_read: bool,
    /// [`Step::CaughtUp`] was given out.
    caught_up: bool,
}

/// What a follower meets.
#[derive(Debug)]
pub(crate) enum Step {
    Next(Record),
    /// Everything that was stored when the reading began has been given out. Comes once.
    CaughtUp,
}

impl Follower {
    pub(crate) fn new(log: EventLog, stream: StreamName, announced: Vec<String>, after: u64) -> Self {
        Self {
            log,
            stream,
            announced,
            last: after,
            ready: VecDeque::new(),
            ahead: None,
            live: None,
            early: BTreeMap::new(),
            seen: 0,
            must_read: true,
            caught_up: false,
        }
    }

    pub(super) fn records(self) -> impl Stream<Item = Result<Record, ReadError>> + Send + Unpin + use<> {
        Box::pin(stream::unfold(self, |mut follower| async move {
            loop {
                let item = match follower.step().await {
                    Ok(Step::Next(record)) => Ok(record),
                    Ok(Step::CaughtUp) => continue,
                    Err(error) => Err(error),
                };
                return Some((item, follower));
            }
        }))
    }

    /// What comes next; waits for as long as the servers are away. After an error, asking again goes on
    /// where it stopped.
    pub(crate) async fn step(&mut self) -> Result<Step, ReadError> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                self.last = record.position.seq;
                return Ok(Step::Next(record));
            }
            if !self.must_read && !self.caught_up {
                self.caught_up = true;
                return Ok(Step::CaughtUp);
            }
            match self.advance().await {
                Ok(()) => {}
                Err(ReadError::Unavailable { retry_after }) => {
                    tokio::time::sleep(retry_after.min(AWAY)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn advance(&mut self) -> Result<(), ReadError> {
        if self.live.is_none() {
            // First the feed, then the past: nothing can fall between them.
            self.live = Some(self.log.live_on(&self.announced).await?);
            self.must_read = true;
        }
        if self.must_read {
            self.read().await?;
        } else {
            self.listen().await;
        }
        Ok(())
    }

    /// Fills `ready` from storage.
    async fn read(&mut self) -> Result<(), ReadError> {
        let pending = match self.ahead.take() {
            Some(pending) => pending,
            None => self.ask(self.last).await?,
        };
        let page = pending.collect().await?;
        let last = page
            .records
            .last()
            .map_or(self.last, |record| record.position.seq);
        if page.pending > 0 {
            self.ahead = Some(self.ask(last).await?);
        } else if last < self.seen {
            tokio::time::sleep(REPLICA_BEHIND).await;
        } else {
            self.must_read = false;
        }
        self.ready = page.records.into();
        self.early = self.early.split_off(&(last + 1));
        Ok(())
    }

    async fn ask(&self, after: u64) -> Result<PendingPage, ReadError> {
        let span = Span {
            stream: &self.stream,
            after,
            max: PAGE_RECORDS,
            filter: None,
        };
        self.log.reader().ask(&span).await
    }

    /// Takes what the live feed has until something is ready, or must be read.
    async fn listen(&mut self) {
        let patience = if self.early.is_empty() { QUIET } else { REORDER };
        let Some(live) = &mut self.live else { return };
        match tokio::time::timeout(patience, live.next()).await {
            Ok(Some(Live::Event(record))) => self.take(record),
            Ok(Some(Live::Lagged)) => {
                // What a server has shown before it died need not be there.
                self.seen = 0;
                self.miss();
            }
            Ok(None) => {
                self.live = None;
                self.miss();
            }
            // Quiet, or an event is still missing.
            Err(_) if self.early.is_empty() => self.must_read = true,
            Err(_) => self.miss(),
        }
    }

    fn take(&mut self, record: Record) {
        let seq = record.position.seq;
        self.seen = self.seen.max(seq);
        if seq > self.last {
            self.early.insert(seq, record);
        }
        let mut next = self.last + 1;
        while let Some(record) = self.early.remove(&next) {
            self.ready.push_back(record);
            next += 1;
        }
        if self.early.len() > EARLY_EVENTS {
            self.miss();
        }
    }

    fn miss(&mut self) {
        self.early.clear();
        self.must_read = true;
        self.log.metrics().refills.inc();
    }
}

//! The watched rooms of this gateway, and the way of an event from the log to their watchers.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use veza_events::{Envelope, Event, RoomId, Shards, SpaceId, Subject, room::RoomEvent};
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::event_log::{EventLog, Position, Record};
use veza_platform::ledger::{RecordError, Recorded, read_problem};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::notices::Notices;

use super::access::{Changes, Rechecks};
use super::calls::Calls;
use super::frames::{EventHead, Frame, event_frame};
use super::metrics::RealtimeMetrics;
use super::notices::NoticeFeed;
use super::presence::Presence;
use super::ring::RingLimits;
use super::room::{Accepted, Need, News, Room};
use super::services::Services;
use super::sockets::Sockets;
use crate::rooms::Place;

/// Rooms in memory at most, watched or just left.
const MAX_ROOMS: usize = 50_000;
/// Bytes of recent events kept for one room at most.
const MAX_ROOM_RING_BYTES: usize = 256 * 1024;
/// Bytes of recent events kept for all rooms, about.
const MAX_RING_BYTES: usize = 256 * 1024 * 1024;
/// How long a room that nobody watches is kept, so that who comes back soon is filled from memory.
const IDLE_ROOM: Duration = Duration::from_mins(1);
/// Longest that a room may take from being asked for to being watched; until then it is not forgotten, since a
/// room that is watched but not known here would hear nothing.
const OPENING_TIME: Duration = Duration::from_secs(30);
/// Rooms whose head is looked up at once.
const OPENING: usize = 64;
/// Gaps that are filled from the log at once.
const FILLING: usize = 32;
/// Longest wait for the first connection of the feeds when a room is opened.
const FEED_WAIT: Duration = Duration::from_secs(5);
/// First and longest pause before a key is asked for again.
const KEY_RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// The rooms. Shared by feeds, sockets and housekeeping.
pub(super) struct Hub {
    pub(super) services: Arc<dyn Services>,
    pub(super) log: EventLog,
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: RealtimeMetrics,
    pub(super) sockets: Sockets,
    pub(super) rechecks: Rechecks,
    pub(super) changes: Changes,
    pub(super) notices: NoticeFeed,
    pub(super) presence: Presence,
    pub(super) client: async_nats::Client,
    pub(super) calls: Calls,
    /// Turns of those who read from the log to fill a gap.
    pub(super) filling: Semaphore,
    shards: Shards,
    rooms: Mutex<HashMap<RoomId, Arc<Room>>>,
    opening: Semaphore,
    ring_events: usize,
    deflate_min: usize,
    /// Bytes that one room may keep, so that all together stay within bounds.
    ring_bytes: AtomicUsize,
    /// Feeds that have begun, counted.
    feeds: watch::Sender<u16>,
}

/// What is given to a hub.
pub(super) struct HubParts {
    pub(super) services: Arc<dyn Services>,
    pub(super) log: EventLog,
    pub(super) lifecycle: Lifecycle,
    pub(super) metrics: RealtimeMetrics,
    pub(super) sockets: Sockets,
    pub(super) shards: Shards,
    pub(super) ring_events: usize,
    pub(super) deflate_min: usize,
    pub(super) presence: Presence,
    pub(super) client: async_nats::Client,
}

impl Hub {
    /// No rooms yet.
    pub(super) fn new(parts: HubParts) -> Self {
        let HubParts {
            services,
            log,
            lifecycle,
            metrics,
            sockets,
            shards,
            ring_events,
            deflate_min,
            presence,
            client,
        } = parts;
        let notices = NoticeFeed::new(Notices::open(&log));
        Self {
            services,
            log,
            lifecycle,
            metrics,
            sockets,
            rechecks: Rechecks::default(),
            changes: Changes::default(),
            notices,
            presence,
            client,
            calls: Calls::default(),
            filling: Semaphore::new(FILLING),
            shards,
            rooms: Mutex::default(),
            opening: Semaphore::new(OPENING),
            ring_events,
            deflate_min,
            ring_bytes: AtomicUsize::new(MAX_ROOM_RING_BYTES),
            feeds: watch::Sender::new(0),
        }
    }

    /// Where a room's events lie.
    pub(super) fn subject(&self, room: &Room) -> Subject {
        Subject::Room(self.shards.of(room.space), room.id)
    }

    /// A feed has begun: from now on every event reaches the rooms that exist.
    pub(super) fn feed_began(&self) {
        self.feeds.send_modify(|begun| *begun += 1);
    }

    /// How much a room keeps.
    pub(super) fn ring_limits(&self) -> RingLimits {
        RingLimits {
            events: self.ring_events,
            bytes: self.ring_bytes.load(Ordering::Relaxed),
        }
    }

    /// The room, ready to be watched.
    ///
    /// # Errors
    /// `room.not_found`, `room.too_many_watched`, `platform.unavailable`.
    pub(super) async fn open(&self, id: RoomId, place: Place) -> Result<Arc<Room>, Problem> {
        let room = self.room_or_new(id, place)?;
        let opened = room.opened.get_or_try_init(|| async {
            let all = self.shards.count();
            let mut feeds = self.feeds.subscribe();
            let begun = tokio::time::timeout(FEED_WAIT, feeds.wait_for(|begun| *begun >= all));
            if !matches!(begun.await, Ok(Ok(_))) {
                return Err(away("the live feed has not begun"));
            }
            let _turn = self.opening.acquire().await;
            // The room is known to the feed already: what is stored after this look arrives there.
            let subject = self.subject(&room).to_string();
            let last = self.log.last_consistent(&subject).await.map_err(read_problem)?;
            let last = last.ok_or_else(not_found)?;
            room.begin(last.position.seq, self.ring_limits());
            Ok(())
        });
        opened.await?;
        Ok(room)
    }

    fn room_or_new(&self, id: RoomId, place: Place) -> Result<Arc<Room>, Problem> {
        let now = Instant::now();
        let mut rooms = self.lock();
        if let Some(room) = rooms.get(&id) {
            room.touch(now);
            return Ok(Arc::clone(room));
        }
        if rooms.len() >= MAX_ROOMS {
            rooms.retain(|_, room| !room.is_idle(now, OPENING_TIME));
            if rooms.len() >= MAX_ROOMS {
                let detail = "this gateway watches as many rooms as it can; connect again to reach another";
                return Err(Problem::new(
                    ProblemKind::TooMany,
                    "room.too_many_watched",
                    detail,
                ));
            }
        }
        let room = Arc::new(Room::new(id, place.space, place.gate, now));
        rooms.insert(id, Arc::clone(&room));
        Ok(room)
    }

    /// A room that is in memory.
    pub(super) fn room(&self, id: RoomId) -> Option<Arc<Room>> {
        self.lock().get(&id).cloned()
    }

    /// Takes the next event of a room. Returns the room if something waits to be flushed.
    pub(super) async fn take(self: &Arc<Self>, id: RoomId, record: Record) -> Option<Arc<Room>> {
        let room = self.room(id)?;
        let record = room.stall_behind(record)?;
        self.metrics.events.inc();
        let position = record.position.clone();
        let mut reading = self.services.read(record);
        match futures::poll!(&mut reading) {
            std::task::Poll::Ready(Ok(recorded)) => {
                redact(&room, &recorded);
                let prev = prev_or_head(&room, recorded.prev, recorded.position.seq);
                self.accept(
                    &room,
                    recorded.position.seq,
                    prev,
                    frame_of(&room, prev, &recorded),
                    News::of(&recorded),
                );
                Some(room)
            }
            std::task::Poll::Ready(Err(_)) => {
                let reading = self.services_read_again(position.clone());
                self.open_aside(room, position, reading);
                None
            }
            std::task::Poll::Pending => {
                self.open_aside(room, position, reading);
                None
            }
        }
    }

    /// Opens an event whose key is not at hand, and those that come behind it, without holding up other rooms.
    fn open_aside(self: &Arc<Self>, room: Arc<Room>, position: Position, reading: Reading) {
        room.stall();
        let hub = Arc::clone(self);
        self.lifecycle.accompany("open events", async move {
            let mut next = Some((position, reading));
            while let Some((position, reading)) = next {
                let (prev, frame, news) = hub.read_patiently(&room, &position, reading).await;
                hub.accept(&room, position.seq, prev, frame, news);
                hub.flush(&room);
                next = room.next_stalled().map(|record| {
                    let position = record.position.clone();
                    (position, hub.services.read(record))
                });
            }
        });
    }

    /// Reads an event, for as long as its key cannot be looked up. One that cannot be understood becomes an
    /// event without content.
    async fn read_patiently(
        &self,
        room: &Room,
        position: &Position,
        mut reading: Reading,
    ) -> (u64, Frame, Option<News>) {
        let mut pause = KEY_RETRY.0;
        loop {
            match reading.await {
                Ok(recorded) => {
                    redact(room, &recorded);
                    let prev = prev_or_head(room, recorded.prev, recorded.position.seq);
                    return (prev, frame_of(room, prev, &recorded), News::of(&recorded));
                }
                Err(RecordError::Keys(_)) => {}
                Err(error) => {
                    if let Ok(Some(record)) = self.log.get(position).await {
                        tracing::warn!(%position, error.message = %error, "an event of a room cannot be understood");
                        self.metrics.unreadable.inc();
                        let prev = prev_or_head(room, record.prev, record.position.seq);
                        return (prev, frame_without_content(room, prev, &record), None);
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(KEY_RETRY.1);
            reading = self.services_read_again(position.clone());
        }
    }

    fn services_read_again(&self, position: Position) -> Reading {
        let (log, services) = (self.log.clone(), Arc::clone(&self.services));
        Box::pin(async move {
            match log.get(&position).await {
                Ok(Some(record)) => services.read(record).await,
                Ok(None) => Err(RecordError::Keys(away("the event cannot be seen yet"))),
                Err(error) => Err(RecordError::Keys(read_problem(error))),
            }
        })
    }

    fn accept(&self, room: &Room, seq: u64, prev: u64, frame: Frame, news: Option<News>) {
        match room.accept(seq, prev, frame, news, self.ring_limits()) {
            Accepted::Full => self.flush(room),
            Accepted::Gap => {
                tracing::warn!(room.id = %room.id, seq, "events of a room are missing; its watchers are told");
                room.jump(seq);
            }
            Accepted::Waits | Accepted::Known => {}
        }
    }

    /// Hands what waits in a room to its watchers.
    pub(super) fn flush(&self, room: &Room) {
        let flushed = room.flush(Instant::now(), self.deflate_min);
        self.metrics
            .deliveries
            .inc_by((flushed.recipients * flushed.events) as u64);
        if let Some((before, after)) = flushed.deflated {
            self.metrics.deflated_from.inc_by(before as u64);
            self.metrics.deflated_to.inc_by(after as u64);
        }
    }

    /// What an account may do in a space is uncertain from `need` on: its watchers wait until it is looked up.
    pub(super) fn recheck(&self, space: SpaceId, account: veza_events::AccountId, need: Need) {
        for room in self.sockets.rooms_of(account, space) {
            room.suspend(Some(account), need);
        }
        if self.sockets.has(account) {
            self.rechecks.push(space, account);
        }
    }

    /// As [`Self::recheck`], for everybody who watches a room of the space.
    pub(super) fn recheck_all(&self, space: SpaceId, need: Need) {
        let rooms: Vec<_> = self
            .lock()
            .values()
            .filter(|room| room.space == space)
            .cloned()
            .collect();
        let accounts: BTreeSet<_> = rooms.iter().flat_map(|room| room.suspend(None, need)).collect();
        for account in accounts {
            self.rechecks.push(space, account);
        }
    }

    /// Once a second: badges, rooms that nobody needs any more, and what is measured.
    pub(super) fn keep_house(&self) {
        let now = Instant::now();
        let rooms: Vec<_> = {
            let mut rooms = self.lock();
            rooms.retain(|_, room| !room.is_idle(now, IDLE_ROOM));
            rooms.values().cloned().collect()
        };
        let (mut watchers, mut ring_bytes) = (0, 0);
        for room in &rooms {
            room.tell_badges();
            room.forget_fill();
            let (watching, bytes) = room.size();
            watchers += watching;
            ring_bytes += bytes;
        }
        let each = (MAX_RING_BYTES / rooms.len().max(1)).min(MAX_ROOM_RING_BYTES);
        self.ring_bytes.store(each, Ordering::Relaxed);
        let (sockets, queued) = self.sockets.size();
        let gauges = [
            (&self.metrics.sockets, sockets),
            (&self.metrics.rooms, rooms.len()),
            (&self.metrics.watchers, watchers),
            (&self.metrics.queued_bytes, queued),
            (&self.metrics.ring_bytes, ring_bytes),
        ];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Arc<Room>>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A message that was taken back is told again without its text.
fn redact(room: &Room, recorded: &Recorded) {
    if let Event::Room(RoomEvent::MessageDeleted(event)) = &recorded.event {
        room.redact(event.message);
    }
}

type Reading = BoxFuture<'static, Result<Recorded, RecordError>>;

/// An event as clients see it; `prev` is the one before it.
pub(super) fn frame_of(room: &Room, prev: u64, recorded: &Recorded) -> Frame {
    let event = match &recorded.event {
        Event::Room(event) => Some(event),
        Event::Account(_)
        | Event::Handle(_)
        | Event::Space(_)
        | Event::Member(_)
        | Event::Report(_)
        | Event::Schedule(_)
        | Event::Call(_)
        | Event::Held(_) => None,
    };
    let mut head = head_of(room, recorded.position.seq, prev, &recorded.envelope);
    if let Some(RoomEvent::MessagePosted(event)) = event {
        // Not who let it be said.
        head.by = Some(event.author);
    }
    event_frame(&head, event)
}

/// An event that cannot be decoded here, as clients see it: its place in the chain, and its type.
pub(super) fn frame_without_content(room: &Room, prev: u64, record: &Record) -> Frame {
    let seq = record.position.seq;
    let envelope = Envelope::read(|name| record.headers.get(name).map(async_nats::HeaderValue::as_str));
    let head = match &envelope {
        Ok(envelope) => head_of(room, seq, prev, envelope),
        Err(_) => EventHead {
            room: room.id,
            seq,
            prev,
            kind: "unreadable",
            by: None,
            at: record.time.into(),
            command_id: None,
        },
    };
    event_frame(&head, None)
}

fn head_of<'a>(room: &Room, seq: u64, prev: u64, envelope: &'a Envelope) -> EventHead<'a> {
    EventHead {
        room: room.id,
        seq,
        prev,
        kind: &envelope.kind,
        by: envelope.actor,
        at: envelope.time,
        command_id: envelope.cause,
    }
}

/// What was read from storage may not know the event before it; a feed is in order, so it is the room's head.
fn prev_or_head(room: &Room, prev: u64, seq: u64) -> u64 {
    if prev > 0 {
        return prev;
    }
    let head = room.head();
    if head < seq { head } else { 0 }
}

fn away(detail: &str) -> Problem {
    Problem::unavailable(detail, 1_000)
}

fn not_found() -> Problem {
    let detail = "there is no such room, or not for you";
    Problem::new(ProblemKind::NotFound, "room.not_found", detail)
}

//! One watched room: its last events, who watches it, and the one place where an event is handed out.
//!
//! Each watcher carries the sequence up to which it was served. An event goes to a watcher only if it
//! follows that sequence without a gap; otherwise the watcher is served from the ring, or told by `lag`. So
//! nothing is skipped in silence, whatever happens in between.

mod access;
mod badges;
mod filling;
#[cfg(test)]
mod laws;
mod stall;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use veza_events::{AccountId, MessageId, RoomId, SpaceId};
use veza_platform::event_log::Record;

use super::frames::{Frame, Level, join, join_deflated, without_hidden};
use super::outbox::Outbox;
use super::ring::{Ring, RingLimits};
use super::sockets::SocketKey;

pub(super) use access::{Granted, Need, may_read};
pub(super) use badges::News;
pub(super) use filling::Filled;

use badges::Badges;
use filling::Made;

/// Events that wait for a flush at most; more are flushed at once.
const MAX_UNFLUSHED: usize = 64;
/// Cost of one recipient that a room's pace reckons with: a fan-out should not begin before the one before it
/// can be over.
const PACE_PER_WATCHER: Duration = Duration::from_micros(5);
/// Rooms with fewer watchers than this are never paced.
const PACED_WATCHERS: usize = 100;
/// Longest that an event waits for others to share a write with.
const MAX_PACE: Duration = Duration::from_millis(4);
/// Events that arrive while a room is being opened, and records that wait for a key, at most.
pub(super) const MAX_WAITING: usize = 1_024;

/// A room that somebody watches, or watched a moment ago.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) space: SpaceId,
    /// The room whose rights count: itself, or the one that a thread hangs on.
    pub(super) gate: RoomId,
    /// Set once the room's head is known.
    pub(super) opened: OnceCell<()>,
    /// Held by the one who reads the room's events from the log; the others then find them in memory.
    pub(super) reading: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ring: Ring,
    ready: bool,
    /// What arrived before the room was ready.
    early: VecDeque<(u64, u64, Frame)>,
    /// Set while a record's key is being fetched.
    stalled: Option<Stalled>,
    watchers: Vec<Watcher>,
    index: HashMap<SocketKey, usize>,
    badges: Badges,
    made: Option<Made>,
    /// Everything up to here was handed out.
    flushed: u64,
    last_flush: Option<Instant>,
    /// Since when nobody watches.
    idle_since: Option<Instant>,
}

/// What comes behind a record whose key is being fetched.
#[derive(Debug, Default)]
struct Stalled {
    waiting: VecDeque<Record>,
    /// More came than may wait: from here the room goes on with a gap that it tells of.
    skipped_to: u64,
}

#[derive(Debug)]
struct Watcher {
    socket: SocketKey,
    account: AccountId,
    outbox: Arc<Outbox>,
    /// Its client reads compressed frames.
    deflates: bool,
    level: Level,
    /// Everything up to here was handed to the outbox.
    sent: u64,
    /// A fill is under way; it hands out what comes meanwhile.
    held: bool,
    /// Whether it may read is being looked up.
    suspended: bool,
    /// What the look-up must have seen at least.
    need: Need,
    /// It sees nothing of what stands up to here.
    hidden: u64,
}

/// What a flush has handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Flushed {
    /// Events, to each of the recipients.
    pub(super) events: usize,
    pub(super) recipients: usize,
    /// Bytes before and after compression, if somebody wanted that.
    pub(super) deflated: Option<(usize, usize)>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It is the room's new head and waits to be flushed.
    Waits,
    /// As before, and so much waits that it should be flushed now.
    Full,
    /// It was known.
    Known,
    /// Events before it are missing: the room was not changed.
    Gap,
}

impl Room {
    /// A room whose head is not known yet.
    pub(super) fn new(id: RoomId, space: SpaceId, gate: RoomId, now: Instant) -> Self {
        Self {
            id,
            space,
            gate,
            opened: OnceCell::new(),
            reading: tokio::sync::Mutex::default(),
            state: Mutex::new(State {
                ring: Ring::new(0),
                ready: false,
                early: VecDeque::new(),
                stalled: None,
                watchers: Vec::new(),
                index: HashMap::new(),
                badges: Badges::default(),
                made: None,
                flushed: 0,
                last_flush: None,
                idle_since: Some(now),
            }),
        }
    }

    /// Makes the room ready: `head` is its last event, or one a moment before it.
    pub(super) fn begin(&self, head: u64, limits: RingLimits) {
        let mut state = self.lock();
        if state.ready {
            return;
        }
        let early = std::mem::take(&mut state.early);
        let follows = early
            .iter()
            .find(|(seq, ..)| *seq > head)
            .is_none_or(|(_, prev, _)| *prev <= head);
        // Nobody was told a head yet, so a gap here is healed by beginning behind it.
        let head = if follows {
            head
        } else {
            early.back().map_or(head, |(seq, ..)| *seq)
        };
        state.ready = true;
        state.ring.jump(head);
        state.flushed = head;
        for (seq, _, frame) in early {
            if seq > state.ring.head() {
                let flushed = state.flushed;
                state.ring.push(seq, frame, limits, flushed);
            }
        }
        state.flushed = state.ring.head();
        let head = state.ring.head();
        state.badges.begin(head);
    }

    /// The last event's sequence.
    pub(super) fn head(&self) -> u64 {
        self.lock().ring.head()
    }

    /// Takes the next event. `prev` is the one before it, 0 if that is not known; `news` what badges tell of it.
    pub(super) fn accept(
        &self,
        seq: u64,
        prev: u64,
        frame: Frame,
        news: Option<News>,
        limits: RingLimits,
    ) -> Accepted {
        let mut state = self.lock();
        if !state.ready {
            if state.early.len() == MAX_WAITING {
                state.early.pop_front();
            }
            state.early.push_back((seq, prev, frame));
            return Accepted::Known;
        }
        let head = state.ring.head();
        if seq <= head {
            return Accepted::Known;
        }
        if prev > head {
            return Accepted::Gap;
        }
        state.badges.note(seq, news);
        let flushed = state.flushed;
        state.ring.push(seq, frame, limits, flushed);
        let waiting = state.ring.behind(flushed).map_or(0, |waiting| waiting.len());
        if waiting >= MAX_UNFLUSHED {
            Accepted::Full
        } else {
            Accepted::Waits
        }
    }

    /// Forgets what a message said, wherever it would be told again.
    pub(super) fn redact(&self, message: MessageId) {
        let mut state = self.lock();
        state.made = None;
        state.ring.redact(message);
    }

    /// When what waits should be flushed: rooms with many watchers join events that come close together.
    pub(super) fn due(&self, now: Instant) -> Instant {
        let state = self.lock();
        if state.watchers.len() < PACED_WATCHERS {
            return now;
        }
        let watchers = u32::try_from(state.watchers.len()).unwrap_or(u32::MAX);
        let pace = PACE_PER_WATCHER.saturating_mul(watchers).min(MAX_PACE);
        state.last_flush.map_or(now, |last| now.max(last + pace))
    }

    /// Hands what waits to every watcher; to those who asked for it, frames above `deflate_min` bytes compressed.
    pub(super) fn flush(&self, now: Instant, deflate_min: usize) -> Flushed {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (from, head) = (state.flushed, state.ring.head());
        let Some(waiting) = state.ring.behind(from).filter(|waiting| waiting.len() > 0) else {
            return Flushed::default();
        };
        let events = waiting.len();
        let waiting = waiting.map(|entry| &entry.frame);
        // The text of a message that somebody may not see, told anew.
        let tells = |hidden| {
            waiting
                .clone()
                .any(|frame| without_hidden(frame, hidden).is_some())
        };
        // Each made when the first one wants it, then shared.
        let (mut plain, mut small) = (None, None);
        let mut recipients = 0;
        for watcher in &mut state.watchers {
            if watcher.held || watcher.suspended || watcher.level == Level::Badge {
                continue;
            }
            if watcher.sent == from && (watcher.hidden == 0 || !tells(watcher.hidden)) {
                let joined = if watcher.deflates {
                    small.get_or_insert_with(|| join_deflated(waiting.clone(), deflate_min))
                } else {
                    plain.get_or_insert_with(|| join(waiting.clone()))
                };
                watcher.outbox.push_events(self.id, head, joined);
                watcher.sent = head;
            } else {
                watcher.catch_up(self.id, &state.ring);
            }
            recipients += 1;
        }
        let whole = || waiting.clone().map(Frame::len).sum();
        let deflated = small.map(|small: Bytes| (whole(), small.len()));
        state.flushed = head;
        state.last_flush = Some(now);
        Flushed {
            events,
            recipients,
            deflated,
        }
    }

    /// Adds a watcher. It hears nothing until its access is granted and it is released. Returns the
    /// head, from which it will go on.
    pub(super) fn watch(
        &self,
        socket: SocketKey,
        account: AccountId,
        outbox: &Arc<Outbox>,
        level: Level,
    ) -> u64 {
        let mut state = self.lock();
        state.idle_since = None;
        let sent = state.ring.head();
        let watcher = Watcher {
            socket,
            account,
            outbox: Arc::clone(outbox),
            deflates: outbox.deflates(),
            level,
            sent,
            held: true,
            suspended: true,
            need: Need::default(),
            hidden: 0,
        };
        state.badges.watchers += usize::from(level == Level::Badge);
        if let Some(&at) = state.index.get(&socket) {
            let before = &state.watchers[at];
            let (need, badge) = (before.need, before.level == Level::Badge);
            state.badges.watchers -= usize::from(badge);
            state.watchers[at] = Watcher { need, ..watcher };
        } else {
            let at = state.watchers.len();
            state.index.insert(socket, at);
            state.watchers.push(watcher);
        }
        sent
    }

    /// Removes a watcher.
    pub(super) fn unwatch(&self, socket: SocketKey, now: Instant) {
        self.lock().remove(socket, now);
    }

    /// Goes on from `head` without the events before it: every watcher is told by `lag`.
    pub(super) fn jump(&self, head: u64) {
        self.lock().jump(self.id, head);
    }

    /// Hands what is true only now to those who see the room whole, except `by` itself. Returns to how many, and
    /// how many had no room for it.
    pub(super) fn pass(&self, by: AccountId, bytes: &Bytes) -> (usize, usize) {
        let state = self.lock();
        let (mut passed, mut left_out) = (0, 0);
        for watcher in &state.watchers {
            let sees = watcher.level == Level::Full && !watcher.held && !watcher.suspended;
            if sees && watcher.account != by {
                let done = watcher.outbox.push_passing(bytes);
                *(if done { &mut passed } else { &mut left_out }) += 1;
            }
        }
        (passed, left_out)
    }

    /// Whether a socket sees the room whole, as far as is known now.
    pub(super) fn sees(&self, socket: SocketKey) -> bool {
        let state = self.lock();
        let watcher = state.index.get(&socket).map(|&at| &state.watchers[at]);
        watcher.is_some_and(|watcher| watcher.level == Level::Full && !watcher.suspended)
    }

    /// Up to which sequence a socket sees nothing of the room.
    pub(super) fn hidden_from(&self, socket: SocketKey) -> u64 {
        let state = self.lock();
        let watcher = state.index.get(&socket).map(|&at| &state.watchers[at]);
        watcher.map_or(0, |watcher| watcher.hidden)
    }

    /// Watchers, and bytes kept in memory.
    pub(super) fn size(&self) -> (usize, usize) {
        let state = self.lock();
        (state.watchers.len(), state.ring.bytes())
    }

    /// Somebody is about to watch.
    pub(super) fn touch(&self, now: Instant) {
        let mut state = self.lock();
        if state.idle_since.is_some() {
            state.idle_since = Some(now);
        }
    }

    /// Whether nobody has watched for `idle`.
    pub(super) fn is_idle(&self, now: Instant, idle: Duration) -> bool {
        let state = self.lock();
        state.stalled.is_none()
            && state
                .idle_since
                .is_some_and(|since| now.duration_since(since) >= idle)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn jump(&mut self, room: RoomId, head: u64) {
        if !self.ready || head <= self.ring.head() {
            return;
        }
        self.ring.jump(head);
        self.flushed = head;
        self.badges.begin(head);
        for watcher in &mut self.watchers {
            watcher.go_on(room, &self.ring);
        }
    }

    fn remove(&mut self, socket: SocketKey, now: Instant) {
        let Some(at) = self.index.remove(&socket) else {
            return;
        };
        let gone = self.watchers.swap_remove(at);
        self.badges.watchers -= usize::from(gone.level == Level::Badge);
        if let Some(moved) = self.watchers.get(at) {
            self.index.insert(moved.socket, at);
        }
        if self.watchers.is_empty() {
            self.idle_since = Some(now);
        }
    }
}

impl Watcher {
    /// Serves what it has not seen, unless something else is still to come first.
    fn go_on(&mut self, room: RoomId, ring: &Ring) {
        if !self.held && !self.suspended && self.level == Level::Full {
            self.catch_up(room, ring);
        }
    }

    fn catch_up(&mut self, room: RoomId, ring: &Ring) {
        if self.sent >= ring.head() {
            return;
        }
        match ring.behind(self.sent) {
            Some(missing) if self.hidden > 0 => {
                let shown: Vec<_> = missing.map(|entry| entry.shown(self.hidden)).collect();
                self.outbox.push_events(room, ring.head(), &join(shown.iter()));
            }
            Some(missing) => {
                let joined = join(missing.map(|entry| &entry.frame));
                self.outbox.push_events(room, ring.head(), &joined);
            }
            None => self.outbox.push_head(room, ring.head()),
        }
        self.sent = ring.head();
    }
}

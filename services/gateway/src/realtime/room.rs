//! One watched room: its last events, who watches it, and the one place where an event is handed out.
//!
//! Each watcher carries the sequence up to which it was served. An event goes to a watcher only if it
//! follows that sequence without a gap; otherwise the watcher is served from the ring, or told by `lag`. So
//! nothing is skipped in silence, whatever happens in between.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;
use veza_events::{AccountId, Permission, RoomId, SpaceId};
use veza_platform::contract::chat::Access;
use veza_platform::event_log::Record;

use super::frames::{FillBuilder, Frame, Level, join};
use super::outbox::Outbox;
use super::ring::{Entry, Ring, RingLimits};
use super::sockets::SocketKey;

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
    /// Set once the room's head is known.
    pub(super) opened: OnceCell<()>,
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
    level: Level,
    /// Everything up to here was handed to the outbox.
    sent: u64,
    /// A fill is under way; it hands out what comes meanwhile.
    held: bool,
    /// Whether it may read is being looked up.
    suspended: bool,
    /// What the look-up must have seen at least.
    need: Need,
}

/// The last events that bear on an access: an answer based on less is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// Of the space.
    pub(super) space: u64,
    /// Of the membership.
    pub(super) member: u64,
}

impl Need {
    fn met_by(self, access: &Access) -> bool {
        access.space_seq >= self.space && access.member_seq >= self.member
    }

    fn join(&mut self, other: Self) {
        self.space = self.space.max(other.space);
        self.member = self.member.max(other.member);
    }
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

/// What became of a look-up of an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Granted {
    /// Its watchers go on.
    Yes,
    /// It may not read: these sockets do not watch any more.
    No(Vec<SocketKey>),
    /// The answer is older than an event that bears on it; ask again.
    Stale,
}

/// What is left of a fill after a look into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filled {
    /// Nothing; the watcher goes on live.
    Done,
    /// The events up to this sequence are not in memory.
    Missing(u64),
    /// The client saw more than there is.
    Ahead,
    /// The socket does not watch the room.
    NotWatched,
}

impl Room {
    /// A room whose head is not known yet.
    pub(super) fn new(id: RoomId, space: SpaceId, now: Instant) -> Self {
        Self {
            id,
            space,
            opened: OnceCell::new(),
            state: Mutex::new(State {
                ring: Ring::new(0),
                ready: false,
                early: VecDeque::new(),
                stalled: None,
                watchers: Vec::new(),
                index: HashMap::new(),
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
    }

    /// The last event's sequence.
    pub(super) fn head(&self) -> u64 {
        self.lock().ring.head()
    }

    /// Takes the next event. `prev` is the one before it, 0 if that is not known.
    pub(super) fn accept(&self, seq: u64, prev: u64, frame: Frame, limits: RingLimits) -> Accepted {
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
        let flushed = state.flushed;
        state.ring.push(seq, frame, limits, flushed);
        let waiting = state.ring.behind(flushed).map_or(0, |waiting| waiting.len());
        if waiting >= MAX_UNFLUSHED {
            Accepted::Full
        } else {
            Accepted::Waits
        }
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

    /// Hands what waits to every watcher. Returns how many got how many events.
    pub(super) fn flush(&self, now: Instant) -> (usize, usize) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (from, head) = (state.flushed, state.ring.head());
        let Some(waiting) = state.ring.behind(from).filter(|waiting| waiting.len() > 0) else {
            return (0, 0);
        };
        let events = waiting.len();
        let joined = join(waiting.map(|entry| &entry.frame));
        let mut recipients = 0;
        for watcher in &mut state.watchers {
            if watcher.held || watcher.suspended || watcher.level == Level::Badge {
                continue;
            }
            if watcher.sent == from {
                watcher.outbox.push_events(self.id, head, &joined);
                watcher.sent = head;
            } else {
                watcher.catch_up(self.id, &state.ring);
            }
            recipients += 1;
        }
        state.flushed = head;
        state.last_flush = Some(now);
        (recipients, events)
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
            level,
            sent,
            held: true,
            suspended: true,
            need: Need::default(),
        };
        if let Some(&at) = state.index.get(&socket) {
            let need = state.watchers[at].need;
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

    /// Lets a watcher that was held go on: what came meanwhile is handed to it as events.
    pub(super) fn release(&self, socket: SocketKey) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(watcher) = state.index.get(&socket).map(|&at| &mut state.watchers[at]) {
            watcher.held = false;
            watcher.go_on(self.id, &state.ring);
        }
    }

    /// Begins a fill: the watcher hears nothing until it is done. Returns the head; `None` if it does not watch.
    pub(super) fn hold(&self, socket: SocketKey) -> Option<u64> {
        let mut state = self.lock();
        let at = *state.index.get(&socket)?;
        state.watchers[at].held = true;
        Some(state.ring.head())
    }

    /// Fills a held watcher from memory, from the event behind `from` to the head, and lets it go on.
    pub(super) fn fill(&self, socket: SocketKey, from: u64) -> Filled {
        let mut guard = self.lock();
        let state = &mut *guard;
        let Some(watcher) = state.index.get(&socket).map(|&at| &mut state.watchers[at]) else {
            return Filled::NotWatched;
        };
        let head = state.ring.head();
        if from > head {
            return Filled::Ahead;
        }
        let Some(entries) = state.ring.behind(from) else {
            return Filled::Missing(state.ring.base());
        };
        if watcher.suspended {
            // Whether it may read is not known now. Once it is, it goes on from where the fill has come to.
            watcher.sent = from;
            watcher.held = false;
            return Filled::Done;
        }
        let mut fill = FillBuilder::new(self.id, from, head, true);
        for entry in entries {
            fill.push(entry.frame.json());
        }
        watcher.outbox.push(&fill.finish());
        watcher.sent = head;
        watcher.held = false;
        Filled::Done
    }

    /// Ends a fill of a client that is a moment ahead of this gateway: it goes on behind `seen`.
    pub(super) fn resume_at(&self, socket: SocketKey, seen: u64) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(watcher) = state.index.get(&socket).map(|&at| &mut state.watchers[at]) {
            watcher
                .outbox
                .push(&FillBuilder::new(self.id, seen, seen, true).finish());
            watcher.held = false;
            watcher.sent = seen;
            watcher.go_on(self.id, &state.ring);
        }
    }

    /// Ends a fill that cannot be completed: the watcher goes on from the head, which is returned.
    pub(super) fn skip(&self, socket: SocketKey) -> u64 {
        let mut guard = self.lock();
        let state = &mut *guard;
        let head = state.ring.head();
        if let Some(watcher) = state.index.get(&socket).map(|&at| &mut state.watchers[at]) {
            watcher.held = false;
            watcher.sent = head;
        }
        head
    }

    /// Keeps events that a fill has read from the log, if they reach up to what is kept already.
    pub(super) fn keep(&self, from: u64, events: &[Entry], limits: RingLimits) {
        self.lock().ring.extend_back(from, events, limits);
    }

    /// Stops the watchers of `account`, or of all, until an access that is based on `need` is granted. Returns
    /// whose they are.
    pub(super) fn suspend(&self, account: Option<AccountId>, need: Need) -> Vec<AccountId> {
        let mut accounts = Vec::new();
        let mut state = self.lock();
        for watcher in &mut state.watchers {
            if account.is_none_or(|account| account == watcher.account) {
                watcher.suspended = true;
                watcher.need.join(need);
                accounts.push(watcher.account);
            }
        }
        accounts
    }

    /// Lets the watchers of `account` go on, or removes them, as `access` says.
    pub(super) fn grant(&self, account: AccountId, access: &Access, now: Instant) -> Granted {
        let mut guard = self.lock();
        let state = &mut *guard;
        let mine = state.watchers.iter().filter(|watcher| watcher.account == account);
        if mine.clone().any(|watcher| !watcher.need.met_by(access)) {
            return Granted::Stale;
        }
        if !may_read(access, self.id) {
            let sockets: Vec<_> = mine.map(|watcher| watcher.socket).collect();
            for &socket in &sockets {
                state.remove(socket, now);
            }
            return Granted::No(sockets);
        }
        for watcher in state
            .watchers
            .iter_mut()
            .filter(|watcher| watcher.account == account)
        {
            watcher.suspended = false;
            watcher.go_on(self.id, &state.ring);
        }
        Granted::Yes
    }

    /// Goes on from `head` without the events before it: every watcher is told by `lag`.
    pub(super) fn jump(&self, head: u64) {
        self.lock().jump(self.id, head);
    }

    /// Tells watchers that want no events how far the room is, if it moved.
    pub(super) fn tell_badges(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let head = state.ring.head();
        for watcher in &mut state.watchers {
            let waits = watcher.level == Level::Badge && !watcher.held && !watcher.suspended;
            if waits && watcher.sent < head {
                watcher.outbox.push_head(self.id, head);
                watcher.sent = head;
            }
        }
    }

    /// Puts a record behind one whose key is being fetched; gives it back when there is none.
    pub(super) fn stall_behind(&self, record: Record) -> Option<Record> {
        let mut state = self.lock();
        let Some(stalled) = &mut state.stalled else {
            return Some(record);
        };
        if stalled.skipped_to > 0 || stalled.waiting.len() >= MAX_WAITING {
            stalled.waiting.clear();
            stalled.skipped_to = record.position.seq;
        } else {
            stalled.waiting.push_back(record);
        }
        None
    }

    /// From now on records of this room wait, until [`Self::next_stalled`] finds none.
    pub(super) fn stall(&self) {
        self.lock().stalled.get_or_insert_default();
    }

    /// The next record that waits; when there is none, records do not wait any more.
    pub(super) fn next_stalled(&self) -> Option<Record> {
        let mut state = self.lock();
        let stalled = state.stalled.as_mut()?;
        let next = stalled.waiting.pop_front();
        if next.is_none() {
            let skipped_to = stalled.skipped_to;
            state.stalled = None;
            state.jump(self.id, skipped_to);
        }
        next
    }

    /// Watchers, and bytes kept in memory.
    pub(super) fn size(&self) -> (usize, usize) {
        let state = self.lock();
        (state.watchers.len(), state.ring.bytes())
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
        for watcher in &mut self.watchers {
            watcher.go_on(room, &self.ring);
        }
    }

    fn remove(&mut self, socket: SocketKey, now: Instant) {
        let Some(at) = self.index.remove(&socket) else {
            return;
        };
        self.watchers.swap_remove(at);
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
            Some(missing) => {
                let joined = join(missing.map(|entry| &entry.frame));
                self.outbox.push_events(room, ring.head(), &joined);
            }
            None => self.outbox.push_head(room, ring.head()),
        }
        self.sent = ring.head();
    }
}

/// Whether an access lets an account read a room.
pub(super) fn may_read(access: &Access, room: RoomId) -> bool {
    let mut rooms = access.rooms.iter();
    access.joined && rooms.any(|(id, allowed)| *id == room && allowed.has(Permission::View))
}

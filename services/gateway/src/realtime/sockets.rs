//! All open sockets of this gateway, and what may happen to them from outside: notices about their account,
//! the end of their session, the loss of a room, a shutdown.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use veza_events::{AccountId, RoomId, Scope, SessionId, SpaceId};
use veza_platform::ambient;

use super::account::{Chain, LastFrame, Notice};
use super::frames::{CloseCode, Frame, Outgoing, ResetReason};
use super::outbox::Outbox;
use super::room::Room;
use super::services::Identity;

/// Names a socket within this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SocketKey(u64);

#[cfg(test)]
impl SocketKey {
    /// A key that no socket has.
    pub(super) const fn of(n: u64) -> Self {
        Self(n)
    }
}

/// Rooms in which one socket can type within a moment.
const MAX_TYPED: usize = 8;

/// What somebody is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hears {
    /// Of everything: a socket.
    All,
    /// Of rooms, and nothing of the account's own.
    Rooms,
}

/// A socket that has said who it is.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) key: SocketKey,
    pub(super) identity: Identity,
    pub(super) outbox: Arc<Outbox>,
    /// Where it stands in what its account is told.
    pub(super) chain: Chain,
    hears: Hears,
    watched: Mutex<HashMap<RoomId, Arc<Room>>>,
    /// Rooms that it resumes and that cannot be reached just now.
    awaited: Mutex<HashSet<RoomId>>,
    /// When it last said that somebody is typing.
    typed: Mutex<Vec<(RoomId, Instant)>>,
}

impl Peer {
    /// Notes that it is to watch a room as soon as that can be reached.
    pub(super) fn await_room(&self, room: RoomId) {
        self.awaited().insert(room);
    }

    /// Whether it is to watch a room that could not be reached yet.
    pub(super) fn awaits(&self, room: RoomId) -> bool {
        self.awaited().contains(&room)
    }

    /// A room is reached, or not wanted any more; `false` when it was not awaited.
    pub(super) fn arrived(&self, room: RoomId) -> bool {
        self.awaited().remove(&room)
    }

    /// Whether it may say now that somebody is typing; at most once in a room within `every`.
    pub(super) fn types(&self, room: RoomId, now: Instant, every: Duration) -> bool {
        let mut typed = self.typed.lock().unwrap_or_else(PoisonError::into_inner);
        typed.retain(|(_, at)| now.duration_since(*at) < every);
        if typed.len() >= MAX_TYPED || typed.iter().any(|(known, _)| *known == room) {
            return false;
        }
        typed.push((room, now));
        true
    }

    /// The room, if this socket watches it.
    pub(super) fn watched(&self, room: RoomId) -> Option<Arc<Room>> {
        self.lock().get(&room).cloned()
    }

    /// Notes that it watches a room, unless it watches `max` others already.
    pub(super) fn add(&self, room: &Arc<Room>, max: usize) -> bool {
        let mut watched = self.lock();
        if watched.len() >= max && !watched.contains_key(&room.id) {
            return false;
        }
        watched.insert(room.id, Arc::clone(room));
        true
    }

    /// Notes that it does not watch a room any more.
    pub(super) fn remove(&self, room: RoomId) -> Option<Arc<Room>> {
        self.lock().remove(&room)
    }

    fn rooms_of(&self, space: SpaceId) -> Vec<Arc<Room>> {
        self.lock()
            .values()
            .filter(|room| room.space == space)
            .cloned()
            .collect()
    }

    fn awaited(&self) -> MutexGuard<'_, HashSet<RoomId>> {
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Arc<Room>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The registry.
#[derive(Debug)]
pub(super) struct Sockets {
    next: AtomicU64,
    draining: AtomicBool,
    per_account: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<SocketKey, Open>,
    by_account: HashMap<AccountId, Vec<Arc<Peer>>>,
    by_session: HashMap<SessionId, Vec<Arc<Peer>>>,
}

#[derive(Debug)]
struct Open {
    outbox: Arc<Outbox>,
    /// Set once it has said who it is.
    peer: Option<Arc<Peer>>,
}

impl Sockets {
    /// No sockets; at most `per_account` of one account.
    pub(super) fn new(per_account: usize) -> Self {
        Self {
            next: AtomicU64::new(1),
            draining: AtomicBool::new(false),
            per_account,
            state: Mutex::default(),
        }
    }

    /// Adds a socket that has not said who it is.
    pub(super) fn open(&self, outbox: &Arc<Outbox>) -> SocketKey {
        let key = SocketKey(self.next.fetch_add(1, Ordering::Relaxed));
        let open = Open {
            outbox: Arc::clone(outbox),
            peer: None,
        };
        self.lock().open.insert(key, open);
        if self.is_draining() {
            outbox.close(CloseCode::Restarting);
        }
        key
    }

    /// Notes who an open socket is; `None` when the account has too many.
    pub(super) fn enter(
        &self,
        key: SocketKey,
        identity: Identity,
        outbox: &Arc<Outbox>,
        hears: Hears,
    ) -> Option<Arc<Peer>> {
        let mut state = self.lock();
        let mine = state.by_account.entry(identity.account).or_default();
        if mine.len() >= self.per_account {
            return None;
        }
        let peer = Arc::new(Peer {
            key,
            identity,
            outbox: Arc::clone(outbox),
            chain: Chain::default(),
            hears,
            watched: Mutex::default(),
            awaited: Mutex::default(),
            typed: Mutex::default(),
        });
        mine.push(Arc::clone(&peer));
        if let Some(open) = state.open.get_mut(&key) {
            open.peer = Some(Arc::clone(&peer));
        }
        state
            .by_session
            .entry(identity.session)
            .or_default()
            .push(Arc::clone(&peer));
        Some(peer)
    }

    /// Forgets a socket, and takes it out of all rooms. Returns whose it was.
    pub(super) fn leave(&self, key: SocketKey, now: Instant) -> Option<AccountId> {
        let mut state = self.lock();
        let Open { outbox, peer } = state.open.remove(&key)?;
        if let Some(peer) = &peer {
            forget(&mut state.by_account, &peer.identity.account, key);
            forget(&mut state.by_session, &peer.identity.session, key);
        }
        drop(state);
        outbox.discard();
        for (_, room) in peer.iter().flat_map(|peer| std::mem::take(&mut *peer.lock())) {
            room.unwatch(key, now);
        }
        peer.map(|peer| peer.identity.account)
    }

    /// What waits for a socket.
    pub(super) fn outbox(&self, key: SocketKey) -> Option<Arc<Outbox>> {
        let state = self.lock();
        state.open.get(&key).map(|open| Arc::clone(&open.outbox))
    }

    /// Tells every socket of an account.
    pub(super) fn tell(&self, account: AccountId, notice: &Arc<Notice>) {
        let mut last = LastFrame::default();
        let state = self.lock();
        let peers = state.by_account.get(&account).into_iter().flatten();
        for peer in peers.filter(|peer| peer.hears == Hears::All) {
            peer.chain.tell(notice, &mut last, &peer.outbox);
        }
    }

    /// Tells the sockets of an account something that is in no chain, if they are a person's or good for `scope`. Returns how
    /// many.
    pub(super) fn tell_directly(&self, account: AccountId, scope: Option<Scope>, frame: &Frame) -> usize {
        let state = self.lock();
        let good = |peer: &&Arc<Peer>| match (peer.identity.scopes, scope) {
            _ if peer.hears == Hears::Rooms => false,
            (Some(held), Some(scope)) => held.has(scope),
            (Some(_), None) | (None, _) => true,
        };
        let peers = state.by_account.get(&account).into_iter().flatten().filter(good);
        peers.inspect(|peer| peer.outbox.push(frame)).count()
    }

    /// The sockets of an account were not told something.
    pub(super) fn break_chain(&self, account: AccountId, seq: u64) {
        let state = self.lock();
        let peers = state.by_account.get(&account).into_iter().flatten();
        for peer in peers.filter(|peer| peer.hears == Hears::All) {
            peer.chain.break_at(seq, &peer.outbox);
        }
    }

    /// Nobody was told something.
    pub(super) fn break_chains(&self, seq: u64) {
        let state = self.lock();
        let peers = state.by_account.values().flatten();
        for peer in peers.filter(|peer| peer.hears == Hears::All) {
            peer.chain.break_at(seq, &peer.outbox);
        }
    }

    /// Whether an account has a socket here.
    pub(super) fn has(&self, account: AccountId) -> bool {
        self.lock().by_account.contains_key(&account)
    }

    /// Rooms of a space that an account watches on any of its sockets.
    pub(super) fn rooms_of(&self, account: AccountId, space: SpaceId) -> Vec<Arc<Room>> {
        let state = self.lock();
        let peers = state.by_account.get(&account).into_iter().flatten();
        let mut rooms: Vec<_> = peers.flat_map(|peer| peer.rooms_of(space)).collect();
        rooms.sort_unstable_by_key(|room| room.id);
        rooms.dedup_by_key(|room| room.id);
        rooms
    }

    /// The sockets have lost a room of `account`.
    pub(super) fn lost(&self, account: AccountId, sockets: &[SocketKey], room: RoomId) {
        let reset = Outgoing::Reset {
            room: Some(room),
            why: ResetReason::Access,
            head: None,
        };
        let frame = reset.frame();
        for peer in self.lock().by_account.get(&account).into_iter().flatten() {
            if sockets.contains(&peer.key) {
                peer.remove(room);
                peer.outbox.push(&frame);
            }
        }
    }

    /// Closes every socket of a session that is over.
    pub(super) fn revoke(&self, session: SessionId) {
        for peer in self.lock().by_session.get(&session).into_iter().flatten() {
            peer.outbox.close(CloseCode::Revoked);
        }
    }

    /// Sessions that have a socket.
    pub(super) fn sessions(&self) -> Vec<SessionId> {
        self.lock().by_session.keys().copied().collect()
    }

    /// Open sockets, and bytes that wait on all of them.
    pub(super) fn size(&self) -> (usize, usize) {
        let outboxes = self.outboxes();
        (outboxes.len(), outboxes.iter().map(|outbox| outbox.bytes()).sum())
    }

    /// Whether a shutdown has begun.
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Asks every client to come back elsewhere, spread over `jitter` so that they do not come all at once.
    pub(super) async fn drain(&self, jitter: Duration) {
        self.draining.store(true, Ordering::Release);
        let begin = Instant::now();
        let mut turns: Vec<_> = self
            .outboxes()
            .into_iter()
            .map(|outbox| {
                let share = u32::from_be_bytes(ambient::random());
                (jitter.mul_f64(f64::from(share) / f64::from(u32::MAX)), outbox)
            })
            .collect();
        turns.sort_unstable_by_key(|(delay, _)| *delay);
        for (delay, outbox) in turns {
            tokio::time::sleep_until(begin + delay).await;
            outbox.close(CloseCode::Restarting);
        }
    }

    fn outboxes(&self) -> Vec<Arc<Outbox>> {
        self.lock()
            .open
            .values()
            .map(|open| Arc::clone(&open.outbox))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<Arc<Peer>>>, of: &K, key: SocketKey) {
    if let Some(peers) = map.get_mut(of) {
        peers.retain(|peer| peer.key != key);
        if peers.is_empty() {
            map.remove(of);
        }
    }
}

//! Handing a watcher what it missed, and letting it go on from there.

use bytes::Bytes;
use veza_events::{MessageId, RoomId};

use super::Room;
use crate::realtime::frames::{FillBuilder, Frame, deletion, join_deflated};
use crate::realtime::ring::{Entry, RingLimits};
use crate::realtime::sockets::SocketKey;

/// What is left of a fill after a look into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::realtime) enum Filled {
    /// Nothing; the watcher goes on live.
    Done,
    /// The events up to this sequence are not in memory.
    Missing(u64),
    /// The client saw more than there is.
    Ahead,
    /// The socket does not watch the room.
    NotWatched,
}

/// The last fill from memory. After a restart everybody misses the same, and shares it.
#[derive(Debug)]
pub(super) struct Made {
    from: u64,
    to: u64,
    frame: Frame,
    /// Compressed, once somebody has asked for that.
    small: Option<Bytes>,
}

impl Made {
    fn new<'a>(room: RoomId, from: u64, to: u64, frames: impl Iterator<Item = &'a Frame>) -> Self {
        let mut fill = FillBuilder::new(room, from, to, true);
        frames.for_each(|frame| fill.push(frame.json()));
        Self {
            from,
            to,
            frame: fill.finish(),
            small: None,
        }
    }

    fn bytes(&mut self, deflates: bool, min: usize) -> Bytes {
        if !deflates {
            return self.frame.bytes().clone();
        }
        let small = self
            .small
            .get_or_insert_with(|| join_deflated(std::iter::once(&self.frame), min));
        small.clone()
    }
}

impl Room {
    /// Lets a watcher that was held go on: what came meanwhile is handed to it as events.
    pub(in crate::realtime) fn release(&self, socket: SocketKey) {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(watcher) = state.index.get(&socket).map(|&at| &mut state.watchers[at]) {
            watcher.held = false;
            watcher.go_on(self.id, &state.ring);
        }
    }

    /// Begins a fill: the watcher hears nothing until it is done. Returns the head; `None` if it does not watch.
    pub(in crate::realtime) fn hold(&self, socket: SocketKey) -> Option<u64> {
        let mut state = self.lock();
        let at = *state.index.get(&socket)?;
        state.watchers[at].held = true;
        Some(state.ring.head())
    }

    /// Fills a held watcher from memory, from the event behind `from` to the head, and lets it go on. Above
    /// `deflate_min` bytes compressed, for who reads that.
    pub(in crate::realtime) fn fill(&self, socket: SocketKey, from: u64, deflate_min: usize) -> Filled {
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
        let bytes = if watcher.hidden == 0 {
            let made = state.made.take();
            let made = made.filter(|made| (made.from, made.to) == (from, head));
            let made = state.made.insert(made.unwrap_or_else(|| {
                let frames = entries.map(|entry| &entry.frame);
                Made::new(self.id, from, head, frames)
            }));
            made.bytes(watcher.deflates, deflate_min)
        } else {
            let shown: Vec<_> = entries.map(|entry| entry.shown(watcher.hidden)).collect();
            Made::new(self.id, from, head, shown.iter()).bytes(watcher.deflates, deflate_min)
        };
        watcher.outbox.push_bytes(bytes);
        watcher.sent = head;
        watcher.held = false;
        Filled::Done
    }

    /// Ends a fill of a client that is a moment ahead of this gateway: it goes on behind `seen`.
    pub(in crate::realtime) fn resume_at(&self, socket: SocketKey, seen: u64) {
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
    pub(in crate::realtime) fn skip(&self, socket: SocketKey) -> u64 {
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
    pub(in crate::realtime) fn keep(&self, from: u64, events: &[Entry], limits: RingLimits) {
        let mut state = self.lock();
        state.made = None;
        state.ring.extend_back(from, events, limits);
    }

    /// Messages that were taken back by what is behind `after`; `None` when that is not in memory.
    pub(in crate::realtime) fn deleted_behind(&self, after: u64) -> Option<Vec<MessageId>> {
        let state = self.lock();
        let behind = state.ring.behind(after)?;
        Some(behind.filter_map(|entry| deletion(&entry.frame)).collect())
    }

    /// Forgets the last fill: those who come back together have come.
    pub(in crate::realtime) fn forget_fill(&self) {
        self.lock().made = None;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::task::{Context, Waker};

    use tokio::time::Instant;
    use uuid::Uuid;
    use veza_events::Permissions;
    use veza_platform::contract::chat::Access;

    use super::*;
    use crate::realtime::frames::Level;
    use crate::realtime::outbox::{Outbox, OutboxLimits};

    const LIMITS: RingLimits = RingLimits {
        events: 10,
        bytes: 100_000,
    };
    const MESSAGE: &str = "00000000-0000-0000-0000-000000000007";

    fn id<T: From<Uuid>>(n: u128) -> T {
        Uuid::from_u128(n).into()
    }

    /// Somebody who watches the room and is held.
    fn watcher(room: &Room, n: u64, deflates: bool) -> (SocketKey, Arc<Outbox>) {
        let outbox = Arc::new(Outbox::new(OutboxLimits {
            lag_bytes: 100_000,
            max_bytes: 1_000_000,
        }));
        if deflates {
            outbox.deflate();
        }
        let socket = SocketKey::of(n);
        room.watch(socket, id(3), &outbox, Level::Full);
        let access = Access {
            joined: true,
            permissions: Permissions::all(),
            rooms: vec![(id(1), Permissions::all())],
            categories: Vec::new(),
            hidden: Vec::new(),
            space_seq: u64::MAX,
            member_seq: u64::MAX,
        };
        room.grant(id(3), &access, Instant::now());
        (socket, outbox)
    }

    fn filled(room: &Room, (socket, outbox): &(SocketKey, Arc<Outbox>)) -> Bytes {
        room.hold(*socket);
        assert_eq!(room.fill(*socket, 10, 64), Filled::Done);
        let mut pieces = VecDeque::new();
        let cx = Context::from_waker(Waker::noop());
        outbox.take(0, &mut pieces, usize::MAX, &cx);
        assert_eq!(pieces.len(), 1);
        pieces.remove(0).unwrap()
    }

    fn room() -> Room {
        let room = Room::new(id(1), id(2), id(1), Instant::now());
        room.begin(10, LIMITS);
        let posted = format!(
            r#"{{"t":"event","type":"room.message_posted.v1","data":{{"message":"{MESSAGE}","body":"{}"}}}}"#,
            "so it goes ".repeat(20)
        );
        room.accept(12, 10, Frame::text(posted.as_bytes()), None, LIMITS);
        room
    }

    #[test]
    fn who_misses_the_same_shares_one_fill() {
        let room = room();
        let watchers = [1, 2, 3, 4].map(|n| watcher(&room, n, n > 2));
        let fills = watchers.map(|watcher| filled(&room, &watcher));
        assert_eq!(fills[0].as_ptr(), fills[1].as_ptr());
        assert_eq!(fills[2].as_ptr(), fills[3].as_ptr());
        assert!(fills[2].len() < fills[0].len(), "compressed for who reads that");
        room.accept(13, 12, Frame::text(b"{}"), None, LIMITS);
        assert!(filled(&room, &watcher(&room, 5, false)).len() > fills[0].len());
    }

    #[test]
    fn what_was_taken_back_is_in_no_later_fill() {
        let room = room();
        let text = |fill: &Bytes| fill.windows(10).any(|part| part == b"so it goes");
        assert!(text(&filled(&room, &watcher(&room, 1, false))));
        assert_eq!(room.deleted_behind(10), Some(Vec::new()));
        let deleted =
            format!(r#"{{"t":"event","type":"room.message_deleted.v1","data":{{"message":"{MESSAGE}"}}}}"#);
        room.redact(MESSAGE.parse().unwrap());
        assert!(!text(&filled(&room, &watcher(&room, 2, false))));
        room.accept(14, 12, Frame::text(deleted.as_bytes()), None, LIMITS);
        assert_eq!(room.deleted_behind(10), Some(vec![MESSAGE.parse().unwrap()]));
        assert_eq!(room.deleted_behind(9), None, "not in memory");
    }
}

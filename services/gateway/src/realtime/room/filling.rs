//! Handing a watcher what it missed, and letting it go on from there.

use super::Room;
use crate::realtime::frames::FillBuilder;
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

    /// Fills a held watcher from memory, from the event behind `from` to the head, and lets it go on.
    pub(in crate::realtime) fn fill(&self, socket: SocketKey, from: u64) -> Filled {
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
            match watcher.hidden {
                0 => fill.push(entry.frame.json()),
                hidden => fill.push(entry.shown(hidden).json()),
            }
        }
        watcher.outbox.push(&fill.finish());
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
        self.lock().ring.extend_back(from, events, limits);
    }
}

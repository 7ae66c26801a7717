//! What waits to be written to one socket.
//!
//! Anyone puts frames in, without waiting and without allocating; the socket's task takes them out. A
//! client that reads too slowly loses events here, and only here: they give way to one `lag` that names
//! how far each room is, so that the client knows what to ask for. Answers are never left out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;
use veza_events::RoomId;

use super::frames::{Badge, CloseCode, Frame, Outgoing};

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutboxLimits {
    /// Bytes above which events give way to `lag`.
    pub(super) lag_bytes: usize,
    /// Bytes above which the socket is closed.
    pub(super) max_bytes: usize,
}

/// The queue of one socket.
#[derive(Debug)]
pub(super) struct Outbox {
    limits: OutboxLimits,
    /// The client reads compressed frames.
    deflates: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Entry>,
    /// Bytes that are queued or taken and not yet written.
    bytes: usize,
    /// Of which taken.
    taken: usize,
    /// Rooms whose events were left out, with the last one's sequence.
    lag: BTreeMap<RoomId, u64>,
    /// What is told of rooms that are watched as badges, at once and after everything else.
    badges: BTreeMap<RoomId, Badge>,
    closing: Option<CloseCode>,
    /// The socket's task when it waits for something to write.
    writer: Option<Waker>,
    /// Who waits until little is queued.
    filler: Option<Waker>,
    /// The socket is gone; nothing is queued any more.
    gone: bool,
}

#[derive(Debug)]
struct Entry {
    bytes: Bytes,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Is never left out.
    Answer,
    /// Of a room, up to a sequence.
    Event(RoomId, u64),
    /// True only now; the first to be left out.
    Passing,
}

/// What [`Outbox::take`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The list now has something.
    Some,
    /// Nothing waits; the context is woken when something does.
    Nothing,
    /// Nothing waits, and the socket is to be closed.
    Close(CloseCode),
}

impl Outbox {
    /// An empty queue.
    pub(super) fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            deflates: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// From now on compressed frames may be put in.
    pub(super) fn deflate(&self) {
        self.deflates.store(true, Ordering::Relaxed);
    }

    /// Whether the client reads compressed frames.
    pub(super) fn deflates(&self) -> bool {
        self.deflates.load(Ordering::Relaxed)
    }

    /// Queues events of a room up to `last`, or notes that they were left out.
    pub(super) fn push_events(&self, room: RoomId, last: u64, bytes: &Bytes) {
        let mut state = self.lock();
        if state.gone || state.closing.is_some() {
            return;
        }
        // Once some of a room's events are left out, so are all until the client has been told: otherwise
        // the `lag` would come behind events that it does not cover.
        if state.bytes + bytes.len() > self.limits.lag_bytes {
            state.drop_events(None);
            state.lag.insert(room, last);
        } else if let Some(head) = state.lag.get_mut(&room) {
            *head = last;
        } else {
            state.push(bytes.clone(), Kind::Event(room, last));
        }
        Self::wake(state);
    }

    /// Tells how far a room is without its events.
    pub(super) fn push_head(&self, room: RoomId, head: u64) {
        let mut state = self.lock();
        if state.gone || state.closing.is_some() {
            return;
        }
        // Events of this room that still wait must not come behind a `lag` that covers them.
        state.drop_events(Some(room));
        state.lag.insert(room, head);
        Self::wake(state);
    }

    /// Tells how far a room is, together with what was not told yet.
    pub(super) fn push_badge(&self, room: RoomId, badge: Badge) {
        let mut state = self.lock();
        if state.gone || state.closing.is_some() {
            return;
        }
        let badge = match state.badges.get(&room) {
            Some(before) => badge.behind(*before),
            None => badge,
        };
        state.badges.insert(room, badge);
        Self::wake(state);
    }

    /// Queues a frame that must not be left out. When too much waits, the socket is closed instead.
    pub(super) fn push(&self, frame: &Frame) {
        self.push_bytes(frame.bytes().clone());
    }

    /// As [`Self::push`], for bytes that are frames already.
    pub(super) fn push_bytes(&self, bytes: Bytes) {
        let mut state = self.lock();
        // Before a restart, commands under way still get their answers.
        if state.gone || state.closing.is_some_and(|code| code != CloseCode::Restarting) {
            return;
        }
        state.push(bytes, Kind::Answer);
        if state.bytes > self.limits.max_bytes {
            state.closing = Some(CloseCode::Slow);
            state.clear();
        }
        Self::wake(state);
    }

    /// Queues what is true only now, unless the client reads slowly. `false` when it was left out.
    pub(super) fn push_passing(&self, bytes: &Bytes) -> bool {
        let mut state = self.lock();
        if state.gone || state.closing.is_some() {
            return true;
        }
        if state.bytes + bytes.len() > self.limits.lag_bytes / 2 {
            return false;
        }
        state.push(bytes.clone(), Kind::Passing);
        Self::wake(state);
        true
    }

    /// Lets the socket be closed once everything that waits is written. What waits for a slow reader, or for
    /// one who may not read any more, is dropped.
    pub(super) fn close(&self, code: CloseCode) {
        let mut state = self.lock();
        if matches!(code, CloseCode::Slow | CloseCode::Revoked) {
            state.clear();
        }
        state.closing.get_or_insert(code);
        Self::wake(state);
    }

    /// Why the socket is to be closed, if it is.
    pub(super) fn closing(&self) -> Option<CloseCode> {
        self.lock().closing
    }

    /// Bytes that are not written yet.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The writer has written `written` bytes of what it took. Moves at most `max` more bytes (but at least one
    /// piece) into `batch`.
    pub(super) fn take(
        &self,
        written: usize,
        batch: &mut VecDeque<Bytes>,
        max: usize,
        cx: &Context<'_>,
    ) -> Taken {
        let mut state = self.lock();
        state.bytes -= written;
        state.taken -= written;
        let before = state.taken;
        while let Some(entry) = state.queue.front() {
            if state.taken > before && state.taken - before + entry.bytes.len() > max {
                break;
            }
            state.taken += entry.bytes.len();
            batch.extend(state.queue.pop_front().map(|entry| entry.bytes));
        }
        if state.taken == before && state.closing.is_none() {
            batch.extend(state.told_last());
        }
        let filler = (state.bytes < self.limits.lag_bytes / 2)
            .then(|| state.filler.take())
            .flatten();
        let taken = if state.taken > before {
            Taken::Some
        } else if let Some(code) = state.closing {
            Taken::Close(code)
        } else {
            state.writer = Some(cx.waker().clone());
            Taken::Nothing
        };
        drop(state);
        if let Some(filler) = filler {
            filler.wake();
        }
        taken
    }

    /// Waits until so little is queued that a large answer finds room, or the socket closes.
    pub(super) async fn roomy(&self) {
        std::future::poll_fn(|cx| {
            let mut state = self.lock();
            if state.bytes < self.limits.lag_bytes / 2 || state.gone || state.closing.is_some() {
                return std::task::Poll::Ready(());
            }
            state.filler = Some(cx.waker().clone());
            std::task::Poll::Pending
        })
        .await;
    }

    /// The socket is gone: frees what waits and takes nothing more.
    pub(super) fn discard(&self) {
        let mut state = self.lock();
        *state = State {
            gone: true,
            ..State::default()
        };
    }

    fn wake(mut state: MutexGuard<'_, State>) {
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn clear(&mut self) {
        self.queue.clear();
        self.bytes = self.taken;
        self.lag.clear();
        self.badges.clear();
    }

    /// Takes what is told once nothing else waits.
    fn told_last(&mut self) -> impl Iterator<Item = Bytes> + use<> {
        let lag = (!self.lag.is_empty()).then(|| Outgoing::Lag {
            heads: std::mem::take(&mut self.lag),
        });
        let badges = (!self.badges.is_empty()).then(|| Outgoing::Badge {
            rooms: std::mem::take(&mut self.badges),
        });
        let told = [lag, badges].map(|frame| Some(frame?.frame().bytes().clone()));
        let bytes: usize = told.iter().flatten().map(Bytes::len).sum();
        self.bytes += bytes;
        self.taken += bytes;
        told.into_iter().flatten()
    }

    fn push(&mut self, bytes: Bytes, kind: Kind) {
        self.bytes += bytes.len();
        self.queue.push_back(Entry { bytes, kind });
    }

    /// Leaves out the events of one room, or of all, and notes how far they went.
    fn drop_events(&mut self, of: Option<RoomId>) {
        let Self {
            queue, bytes, lag, ..
        } = self;
        queue.retain(|entry| match entry.kind {
            Kind::Event(room, last) if of.is_none_or(|of| of == room) => {
                *bytes -= entry.bytes.len();
                lag.insert(room, last);
                false
            }
            Kind::Passing if of.is_none() => {
                *bytes -= entry.bytes.len();
                false
            }
            Kind::Answer | Kind::Event(..) | Kind::Passing => true,
        });
    }
}

#[cfg(test)]
mod tests;

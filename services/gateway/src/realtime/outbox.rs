//! What waits to be written to one socket.
//!
//! Anyone puts frames in, without waiting and without allocating; the socket's task takes them out. A
//! client that reads too slowly loses events here, and only here: they give way to one `lag` that names
//! how far each room is, so that the client knows what to ask for. Answers are never left out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use bytes::Bytes;
use veza_events::RoomId;

use super::frames::{CloseCode, Frame, Outgoing};

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
    /// The room and the last sequence, for events.
    event: Option<(RoomId, u64)>,
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
            state: Mutex::default(),
        }
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
            state.push(bytes.clone(), Some((room, last)));
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
        state.push(bytes, None);
        if state.bytes > self.limits.max_bytes {
            state.closing = Some(CloseCode::Slow);
            state.clear();
        }
        Self::wake(state);
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
        if state.taken == before && state.closing.is_none() && !state.lag.is_empty() {
            let heads = std::mem::take(&mut state.lag);
            let bytes = Outgoing::Lag { heads }.frame().bytes().clone();
            state.bytes += bytes.len();
            state.taken += bytes.len();
            batch.push_back(bytes);
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
    }

    fn push(&mut self, bytes: Bytes, event: Option<(RoomId, u64)>) {
        self.bytes += bytes.len();
        self.queue.push_back(Entry { bytes, event });
    }

    /// Leaves out the events of one room, or of all, and notes how far they went.
    fn drop_events(&mut self, of: Option<RoomId>) {
        let Self {
            queue, bytes, lag, ..
        } = self;
        queue.retain(|entry| match entry.event {
            Some((room, last)) if of.is_none_or(|of| of == room) => {
                *bytes -= entry.bytes.len();
                lag.insert(room, last);
                false
            }
            _ => true,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const LIMITS: OutboxLimits = OutboxLimits {
        lag_bytes: 1_000,
        max_bytes: 2_000,
    };

    fn room(n: u128) -> RoomId {
        Uuid::from_u128(n).into()
    }

    fn reply(text: &str) -> Frame {
        Frame::text(text.as_bytes())
    }

    /// Takes everything as a client with a fast connection would.
    fn drain(outbox: &Outbox) -> Vec<Bytes> {
        let cx = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        let mut batch = VecDeque::new();
        let mut written = 0;
        while outbox.take(written, &mut batch, 500, &cx) == Taken::Some {
            written = batch.iter().map(Bytes::len).sum();
            all.extend(batch.drain(..));
        }
        all
    }

    fn is_lag(bytes: &Bytes) -> bool {
        bytes.windows(9).any(|part| part == br#""t":"lag""#)
    }

    #[test]
    fn frames_come_out_in_the_order_they_went_in() {
        let outbox = Outbox::new(LIMITS);
        outbox.push(&reply("1"));
        outbox.push_events(room(1), 5, &Bytes::from_static(b"event"));
        outbox.push(&reply("2"));
        let all = drain(&outbox);
        assert_eq!(
            all,
            [
                reply("1").bytes().clone(),
                Bytes::from_static(b"event"),
                reply("2").bytes().clone()
            ]
        );
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn a_slow_reader_gets_heads_in_place_of_events_but_every_answer() {
        let outbox = Outbox::new(LIMITS);
        let event = Bytes::from(vec![b'e'; 400]);
        outbox.push_events(room(1), 1, &event);
        outbox.push(&reply("answer"));
        outbox.push_events(room(2), 2, &event);
        outbox.push_events(room(1), 3, &event);
        outbox.push_events(room(1), 4, &event);
        let all = drain(&outbox);
        assert_eq!(all[0], *reply("answer").bytes());
        let lag = String::from_utf8_lossy(&all[1]);
        assert!(lag.contains(&format!(r#""{}":4"#, room(1))) && lag.contains(&format!(r#""{}":2"#, room(2))));
        assert_eq!(all.len(), 2);
        outbox.push_events(room(1), 5, &event);
        assert_eq!(drain(&outbox), [event], "after the lag the room goes on");
    }

    #[test]
    fn too_many_answers_close_the_socket_as_slow() {
        let outbox = Outbox::new(LIMITS);
        for _ in 0..5 {
            outbox.push(&reply(&"x".repeat(500)));
        }
        assert_eq!(outbox.closing(), Some(CloseCode::Slow));
        assert_eq!(drain(&outbox), Vec::<Bytes>::new());
        assert_eq!(outbox.bytes(), 0);
    }

    #[test]
    fn a_close_waits_for_the_answers_unless_the_session_is_revoked() {
        let cx = Context::from_waker(Waker::noop());
        for (code, left) in [(CloseCode::Heartbeat, 1), (CloseCode::Revoked, 0)] {
            let outbox = Outbox::new(LIMITS);
            outbox.push(&reply("answer"));
            outbox.close(code);
            outbox.push(&reply("too late"));
            assert_eq!(drain(&outbox).len(), left);
            assert_eq!(outbox.take(0, &mut VecDeque::new(), 500, &cx), Taken::Close(code));
        }
    }

    #[test]
    fn a_socket_that_is_gone_keeps_nothing() {
        let outbox = Outbox::new(LIMITS);
        outbox.push(&reply("1"));
        outbox.discard();
        outbox.push(&reply("2"));
        outbox.push_events(room(1), 1, &Bytes::from_static(b"event"));
        assert_eq!((outbox.bytes(), drain(&outbox).len()), (0, 0));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Event(u8, usize),
        Reply(usize),
        Head(u8),
        Read,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            5 => (0..3_u8, 1..400_usize).prop_map(|(room, size)| Step::Event(room, size)),
            2 => (1..200_usize).prop_map(Step::Reply),
            1 => (0..3_u8).prop_map(Step::Head),
            2 => Just(Step::Read),
        ];
        proptest::collection::vec(step, 0..80)
    }

    proptest! {
        /// Whatever happens, a client that follows what it reads has seen every event of each room up to where
        /// the room is, or was told of the rest by a `lag`, and never sees an event behind one it was not told of.
        #[test]
        fn no_event_is_skipped_in_silence(steps in steps()) {
            let outbox = Outbox::new(OutboxLimits { lag_bytes: 1_000, max_bytes: 1_000_000 });
            let cx = Context::from_waker(Waker::noop());
            let mut heads = [0_u64; 3];
            let mut seen = [0_u64; 3];
            let mut unwritten = 0;
            let mut read = |outbox: &Outbox, max: usize| {
                let mut batch = VecDeque::new();
                let taken = outbox.take(unwritten, &mut batch, max, &cx);
                unwritten = batch.iter().map(Bytes::len).sum();
                for piece in batch {
                    if is_lag(&piece) {
                        let start = piece.iter().position(|&byte| byte == b'{').unwrap();
                        let lag: serde_json::Value = serde_json::from_slice(&piece[start..]).unwrap();
                        for (room, head) in lag["heads"].as_object().unwrap() {
                            let room = usize::try_from(room.parse::<Uuid>().unwrap().as_u128()).unwrap();
                            let head = head.as_u64().unwrap();
                            assert!(head > seen[room], "a lag tells something new");
                            seen[room] = head;
                        }
                    } else if piece[0] == b'e' {
                        let seq = u64::from_be_bytes(piece[2..10].try_into().unwrap());
                        let room = usize::from(piece[1]);
                        assert_eq!(seq, seen[room] + 1, "an event follows what is known");
                        seen[room] = seq;
                    }
                }
                taken
            };
            for step in steps {
                match step {
                    Step::Event(n, size) => {
                        heads[usize::from(n)] += 1;
                        let seq = heads[usize::from(n)];
                        let mut bytes = vec![b'e', n];
                        bytes.extend(seq.to_be_bytes());
                        bytes.extend(vec![0; size]);
                        outbox.push_events(room(n.into()), seq, &bytes.into());
                    }
                    Step::Reply(size) => outbox.push(&reply(&"r".repeat(size))),
                    Step::Head(n) => {
                        heads[usize::from(n)] += 1;
                        outbox.push_head(room(n.into()), heads[usize::from(n)]);
                    }
                    Step::Read => {
                        read(&outbox, 300);
                    }
                }
                prop_assert!(outbox.bytes() < 20_000);
            }
            while read(&outbox, 300) == Taken::Some {}
            prop_assert_eq!(seen, heads);
        }
    }
}

//! What must hold of a room whatever happens to it: a client that follows the chain, asks when it breaks and
//! does nothing else has in the end seen every event, or been told which it has not.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Waker};

use proptest::prelude::*;
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;
use veza_events::{Permissions, RoomId};
use veza_platform::contract::chat::Access;

use super::{Accepted, Filled, Granted, Need, Room};
use crate::realtime::frames::{EventHead, FillBuilder, Frame, Level, event_frame};
use crate::realtime::outbox::{Outbox, OutboxLimits};
use crate::realtime::ring::{Entry, RingLimits};
use crate::realtime::sockets::SocketKey;

const LIMITS: RingLimits = RingLimits {
    events: 5,
    bytes: 100_000,
};

fn id<T: From<Uuid>>(n: u128) -> T {
    Uuid::from_u128(n).into()
}

fn frame(seq: u64, prev: u64) -> Frame {
    let head = EventHead {
        room: id(1),
        seq,
        prev,
        kind: "room.message_posted.v1",
        by: None,
        at: "2026-01-02T03:04:05Z".parse().unwrap(),
        command_id: None,
    };
    event_frame(&head, None)
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The next event is stored; its sequence grows by so much.
    Store(u64),
    /// The feed brings events up to the newest, or leaves them out and jumps.
    Feed {
        jump: bool,
    },
    /// The feed brings a known event again.
    Repeat,
    Flush,
    /// The client reads so many bytes.
    Read(usize),
    /// Whether the client may read becomes uncertain.
    Suspend,
    /// It is certain that it may.
    Grant,
    /// The client comes back on another socket.
    Reconnect,
    /// What the client asked for is filled.
    Fill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..4_u64).prop_map(Step::Store),
        6 => prop::bool::weighted(0.1).prop_map(|jump| Step::Feed { jump }),
        1 => Just(Step::Repeat),
        4 => Just(Step::Flush),
        4 => (1..3_000_usize).prop_map(Step::Read),
        1 => Just(Step::Suspend),
        2 => Just(Step::Grant),
        1 => Just(Step::Reconnect),
        3 => Just(Step::Fill),
    ];
    prop::collection::vec(step, 0..120)
}

/// A room, its log, and one client.
struct Play {
    room: Room,
    /// Everything stored: sequence and the one before.
    log: Vec<(u64, u64)>,
    /// How many of them the feed has brought.
    fed: usize,
    socket: SocketKey,
    outbox: Arc<Outbox>,
    unwritten: usize,
    /// Events that the client saw.
    seen: BTreeSet<u64>,
    last: u64,
    /// What it asked to be filled from.
    asked: Option<u64>,
    sockets: u64,
}

impl Play {
    fn new() -> Self {
        let room = Room::new(id(1), id(2), id(1), Instant::now());
        room.begin(10, LIMITS);
        let mut play = Self {
            room,
            log: vec![(10, 0)],
            fed: 1,
            socket: SocketKey::of(0),
            outbox: Arc::new(Outbox::new(OutboxLimits {
                lag_bytes: 1_500,
                max_bytes: 1_000_000,
            })),
            unwritten: 0,
            seen: BTreeSet::new(),
            last: 10,
            asked: None,
            sockets: 0,
        };
        play.enter();
        play
    }

    /// A new socket, which resumes from what the client saw last.
    fn enter(&mut self) {
        self.room.unwatch(self.socket, Instant::now());
        self.sockets += 1;
        self.socket = SocketKey::of(self.sockets);
        self.outbox = Arc::new(Outbox::new(OutboxLimits {
            lag_bytes: 1_500,
            max_bytes: 1_000_000,
        }));
        self.unwritten = 0;
        self.room.watch(self.socket, id(3), &self.outbox, Level::Full);
        self.grant();
        self.asked = Some(self.last);
    }

    fn grant(&self) {
        let access = Access {
            joined: true,
            permissions: Permissions::all(),
            rooms: vec![(id::<RoomId>(1), Permissions::all())],
            categories: Vec::new(),
            hidden: Vec::new(),
            space_seq: u64::MAX,
            member_seq: u64::MAX,
        };
        assert_eq!(self.room.grant(id(3), &access, Instant::now()), Granted::Yes);
    }

    fn feed(&mut self, jump: bool) {
        if jump && let Some((last, _)) = self.log.last() {
            self.room.jump(*last);
        }
        for (seq, prev) in &self.log[self.fed..] {
            let accepted = self.room.accept(*seq, *prev, frame(*seq, *prev), None, LIMITS);
            assert_ne!(accepted, Accepted::Gap);
        }
        self.fed = self.log.len();
    }

    /// What `resume` does, with the log at hand.
    fn fill(&mut self) {
        let Some(from) = self.asked.take() else { return };
        self.room.hold(self.socket).unwrap();
        let mut cursor = from;
        loop {
            match self.room.fill(self.socket, cursor, 0) {
                Filled::Done => return,
                Filled::Missing(until) => {
                    let missing = self
                        .log
                        .iter()
                        .filter(|(seq, _)| (cursor + 1..=until).contains(seq));
                    let entries: Vec<Entry> = missing
                        .map(|(seq, prev)| Entry {
                            seq: *seq,
                            frame: frame(*seq, *prev),
                        })
                        .collect();
                    self.room.keep(cursor, &entries, LIMITS);
                    let mut fill = FillBuilder::new(id(1), cursor, until, false);
                    for entry in &entries {
                        fill.push(entry.frame.json());
                    }
                    self.outbox.push(&fill.finish());
                    cursor = until;
                }
                Filled::Ahead => return self.room.resume_at(self.socket, cursor),
                Filled::NotWatched => panic!("it watches"),
            }
        }
    }

    fn read(&mut self, bytes: usize) -> bool {
        let mut batch = VecDeque::new();
        self.outbox.take(
            self.unwritten,
            &mut batch,
            bytes,
            &Context::from_waker(Waker::noop()),
        );
        self.unwritten = batch.iter().map(bytes::Bytes::len).sum();
        let some = !batch.is_empty();
        for piece in batch {
            let text = String::from_utf8_lossy(&piece).into_owned();
            // Joined frames: each begins with its object.
            for part in text.split(r#"{"t":"#).skip(1) {
                let json = format!(r#"{{"t":{part}"#);
                let mut frames = serde_json::Deserializer::from_str(&json).into_iter::<Value>();
                if let Some(Ok(frame)) = frames.next() {
                    self.take(&frame);
                } else if let Some(fill) = text.find(r#"{"t":"fill""#) {
                    let frame: Value = serde_json::from_str(&text[fill..]).unwrap();
                    self.take(&frame);
                    break;
                }
            }
        }
        some
    }

    fn take(&mut self, frame: &Value) {
        let number = |name: &str| frame[name].as_u64().unwrap();
        match frame["t"].as_str().unwrap() {
            "event" if number("seq") <= self.last => {}
            "event" if number("prev") > self.last => {
                self.asked.get_or_insert(self.last);
            }
            "event" => self.note(number("seq")),
            "fill" => {
                assert!(number("from") <= self.last, "fills reach back to what was seen");
                for event in frame["events"].as_array().unwrap() {
                    if event["seq"].as_u64().unwrap() > self.last {
                        self.note(event["seq"].as_u64().unwrap());
                    }
                }
                self.last = self.last.max(number("to"));
            }
            "lag" => {
                if frame["heads"][id::<RoomId>(1).to_string()].as_u64().unwrap() > self.last {
                    self.asked.get_or_insert(self.last);
                }
            }
            other => panic!("{other}"),
        }
    }

    fn note(&mut self, seq: u64) {
        assert!(seq > self.last && self.seen.insert(seq), "once and in order");
        self.last = seq;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Store(by) => {
                let (last, _) = *self.log.last().unwrap();
                self.log.push((last + by, last));
            }
            Step::Feed { jump } => self.feed(jump),
            Step::Repeat => {
                let (seq, prev) = self.log[self.fed - 1];
                assert_eq!(
                    self.room.accept(seq, prev, frame(seq, prev), None, LIMITS),
                    Accepted::Known
                );
            }
            Step::Flush => {
                self.room.flush(Instant::now(), 0);
            }
            Step::Read(bytes) => drop(self.read(bytes)),
            Step::Suspend => {
                self.room.suspend(Some(id(3)), Need::default());
            }
            Step::Grant => self.grant(),
            Step::Reconnect => self.enter(),
            Step::Fill => self.fill(),
        }
    }

    /// Nothing more happens, and the client reads and asks until there is nothing left.
    fn settle(&mut self) {
        self.feed(false);
        self.room.flush(Instant::now(), 0);
        self.grant();
        for _ in 0..20 {
            while self.read(1_000) {}
            self.fill();
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_skipped_in_silence(steps in steps()) {
        let mut play = Play::new();
        for step in steps {
            play.step(step);
        }
        play.settle();
        let stored: Vec<u64> = play.log[1..].iter().map(|(seq, _)| *seq).collect();
        prop_assert_eq!(play.seen.iter().copied().collect::<Vec<_>>(), stored);
    }
}

#[test]
fn an_access_that_is_older_than_what_made_it_uncertain_does_not_count() {
    let play = Play::new();
    play.room.suspend(None, Need { space: 7, member: 0 });
    let mut access = Access {
        joined: true,
        permissions: Permissions::all(),
        rooms: vec![(id(1), Permissions::all())],
        categories: Vec::new(),
        hidden: Vec::new(),
        space_seq: 6,
        member_seq: 0,
    };
    let now = Instant::now();
    assert_eq!(play.room.grant(id(3), &access, now), Granted::Stale);
    access.space_seq = 7;
    assert_eq!(play.room.grant(id(3), &access, now), Granted::Yes);
    access.joined = false;
    assert_eq!(
        play.room.grant(id(3), &access, now),
        Granted::No(vec![play.socket])
    );
    assert_eq!(play.room.size().0, 0);
}

#[test]
fn what_arrives_while_a_room_is_opened_is_neither_lost_nor_doubled() {
    let room = Room::new(id(1), id(2), id(1), Instant::now());
    for (seq, prev) in [(11, 10), (12, 11), (15, 12)] {
        room.accept(seq, prev, frame(seq, prev), None, LIMITS);
    }
    room.begin(12, LIMITS);
    assert_eq!(room.head(), 15);
    let late = Room::new(id(1), id(2), id(1), Instant::now());
    late.accept(20, 18, frame(20, 18), None, LIMITS);
    late.begin(12, LIMITS);
    assert_eq!(late.head(), 20, "nobody was told of 12, so nobody misses 18");
}

#[test]
fn only_large_rooms_make_an_event_wait_for_others() {
    let room = Room::new(id(1), id(2), id(1), Instant::now());
    room.begin(10, LIMITS);
    let now = Instant::now();
    for n in 0..1_000 {
        if n == 50 {
            room.flush(now, 0);
            assert_eq!(room.due(now), now);
        }
        let outbox = Arc::new(Outbox::new(OutboxLimits {
            lag_bytes: 1,
            max_bytes: 1,
        }));
        room.watch(SocketKey::of(n), id(3), &outbox, Level::Full);
    }
    room.accept(11, 10, frame(11, 10), None, LIMITS);
    assert_eq!(room.due(now), now, "the first one goes at once");
    room.flush(now, 0);
    assert!(room.due(now) > now);
}

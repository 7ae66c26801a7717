//! What a client finds in its outbox, whatever was put in.

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
fn what_is_true_only_now_is_left_out_first() {
    let outbox = Outbox::new(LIMITS);
    let typing = Bytes::from(vec![b't'; 300]);
    assert!(outbox.push_passing(&typing));
    assert!(!outbox.push_passing(&typing), "half of what may wait");
    outbox.push_events(room(1), 1, &Bytes::from(vec![b'e'; 400]));
    outbox.push(&reply("answer"));
    outbox.push_events(room(1), 2, &Bytes::from(vec![b'e'; 400]));
    let all = drain(&outbox);
    assert_eq!((all.len(), &all[0]), (2, reply("answer").bytes()));
    assert!(is_lag(&all[1]));
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

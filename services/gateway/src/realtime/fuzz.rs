//! What clients may send on a socket, hostile or cut anywhere.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};

use super::frames::Incoming;
use super::reader::Reader;
use crate::fuzz::{CASES, edited, edits};

const FRAMES: [&[u8]; 6] = [
    br#"{"t":"hello","ticket":"x","resume":{"01a20f18-9db3-72f0-9439-3299c4f793c8":7,"account":9}}"#,
    br#"{"t":"watch","id":1,"rooms":{"01a20f18-9db3-72f0-9439-3299c4f793c8":"full"}}"#,
    br#"{"t":"send","id":3,"room":"01a20f18-9db3-72f0-9439-3299c4f793c8","command_id":"01a20f18-9db3-72f0-9439-3299c4f793c8","body":"hi","reply_to":null}"#,
    br#"{"t":"react","id":4,"room":"01a20f18-9db3-72f0-9439-3299c4f793c8","command_id":"01a20f18-9db3-72f0-9439-3299c4f793c8","message":"01a20f18-9db3-72f0-9439-3299c4f793c8","emoji":"x"}"#,
    br#"{"t":"presence","id":5,"watch":["01a20f18-9db3-72f0-9439-3299c4f793c8"],"state":"away"}"#,
    br#"{"t":"ping"}"#,
];

/// A masked text frame, two that make one message, a ping, and a close.
const WIRE: [&[u8]; 4] = [
    b"\x81\x85\x01\x02\x03\x04\x69\x67\x6f\x68\x6e",
    b"\x01\x82\x00\x00\x00\x00ab\x80\x82\x00\x00\x00\x00cd",
    b"\x89\x81\x00\x00\x00\x00x\x81\x80\x00\x00\x00\x00",
    b"\x88\x82\x00\x00\x00\x00\x03\xe8",
];
const MAX_FRAME: usize = 64;

/// A socket that gives its bytes in pieces, and nothing for a while between them.
struct Pieces(VecDeque<Vec<u8>>, bool);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(mut piece) = self.0.pop_front() else {
            return Poll::Ready(Ok(()));
        };
        let rest = piece.split_off(piece.len().min(buffer.remaining()));
        buffer.put_slice(&piece);
        if !rest.is_empty() {
            self.0.push_front(rest);
        }
        Poll::Ready(Ok(()))
    }
}

/// Everything that a reader makes of the bytes, up to its first error.
fn read(bytes: &[u8], piece: usize) -> (Vec<String>, Vec<u8>) {
    let mut reader = Reader::new(MAX_FRAME);
    let mut socket = Pieces(bytes.chunks(piece).map(<[u8]>::to_vec).collect(), false);
    let (mut seen, mut answers) = (Vec::new(), Vec::new());
    loop {
        let next = reader.poll_next(&mut socket, &Context::from_waker(Waker::noop()));
        answers.extend(reader.answers().unwrap_or_default());
        match next {
            Poll::Pending => {}
            Poll::Ready(Ok(message)) => {
                assert!(message.len() <= MAX_FRAME, "{message:?}");
                seen.push(format!("{message:?}"));
            }
            Poll::Ready(Err(error)) => {
                seen.push(error.to_string());
                return (seen, answers);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn frames(edits in edits()) {
        let text = String::from_utf8_lossy(&edited(&FRAMES, &edits)).into_owned();
        if let Err(bad) = Incoming::read(&text) {
            let code = &bad.problem.code;
            prop_assert!(code.starts_with("frame."), "{}", code);
        }
    }

    #[test]
    fn how_bytes_arrive_changes_nothing(first in edits(), second in edits(), piece in 1..64_usize) {
        let bytes = [edited(&WIRE, &first), edited(&WIRE, &second)].concat();
        prop_assert_eq!(read(&bytes, piece), read(&bytes, bytes.len().max(1)));
    }
}

//! Writing prebuilt frames: several that wait go out in one write, since a write costs far more than its bytes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::AsyncWrite;

/// Bytes that one write joins at most.
pub(super) const JOINED: usize = 64 * 1024;

thread_local! {
    /// Where pieces are joined. One per thread is enough, and sockets need none of their own.
    static JOIN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The pieces being written.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// What is to be written next.
    pub(super) pieces: VecDeque<Bytes>,
    /// How much of the first piece is written.
    offset: usize,
    /// Bytes written since this was last asked.
    written: usize,
    /// Writes since this was last asked.
    writes: u64,
}

impl Writer {
    /// Whether nothing is left to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes written since the last call.
    pub(super) fn take_written(&mut self) -> usize {
        std::mem::take(&mut self.written)
    }

    /// Writes since the last call.
    pub(super) fn take_writes(&mut self) -> u64 {
        std::mem::take(&mut self.writes)
    }

    /// Writes all pieces. Ready when none is left.
    ///
    /// # Errors
    /// When the connection is gone.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(first) = self.pieces.front() {
            let io = Pin::new(&mut *io);
            let written = if self.pieces.len() == 1 {
                ready!(io.poll_write(cx, &first[self.offset..]))?
            } else {
                ready!(self.poll_joined(io, cx))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_joined<S: AsyncWrite>(&self, io: Pin<&mut S>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        JOIN.with_borrow_mut(|joined| {
            joined.clear();
            let mut offset = self.offset;
            for piece in &self.pieces {
                let piece = &piece[offset..];
                if !joined.is_empty() && joined.len() + piece.len() > JOINED {
                    break;
                }
                joined.extend_from_slice(piece);
                offset = 0;
            }
            io.poll_write(cx, joined)
        })
    }

    fn advance(&mut self, mut written: usize) {
        self.written += written;
        self.writes += 1;
        while let Some(first) = self.pieces.front() {
            let left = first.len() - self.offset;
            if written < left {
                self.offset += written;
                return;
            }
            written -= left;
            self.offset = 0;
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Takes as many bytes at once as its list says.
    struct Narrow {
        takes: VecDeque<usize>,
        got: Vec<u8>,
        writes: usize,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let take = self.takes.pop_front().unwrap_or(usize::MAX).min(bytes.len());
            if take == 0 {
                return Poll::Pending;
            }
            self.writes += 1;
            self.got.extend_from_slice(&bytes[..take]);
            Poll::Ready(Ok(take))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn pieces_that_wait_share_a_write() {
        let mut writer = Writer::default();
        writer.pieces.extend([
            Bytes::from_static(b"ab"),
            Bytes::from_static(b"cd"),
            Bytes::from_static(b"e"),
        ]);
        let mut io = Narrow {
            takes: VecDeque::new(),
            got: Vec::new(),
            writes: 0,
        };
        assert!(
            writer
                .poll_write(&mut io, &mut Context::from_waker(std::task::Waker::noop()))
                .is_ready()
        );
        assert_eq!(
            (io.got.as_slice(), io.writes, writer.take_written()),
            (&b"abcde"[..], 1, 5)
        );
    }

    proptest! {
        #[test]
        fn whatever_the_connection_takes_everything_arrives_once_in_order(
            pieces in proptest::collection::vec(1..50_usize, 1..20),
            takes in proptest::collection::vec(0..40_usize, 0..60),
        ) {
            let mut writer = Writer::default();
            let mut all = Vec::new();
            for (n, len) in pieces.into_iter().enumerate() {
                let piece = vec![u8::try_from(n).unwrap(); len];
                all.extend_from_slice(&piece);
                writer.pieces.push_back(piece.into());
            }
            let mut io = Narrow { takes: takes.into(), got: Vec::new(), writes: 0 };
            let mut cx = Context::from_waker(std::task::Waker::noop());
            while writer.poll_write(&mut io, &mut cx).is_pending() {}
            prop_assert_eq!(writer.take_written(), all.len());
            prop_assert_eq!(io.got, all);
        }
    }
}

//! Whether a connection is still of use: what moved on it last, and until when it may stay silent.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::seats::Seat;

/// First bytes of an HTTP/2 connection.
const HTTP2_PREFACE: &[u8; 3] = b"PRI";

/// How long a connection may be silent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// From the first byte of a request's head to its last; also until the first byte of all.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
}

/// What a connection did last. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    patience: Patience,
    begun: Instant,
    /// Milliseconds from the beginning to the last progress in sending an answer. Sockets send often, so it takes no lock.
    sent_ms: Arc<AtomicU64>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Requests under way.
    requests: usize,
    /// Whether there has been any request.
    served: bool,
    /// Last end of a request.
    idle_since: Instant,
    /// First byte of a head that is not complete yet.
    head_since: Option<Instant>,
    /// First bytes of the connection: they tell HTTP/2, where bytes between requests mean little.
    first: ([u8; 3], usize),
}

impl Pulse {
    pub(super) fn new(patience: Patience) -> Self {
        let begun = Instant::now();
        let state = State {
            requests: 0,
            served: false,
            idle_since: begun,
            head_since: None,
            first: ([0; 3], 0),
        };
        Self {
            patience,
            begun,
            sent_ms: Arc::default(),
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// A request has come in whole; it is under way until the returned value is dropped.
    pub(super) fn request(&self) -> UnderWay {
        let mut state = self.state();
        state.requests += 1;
        state.served = true;
        state.head_since = None;
        UnderWay(self.clone())
    }

    /// Until when something has to move; `None` while a request is under way.
    fn deadline(&self) -> Option<Instant> {
        let state = self.state();
        if state.requests > 0 {
            return None;
        }
        let sent = self.begun + Duration::from_millis(self.sent_ms.load(Ordering::Relaxed));
        let idle_since = state.idle_since.max(sent);
        let http2 = state.first.1 == HTTP2_PREFACE.len() && &state.first.0 == HTTP2_PREFACE;
        Some(match state.head_since {
            Some(since) if !(http2 && state.served) => since + self.patience.head,
            _ if state.served => idle_since + self.patience.idle,
            _ => idle_since + self.patience.head,
        })
    }

    /// Waits until the connection has been silent for too long.
    pub(super) async fn lost(&self) {
        loop {
            let now = Instant::now();
            match self.deadline() {
                Some(deadline) if deadline <= now => return,
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                // No deadline that begins from here on can be earlier.
                None => tokio::time::sleep(self.patience.head.min(self.patience.idle)).await,
            }
        }
    }

    fn received(&self, bytes: &[u8]) {
        let mut state = self.state();
        let (first, seen) = &mut state.first;
        for (place, byte) in first[*seen..].iter_mut().zip(bytes) {
            *place = *byte;
            *seen += 1;
        }
        if state.requests == 0 && state.head_since.is_none() {
            state.head_since = Some(Instant::now());
        }
    }

    fn sent(&self) {
        let ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.sent_ms.store(ms, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct UnderWay(Pulse);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.requests -= 1;
        state.idle_since = Instant::now();
        state.head_since = None;
    }
}

/// A stream that feels its pulse, and keeps its seat until the last holder of the stream is gone: after an
/// upgrade that is the WebSocket.
#[derive(Debug)]
pub(super) struct Watched<Io> {
    inner: Io,
    pulse: Pulse,
    _seat: Seat,
}

impl<Io> Watched<Io> {
    pub(super) fn new(inner: Io, pulse: Pulse, seat: Seat) -> Self {
        Self {
            inner,
            pulse,
            _seat: seat,
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.pulse.received(&buf.filled()[before..]);
        }
        poll
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write(cx, buf);
        if matches!(poll, Poll::Ready(Ok(1..))) {
            self.pulse.sent();
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        if matches!(poll, Poll::Ready(Ok(1..))) {
            self.pulse.sent();
        }
        poll
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        head: Duration::from_secs(10),
        idle: Duration::from_mins(1),
    };

    async fn lost_after(pulse: &Pulse) -> u64 {
        let begun = Instant::now();
        pulse.lost().await;
        begun.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_or_half_a_head_is_lost_soon() {
        let pulse = Pulse::new(PATIENCE);
        assert_eq!(lost_after(&pulse).await, 10);
        let pulse = Pulse::new(PATIENCE);
        pulse.received(b"GET / HT");
        tokio::time::advance(Duration::from_secs(4)).await;
        pulse.received(b"TP/1.1\r\n");
        assert_eq!(lost_after(&pulse).await, 6, "later bytes of the head buy no time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_under_way_keeps_it_and_idle_time_counts_from_its_end() {
        let pulse = Pulse::new(PATIENCE);
        let request = pulse.request();
        let waiting = tokio::time::timeout(Duration::from_secs(500), pulse.lost()).await;
        assert!(waiting.is_err(), "a request is under way");
        drop(request);
        assert_eq!(lost_after(&pulse).await, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn http2_may_send_frames_between_requests() {
        let pulse = Pulse::new(PATIENCE);
        pulse.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        drop(pulse.request());
        pulse.received(b"ping");
        assert_eq!(lost_after(&pulse).await, 60);
    }
}

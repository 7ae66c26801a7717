//! One socket, from the end of its handshake to the last byte: a single task that reads, runs the client's
//! commands, writes, and keeps the deadlines.

mod reading;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use veza_platform::config::RealtimeConfig;

use super::commands::{Command, Greeted, Session};
use super::frames::{CloseCode, Outgoing};
use super::gaps::{Gap, Gaps};
use super::hub::Hub;
use super::outbox::{Outbox, OutboxLimits, Taken};
use super::rate::Rate;
use super::reader::Reader;
use super::resume;
use super::sockets::SocketKey;
use super::writer::{JOINED, Writer};

/// How long a close frame may take to be written and answered.
const CLOSING: Duration = Duration::from_secs(2);

/// Serves an upgraded connection to its end.
pub(super) async fn serve<S>(io: S, hub: Arc<Hub>, limits: Arc<RealtimeConfig>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut socket = Socket::new(io, hub, limits);
    std::future::poll_fn(|cx| socket.poll(cx)).await;
}

/// Where a socket stands.
enum Phase {
    /// Nobody has said who it is.
    Strange,
    /// Its `hello` is being looked at.
    Greeting(BoxFuture<'static, Greeted>),
    /// It is open.
    Open(Arc<Session>),
    /// Its close frame waits to be written, then for the client to end.
    Closing { until: Instant, discarded: usize },
}

struct Socket<S> {
    io: S,
    hub: Arc<Hub>,
    limits: Arc<RealtimeConfig>,
    key: SocketKey,
    outbox: Arc<Outbox>,
    reader: Reader,
    writer: Writer,
    rate: Rate,
    phase: Phase,
    /// Commands that wait for their turn, and the one under way.
    commands: VecDeque<Command>,
    running: Option<BoxFuture<'static, ()>>,
    /// Gaps that wait to be filled, and the one under way.
    gaps: Gaps,
    filling: Option<BoxFuture<'static, Option<Gap>>>,
    opened: Instant,
    /// When the client was last heard.
    heard: Instant,
    /// When it was asked whether it is there, unless it was heard since.
    asked: Option<Instant>,
    /// Since when the connection takes nothing of what is to be written.
    stuck: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl<S> Drop for Socket<S> {
    fn drop(&mut self) {
        self.hub.leave_call(self.key);
        let now = Instant::now();
        if let Some(account) = self.hub.sockets.leave(self.key, now) {
            self.hub.presence.leave(account, self.key, now);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    fn new(io: S, hub: Arc<Hub>, limits: Arc<RealtimeConfig>) -> Self {
        let now = Instant::now();
        let outbox = Arc::new(Outbox::new(OutboxLimits {
            lag_bytes: limits.lag_queue_bytes,
            max_bytes: limits.max_queue_bytes,
        }));
        let hello_timeout = Duration::from_millis(limits.hello_timeout_ms);
        Self {
            io,
            key: hub.sockets.open(&outbox),
            hub,
            outbox,
            reader: Reader::new(limits.max_frame_bytes),
            writer: Writer::default(),
            rate: Rate::new(limits.frames_per_minute, limits.frame_burst, now),
            limits,
            phase: Phase::Strange,
            commands: VecDeque::new(),
            running: None,
            gaps: Gaps::default(),
            filling: None,
            opened: now,
            heard: now,
            asked: None,
            stuck: None,
            timer: Box::pin(tokio::time::sleep_until(now + hello_timeout)),
        }
    }

    /// Ready when the connection can be dropped.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.work(cx);
        if self.read(cx).is_err() {
            return Poll::Ready(());
        }
        self.work(cx);
        if self.keep_deadlines(cx).is_err() {
            return Poll::Ready(());
        }
        match self.write(cx) {
            Ok(()) => Poll::Pending,
            Err(Gone) => Poll::Ready(()),
        }
    }

    /// Runs what is under way, and begins what waits.
    fn work(&mut self, cx: &mut Context<'_>) {
        if let Phase::Greeting(greeting) = &mut self.phase
            && let Poll::Ready(greeted) = greeting.as_mut().poll(cx)
        {
            match greeted {
                Greeted::Welcome(session, gaps) => {
                    for (room, from) in gaps {
                        self.gaps.ask(room, from, self.limits.max_watched_rooms);
                    }
                    self.phase = Phase::Open(session);
                    // From now on the heartbeat counts, which may be sooner than the wait for a `hello`.
                    self.timer.as_mut().reset(Instant::now());
                }
                Greeted::Refused(code) => self.close(code),
            }
        }
        let Phase::Open(session) = &self.phase else { return };
        loop {
            if let Some(running) = &mut self.running {
                if running.as_mut().poll(cx).is_pending() {
                    break;
                }
                self.running = None;
            }
            let Some(command) = self.commands.pop_front() else {
                break;
            };
            let session = Arc::clone(session);
            self.running = Some(Box::pin(async move { session.run(command).await }));
        }
        loop {
            if let Some(filling) = &mut self.filling {
                let Poll::Ready(left) = filling.as_mut().poll(cx) else {
                    break;
                };
                self.filling = None;
                self.gaps.tried(left);
            }
            let Some((gap, pause)) = self.gaps.next() else {
                break;
            };
            let session = Arc::clone(session);
            self.filling = Some(Box::pin(async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                resume::fill(&session, gap).await
            }));
        }
    }

    /// Lets the socket be closed once what waits is written.
    fn close(&mut self, code: CloseCode) {
        self.outbox.close(code);
    }

    fn begin_closing(&mut self) {
        let until = Instant::now() + CLOSING;
        self.writer.pieces.extend(self.reader.answers().map(Into::into));
        self.phase = Phase::Closing { until, discarded: 0 };
        self.running = None;
        self.filling = None;
        self.outbox.discard();
        self.timer.as_mut().reset(until);
    }

    /// Writes what waits; several frames in one write.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Gone> {
        loop {
            if self.writer.is_empty() && self.refill(cx) == Refilled::Nothing {
                self.stuck = None;
                return self.flush(cx);
            }
            match self.writer.poll_write(&mut self.io, cx) {
                Poll::Ready(Ok(())) => self.stuck = None,
                Poll::Ready(Err(_)) => return Err(Gone),
                Poll::Pending => {
                    let writes = self.writer.take_writes();
                    self.hub.metrics.writes.inc_by(writes);
                    if writes > 0 || self.stuck.is_none() {
                        self.stuck = Some(Instant::now());
                        self.arm(cx);
                    }
                    return Ok(());
                }
            }
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<(), Gone> {
        self.hub.metrics.writes.inc_by(self.writer.take_writes());
        let flushed = match self.phase {
            Phase::Closing { .. } => Pin::new(&mut self.io).poll_shutdown(cx),
            _ => Pin::new(&mut self.io).poll_flush(cx),
        };
        match flushed {
            Poll::Ready(Err(_)) => Err(Gone),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Takes the next frames out of the outbox.
    fn refill(&mut self, cx: &mut Context<'_>) -> Refilled {
        if let Phase::Closing { .. } = self.phase {
            return Refilled::Nothing;
        }
        let written = self.writer.take_written();
        match self.outbox.take(written, &mut self.writer.pieces, JOINED, cx) {
            Taken::Some => Refilled::Some,
            Taken::Nothing => Refilled::Nothing,
            // Commands under way are answered first.
            Taken::Close(CloseCode::Restarting) if self.running.is_some() || !self.commands.is_empty() => {
                Refilled::Nothing
            }
            Taken::Close(code) => {
                self.hub.metrics.closed(code);
                self.reader.close(Some(code));
                self.begin_closing();
                // From now on what the client sends is read again.
                cx.waker().wake_by_ref();
                Refilled::Some
            }
        }
    }

    fn keep_deadlines(&mut self, cx: &mut Context<'_>) -> Result<(), Gone> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if let Some(stuck) = self.stuck
                && now >= stuck + self.slow_timeout()
            {
                // It takes nothing, so it would not take a close frame either.
                self.hub.metrics.closed(CloseCode::Slow);
                return Err(Gone);
            }
            let next = self.next_deadline(now)?;
            let next = self
                .stuck
                .map_or(next, |stuck| next.min(stuck + self.slow_timeout()));
            self.timer.as_mut().reset(next);
        }
        Ok(())
    }

    /// Does what is due, and tells when to look again.
    fn next_deadline(&mut self, now: Instant) -> Result<Instant, Gone> {
        let heartbeat = Duration::from_millis(self.limits.heartbeat_ms);
        match &self.phase {
            Phase::Strange => {
                let until = self.opened + Duration::from_millis(self.limits.hello_timeout_ms);
                if now >= until {
                    self.close(CloseCode::Unauthenticated);
                    return Ok(now + CLOSING);
                }
                Ok(until)
            }
            Phase::Closing { until, .. } => {
                if now >= *until {
                    Err(Gone)
                } else {
                    Ok(*until)
                }
            }
            Phase::Greeting(_) | Phase::Open(_) => match self.asked {
                Some(asked) if now >= asked + heartbeat => {
                    self.close(CloseCode::Heartbeat);
                    Ok(now + CLOSING)
                }
                Some(asked) => Ok(asked + heartbeat),
                None if now < self.heard + heartbeat => Ok(self.heard + heartbeat),
                None => {
                    self.asked = Some(now);
                    self.outbox.push(&Outgoing::Ping.frame());
                    Ok(now + heartbeat)
                }
            },
        }
    }

    /// Makes sure that a connection that stays stuck is noticed.
    fn arm(&mut self, cx: &mut Context<'_>) {
        let at = Instant::now() + self.slow_timeout();
        if self.timer.deadline() > at {
            self.timer.as_mut().reset(at);
            // A timer wakes whoever has polled it since it was set.
            let _ = self.timer.as_mut().poll(cx);
        }
    }

    fn slow_timeout(&self) -> Duration {
        Duration::from_millis(self.limits.slow_reader_timeout_ms)
    }
}

/// The connection can be dropped.
struct Gone;

#[derive(PartialEq, Eq)]
enum Refilled {
    Some,
    Nothing,
}

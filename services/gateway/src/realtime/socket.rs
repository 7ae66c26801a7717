//! One socket, from the end of its handshake to the last byte: a single task that reads, runs the client's
//! commands, writes, and keeps the deadlines.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::{Error, Message};
use veza_events::RoomId;
use veza_platform::config::RealtimeConfig;
use veza_platform::contract::{Problem, ProblemKind};

use super::commands::{Command, Greeted, Session, Stranger};
use super::frames::{BadFrame, CloseCode, Incoming, Outgoing};
use super::hub::Hub;
use super::outbox::{Outbox, OutboxLimits, Taken};
use super::rate::{Pass, Rate};
use super::reader::Reader;
use super::resume;
use super::sockets::SocketKey;
use super::writer::{JOINED, Writer};

/// Frames that are taken before others get their turn.
const READS: usize = 32;
/// How long a close frame may take to be written and answered.
const CLOSING: Duration = Duration::from_secs(2);
/// Bytes that are read and thrown away while a close frame is on its way, so that it is not lost to a reset.
const DISCARDED: usize = 256 * 1024;

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
    fills: VecDeque<(RoomId, u64)>,
    filling: Option<BoxFuture<'static, ()>>,
    opened: Instant,
    /// When the client was last heard.
    heard: Instant,
    /// It was asked whether it is there.
    asked: bool,
    /// Since when the connection takes nothing of what is to be written.
    stuck: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl<S> Drop for Socket<S> {
    fn drop(&mut self) {
        self.hub.sockets.leave(self.key, Instant::now());
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
            fills: VecDeque::new(),
            filling: None,
            opened: now,
            heard: now,
            asked: false,
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
                Greeted::Welcome(session, fills) => {
                    self.fills.extend(fills);
                    self.phase = Phase::Open(session);
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
                if filling.as_mut().poll(cx).is_pending() {
                    break;
                }
                self.filling = None;
            }
            let Some((room, from)) = self.fills.pop_front() else {
                break;
            };
            let session = Arc::clone(session);
            self.filling = Some(Box::pin(async move { resume::fill(&session, room, from).await }));
        }
    }

    /// Takes what the client has sent.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Gone> {
        for _ in 0..READS {
            if let Phase::Closing { .. } = self.phase {
                return self.discard(cx);
            }
            if self.outbox.closing().is_some() {
                return Ok(());
            }
            let Poll::Ready(message) = self.reader.poll_next(&mut self.io, cx) else {
                self.queue_answers();
                return Ok(());
            };
            self.hub.metrics.frames_read.inc();
            self.heard = Instant::now();
            self.asked = false;
            match message {
                Ok(message) => self.take(message),
                Err(error) => self.failed(&error)?,
            }
        }
        // There may be more; others first.
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn queue_answers(&mut self) {
        if let Some(answers) = self.reader.answers() {
            self.outbox.push_bytes(answers.into());
        }
    }

    fn take(&mut self, message: Message) {
        if let Message::Close(_) = message {
            self.reader.close(None);
            self.begin_closing();
            return;
        }
        match self.rate.pass(self.heard) {
            Pass::Yes => {}
            Pass::After(wait) => {
                if let Message::Text(text) = &message {
                    self.refuse_rate(text, wait);
                }
                return;
            }
            Pass::Flood => return self.close(CloseCode::Flood),
        }
        match message {
            Message::Text(text) => match Incoming::read(&text) {
                Ok(frame) => self.act(frame),
                Err(bad) => self.refuse(bad.id, &bad.problem),
            },
            Message::Binary(_) => {
                let detail = "frames are JSON texts; binary ones are not understood";
                self.refuse(
                    None,
                    &Problem::new(ProblemKind::Malformed, "frame.binary", detail),
                );
                self.close(CloseCode::Binary);
            }
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {}
        }
    }

    fn act(&mut self, frame: Incoming) {
        match (frame, &self.phase) {
            (Incoming::Ping {}, _) => self.outbox.push(&Outgoing::Pong.frame()),
            (Incoming::Pong {}, _) => {}
            (Incoming::Hello { ticket, resume }, Phase::Strange) => {
                let stranger = Stranger {
                    hub: Arc::clone(&self.hub),
                    key: self.key,
                    outbox: Arc::clone(&self.outbox),
                    limits: Arc::clone(&self.limits),
                };
                self.phase = Phase::Greeting(Box::pin(stranger.hello(ticket, resume)));
            }
            (Incoming::Hello { .. }, _) => {
                let detail = "`hello` is the first frame, and comes once";
                self.refuse(
                    None,
                    &Problem::new(ProblemKind::Conflict, "frame.unexpected", detail),
                );
            }
            (_, Phase::Strange) => {
                let detail = "the first frame is a `hello` with a ticket";
                self.refuse(
                    None,
                    &Problem::new(ProblemKind::Unauthenticated, "session.required", detail),
                );
                self.close(CloseCode::Unauthenticated);
            }
            (Incoming::Resume { id, rooms }, _) => self.resume(id, rooms.rooms),
            (Incoming::Watch { id, rooms }, _) => self.queue(id, Command::Watch { id, rooms }),
            (Incoming::Unwatch { id, rooms }, _) => self.queue(id, Command::Unwatch { id, rooms }),
            (
                Incoming::Send {
                    id,
                    room,
                    command_id,
                    body,
                    reply_to,
                },
                _,
            ) => {
                let command = Command::Send {
                    id,
                    room,
                    command: command_id,
                    body,
                    reply_to,
                };
                self.queue(id, command);
            }
        }
    }

    fn queue(&mut self, id: u64, command: Command) {
        if self.commands.len() >= self.limits.command_queue {
            let problem = Problem {
                retry_after_ms: Some(200),
                ..Problem::new(
                    ProblemKind::TooMany,
                    "connection.busy",
                    "too many commands wait already",
                )
            };
            return self.refuse(Some(id), &problem);
        }
        self.commands.push_back(command);
    }

    fn resume(&mut self, id: Option<u64>, rooms: std::collections::BTreeMap<RoomId, u64>) {
        for (room, from) in rooms {
            if let Some(waiting) = self.fills.iter_mut().find(|(waiting, _)| *waiting == room) {
                waiting.1 = from;
            } else if self.fills.len() < self.limits.max_watched_rooms {
                self.fills.push_back((room, from));
            } else {
                let detail = "more rooms than a socket can watch wait to be filled";
                let problem = Problem::new(ProblemKind::TooMany, "connection.busy", detail);
                return self.refuse(id, &problem);
            }
        }
    }

    fn refuse(&mut self, id: Option<u64>, problem: &Problem) {
        self.hub.metrics.frames_refused.inc();
        self.outbox.push(&Outgoing::error(id, problem));
    }

    fn refuse_rate(&mut self, text: &str, wait: Duration) {
        let id = match Incoming::read(text) {
            Ok(Incoming::Watch { id, .. } | Incoming::Unwatch { id, .. } | Incoming::Send { id, .. }) => {
                Some(id)
            }
            Ok(Incoming::Resume { id, .. }) | Err(BadFrame { id, .. }) => id,
            Ok(Incoming::Hello { .. } | Incoming::Ping {} | Incoming::Pong {}) => None,
        };
        let problem = Problem {
            retry_after_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            ..Problem::new(
                ProblemKind::TooMany,
                "connection.rate",
                "too many frames; slow down",
            )
        };
        self.refuse(id, &problem);
    }

    /// The connection broke, or the client does not speak the protocol.
    fn failed(&mut self, error: &Error) -> Result<(), Gone> {
        let (code, problem) = match error {
            Error::Capacity(_) => (
                CloseCode::TooLarge,
                Problem::new(ProblemKind::TooLarge, "frame.too_large", "a frame is too large"),
            ),
            Error::Utf8(_) => (
                CloseCode::NotUtf8,
                Problem::new(
                    ProblemKind::Malformed,
                    "frame.not_utf8",
                    "a text frame is not UTF-8",
                ),
            ),
            Error::Protocol(
                tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            ) => return Err(Gone),
            Error::Protocol(error) => (
                CloseCode::Protocol,
                Problem::new(ProblemKind::Malformed, "frame.protocol", error.to_string()),
            ),
            _ => return Err(Gone),
        };
        self.refuse(None, &problem);
        self.close(code);
        Ok(())
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

    /// Throws away what a client still sends, until it ends.
    fn discard(&mut self, cx: &mut Context<'_>) -> Result<(), Gone> {
        let Phase::Closing { discarded, .. } = &mut self.phase else {
            return Ok(());
        };
        let mut space = [std::mem::MaybeUninit::uninit(); 4 * 1024];
        loop {
            let mut buffer = tokio::io::ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && *discarded < DISCARDED => {
                    *discarded += buffer.filled().len();
                }
                Poll::Ready(_) => return Err(Gone),
            }
        }
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
            Phase::Greeting(_) | Phase::Open(_) => {
                if now >= self.heard + heartbeat * 2 {
                    self.close(CloseCode::Heartbeat);
                    return Ok(now + CLOSING);
                }
                if now < self.heard + heartbeat {
                    return Ok(self.heard + heartbeat);
                }
                if !self.asked {
                    self.asked = true;
                    self.outbox.push(&Outgoing::Ping.frame());
                }
                Ok(self.heard + heartbeat * 2)
            }
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

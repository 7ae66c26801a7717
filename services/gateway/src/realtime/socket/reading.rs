//! What a client sends: taken frame by frame, refused with a code, or queued for its turn.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};
use veza_events::RoomId;
use veza_platform::contract::{Problem, ProblemKind};

use super::{Gone, Phase, Socket};
use crate::realtime::commands::{Command, Stranger};
use crate::realtime::frames::{BadFrame, CloseCode, Incoming, Outgoing};
use crate::realtime::rate::Pass;

/// Frames that are taken before others get their turn.
const READS: usize = 32;
/// Bytes that are read and thrown away while a close frame is on its way, so that it is not lost to a reset.
const DISCARDED: usize = 256 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Takes what the client has sent.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) -> Result<(), Gone> {
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
            self.asked = None;
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
            (
                Incoming::Hello {
                    ticket,
                    resume,
                    deflate,
                },
                Phase::Strange,
            ) => {
                let stranger = Stranger {
                    hub: Arc::clone(&self.hub),
                    key: self.key,
                    outbox: Arc::clone(&self.outbox),
                    limits: Arc::clone(&self.limits),
                };
                self.phase = Phase::Greeting(Box::pin(stranger.hello(ticket, resume, deflate)));
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
            (Incoming::Typing { room }, _) => self.typing(room),
            (Incoming::Unwatch { id, rooms }, _) => {
                for room in &rooms {
                    self.gaps.drop_room(*room);
                }
                self.queue(id, Command::Unwatch { id, rooms });
            }
            (frame, _) => {
                // The others were seen to above.
                if let Ok((id, command)) = frame.into_command() {
                    self.queue(id, command);
                }
            }
        }
    }

    /// Passes on that somebody is typing, unless it was said a moment ago or other things come first.
    fn typing(&mut self, room: RoomId) {
        let Phase::Open(session) = &self.phase else { return };
        let busy = self.commands.len() >= self.limits.command_queue;
        let every = Duration::from_millis(self.limits.typing_interval_ms);
        if !busy && session.peer.types(room, self.heard, every) {
            self.commands.push_back(Command::Typing { room });
        }
    }

    fn queue(&mut self, id: u64, command: Command) {
        // One of them will be under way in a moment.
        let waiting = self.commands.len() + usize::from(self.running.is_some());
        if waiting > self.limits.command_queue {
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

    fn resume(&mut self, id: Option<u64>, rooms: BTreeMap<RoomId, u64>) {
        for (room, from) in rooms {
            if !self.gaps.ask(room, from, self.limits.max_watched_rooms) {
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
            Ok(Incoming::Resume { id, .. }) | Err(BadFrame { id, .. }) => id,
            Ok(frame) => frame.into_command().ok().map(|(id, _)| id),
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
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return Err(Gone),
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

    /// Throws away what a client still sends, until it ends.
    fn discard(&mut self, cx: &mut Context<'_>) -> Result<(), Gone> {
        let Phase::Closing { discarded, .. } = &mut self.phase else {
            return Ok(());
        };
        let mut space = [MaybeUninit::uninit(); 4 * 1024];
        loop {
            let mut buffer = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && *discarded < DISCARDED => {
                    *discarded += buffer.filled().len();
                }
                Poll::Ready(_) => return Err(Gone),
            }
        }
    }
}

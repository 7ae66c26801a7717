//! Reading frames from a socket: tungstenite decodes, and what it wants to answer by itself (pongs, the reply to
//! a close) is handed to whoever writes. It never touches the socket's writing side.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WireCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};
use veza_platform::seldom::Seldom;

use super::frames::CloseCode;

/// Bytes that are read at once.
const READ_BUFFER: usize = 4 * 1024;

/// The reading half of the protocol.
pub(super) struct Reader {
    context: WebSocketContext,
    /// Whole frames that tungstenite wants to be written.
    answers: Vec<u8>,
    /// Most often a socket is woken to write, and need not look whether there is something to read.
    seldom: Seldom,
}

impl Reader {
    /// Takes messages of at most `max_frame` bytes.
    pub(super) fn new(max_frame: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(max_frame))
            .max_frame_size(Some(max_frame));
        Self {
            context: WebSocketContext::new(Role::Server, Some(config)),
            answers: Vec::new(),
            seldom: Seldom::default(),
        }
    }

    /// The next message.
    ///
    /// # Errors
    /// What the client did wrong, or why nothing more can come.
    pub(super) fn poll_next<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &Context<'_>,
    ) -> Poll<Result<Message, Error>> {
        let (context, answers) = (&mut self.context, &mut self.answers);
        self.seldom.poll(cx, |cx| {
            let mut bridge = Bridge { io, cx, answers };
            match context.read(&mut bridge) {
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                outcome => Poll::Ready(outcome),
            }
        })
    }

    /// Makes the close frame, or after the client's own close the reply to it.
    pub(super) fn close(&mut self, code: Option<CloseCode>) {
        let mut bridge = Bridge {
            io: &mut tokio::io::empty(),
            cx: &mut noop(),
            answers: &mut self.answers,
        };
        let frame = code.map(|code| CloseFrame {
            code: WireCode::from(code.number()),
            reason: code.reason().into(),
        });
        // Writing to the bridge cannot fail; after the client's close there is nothing more to say.
        let _ = match frame {
            Some(frame) => self.context.close(&mut bridge, Some(frame)),
            None => self.context.flush(&mut bridge),
        };
    }

    /// Takes what is to be written, whole frames.
    pub(super) fn answers(&mut self) -> Option<Vec<u8>> {
        (!self.answers.is_empty()).then(|| std::mem::take(&mut self.answers))
    }
}

fn noop() -> Context<'static> {
    Context::from_waker(std::task::Waker::noop())
}

/// What tungstenite takes for the socket.
struct Bridge<'a, 'b, S> {
    io: &'a mut S,
    cx: &'a mut Context<'b>,
    answers: &'a mut Vec<u8>,
}

impl<S: AsyncRead + Unpin> Read for Bridge<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut buffer) {
            Poll::Ready(outcome) => outcome.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl<S> Write for Bridge<'_, '_, S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

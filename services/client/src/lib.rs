//! A client of Veza's documented API, as anyone could write one: it depends on nothing of the server's.
//!
//! [`Api`] and [`Person`] speak HTTP, [`Socket`] the WebSocket, and a [`Talker`] stays in a room whatever
//! happens: it reconnects, resumes exactly where it was, and repeats what was not answered.

mod http;
mod socket;
mod talker;

pub use http::{Api, Person};
pub use socket::Socket;
pub use talker::{Conversation, Message, Talker};

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused, with its problem document (RFC 9457).
    #[error("{what}: {status} {problem}")]
    Refused {
        /// Method and path.
        what: String,
        /// Status of the answer.
        status: u16,
        /// The document.
        problem: serde_json::Value,
    },
    /// The server answered `error` to a frame.
    #[error("the server answered {0}")]
    Frame(serde_json::Value),
    /// No answer, or half of one.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The WebSocket broke.
    #[error(transparent)]
    WebSocket(#[from] tokio_tungstenite::tungstenite::Error),
    /// The server closed the WebSocket, with this code.
    #[error("the server closed the WebSocket ({0:?})")]
    Closed(Option<u16>),
    /// The answer is not what the documentation says.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
}

impl ClientError {
    /// Code of the problem document or error frame.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } | Self::Frame(problem) => problem["code"].as_str(),
            Self::Http(_) | Self::WebSocket(_) | Self::Closed(_) | Self::Unexpected(_) => None,
        }
    }
}

/// A fresh id for a command. A client's clock is its own.
#[expect(clippy::disallowed_methods, reason = "a client is outside of the platform")]
pub fn new_id() -> uuid::Uuid {
    uuid::Uuid::now_v7()
}

//! The words of the log: where a record lies, what is to be appended, what came back, what went wrong.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use time::OffsetDateTime;

/// The name of a log stream, such as `SPACES_0`. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// The stream of accounts and of claims on names.
    pub fn accounts() -> Self {
        Self::from("ACCOUNTS")
    }

    /// The stream of all spaces in `shard`.
    pub fn spaces(shard: u16) -> Self {
        Self(format!("SPACES_{shard}").into())
    }

    /// The name as the server knows it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for StreamName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a record lies: the one token that clients, projections and caches compare and wait for.
/// Written `SPACES_0/123`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Position {
    /// The stream.
    pub stream: StreamName,
    /// The sequence within the stream, from 1.
    pub seq: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.seq)
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

impl TryFrom<String> for Position {
    type Error = InvalidPosition;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// The text is not `<stream>/<sequence>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a position is written STREAM/SEQUENCE, such as SPACES_0/123")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (stream, seq) = text.split_once('/').ok_or(InvalidPosition)?;
        let legal = |c: u8| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_';
        if stream.is_empty() || stream.len() > 64 || !stream.bytes().all(legal) {
            return Err(InvalidPosition);
        }
        if !seq.bytes().all(|c| c.is_ascii_digit()) {
            return Err(InvalidPosition);
        }
        let seq = seq.parse().map_err(|_| InvalidPosition)?;
        Ok(Self {
            stream: stream.into(),
            seq,
        })
    }
}

/// What must still be true when the server stores a draft. Only literal subjects: at three replicas
/// overlapping wildcards let two writers in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// The last sequence of the draft's own subject; 0 when it must not exist yet.
    Last(u64),
    /// The last sequence of another subject: the membership that the decision was made on.
    Fence {
        /// The fencing subject, in the same stream as the draft.
        subject: String,
        /// Its last sequence as the decision saw it; 0 for "never existed".
        seq: u64,
    },
}

/// One event to be stored.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The literal subject of the aggregate, `evt.…`.
    pub subject: String,
    /// What the decision was based on.
    pub expect: Expect,
    /// Stored at most once within the stream's window of duplicates (2 minutes). Empty: not checked.
    pub msg_id: String,
    /// The envelope. Names that start with `Nats-` belong to the server.
    pub headers: HeaderMap,
    /// The event's data.
    pub payload: Bytes,
}

/// A draft that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Where it lies; for a duplicate, where the first one lies.
    pub position: Position,
    /// The same `msg_id` was stored before; nothing was added.
    pub duplicate: bool,
}

/// Why an append was not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// An expectation did not hold, or another append on the same subject was in flight: load and decide again.
    #[error("the log has moved on since the decision")]
    Conflict,
    /// No answer. The draft may or may not be stored; appending it again with the same `msg_id` is safe.
    #[error("the event log is not reachable")]
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The draft, with its headers, is larger than the server takes.
    #[error("{size} bytes are more than the {limit} that the log takes")]
    TooLarge {
        /// Bytes of headers and payload.
        size: usize,
        /// The server's limit in bytes.
        limit: usize,
    },
    /// The server said no, and will say no again.
    #[error("the event log refused: {description} ({code})")]
    Refused {
        /// The server's error code, 0 when it gave none.
        code: u64,
        /// The server's words.
        description: String,
    },
}

/// Why a read gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No answer in time, or no connection.
    #[error("the event log is not reachable")]
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The server said no, and will say no again.
    #[error("the event log refused: {description} ({code})")]
    Refused {
        /// The server's error or status code.
        code: u64,
        /// The server's words.
        description: String,
    },
    /// An answer that no known server gives.
    #[error("the event log answered what cannot be understood: {0}")]
    Malformed(String),
}

/// One stored event.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where it lies.
    pub position: Position,
    /// The previous sequence of the same subject; 0 when there is none or it is not known.
    pub prev: u64,
    /// The subject it was stored under, `evt.…`.
    pub subject: String,
    /// The envelope, without what the server added.
    pub headers: HeaderMap,
    /// The event's data.
    pub payload: Bytes,
    /// When the server stored it.
    pub time: OffsetDateTime,
}

/// A bounded stretch of the log.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// In order of sequence.
    pub records: Vec<Record>,
    /// How many more match behind the last of `records`.
    pub pending: u64,
}

/// What a live feed brings.
#[derive(Debug, Clone)]
pub enum Live {
    /// The next event; its `prev` chains it to the one before on its subject.
    Event(Record),
    /// Events may be missing here: compare heads and fill the gap.
    Lagged,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_being_written_down() {
        let position = Position {
            stream: StreamName::spaces(7),
            seq: 123,
        };
        assert_eq!(position.to_string(), "SPACES_7/123");
        assert_eq!("SPACES_7/123".parse(), Ok(position));
    }

    #[test]
    fn what_is_not_a_position_is_refused() {
        for text in [
            "",
            "/",
            "SPACES_0",
            "SPACES_0/",
            "/1",
            "spaces/1",
            "A B/1",
            "A/-1",
            "A/+1",
            "A/1/2",
        ] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text:?}");
        }
    }
}

//! What drafts and records look like to the server: header names, error codes, answers.

use async_nats::header::{
    HeaderMap, HeaderValue, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_LAST_SEQUENCE, NATS_MESSAGE_ID,
    NATS_SEQUENCE, NATS_SUBJECT, NATS_TIME_STAMP,
};
use async_nats::{HeaderName, Message};
use bytes::Bytes;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::link::LinkError;
use super::types::{AppendError, Appended, Draft, Expect, Position, ReadError, Record, StreamName};

/// Names the subject whose last sequence is expected, when it is not the message's own.
const EXPECTED_SUBJECT: HeaderName = HeaderName::from_static("Nats-Expected-Last-Subject-Sequence-Subject");

/// The last sequence of the subject is not the expected one.
pub(super) const WRONG_LAST_SEQUENCE: u64 = 10071;
/// Three replicas: another append with an expectation on the same subject is under way. In a batch: the
/// batch itself has written the subject before.
pub(super) const SUBJECT_IN_FLIGHT: u64 = 10164;
/// Three replicas: the same id is being stored at this moment.
pub(super) const ID_IN_FLIGHT: u64 = 10158;
/// A member of the batch repeats an id that is stored or in the batch.
pub(super) const BATCH_REPEATS_ID: u64 = 10201;
/// Members of the batch were lost on the way; nothing is stored.
pub(super) const BATCH_INCOMPLETE: u64 = 10176;

/// A draft, checked and in the server's form.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) stream: StreamName,
    pub(super) subject: String,
    /// The subject whose last sequence must be the given one, if any.
    pub(super) expect: Option<(String, u64)>,
    pub(super) msg_id: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

impl Prepared {
    pub(super) fn new(draft: Draft, stream_of: impl Fn(&str) -> StreamName) -> Result<Self, AppendError> {
        let Draft {
            subject,
            expect,
            msg_id,
            headers,
            payload,
        } = draft;
        literal(&subject)?;
        let stream = stream_of(&subject);
        // One of these at three replicas stops the stream for good (Expected-Last-Msg-Id, nats-server 2.15.1).
        if headers.iter().any(|(name, _)| belongs_to_server(name.as_ref())) {
            return Err(refused("headers that start with Nats- belong to the server"));
        }
        if msg_id.contains(['\r', '\n']) {
            return Err(refused("a message id is one line"));
        }
        let expect = match expect {
            Expect::Any => None,
            Expect::Last(seq) => Some((subject.clone(), seq)),
            Expect::Fence { subject: fence, seq } => {
                literal(&fence)?;
                if stream_of(&fence) != stream {
                    return Err(refused("a fence must lie in the stream of what it guards"));
                }
                Some((fence, seq))
            }
        };
        Ok(Self {
            stream,
            subject,
            expect,
            msg_id,
            headers,
            payload,
        })
    }

    /// The subject, all headers and the payload as they are sent.
    pub(super) fn message(&self) -> (String, HeaderMap, Bytes) {
        let mut headers = self.headers.clone();
        if !self.msg_id.is_empty() {
            headers.insert(NATS_MESSAGE_ID, self.msg_id.as_str());
        }
        if let Some((subject, seq)) = &self.expect {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(*seq));
            if *subject != self.subject {
                headers.insert(EXPECTED_SUBJECT, subject.as_str());
            }
        }
        (self.subject.clone(), headers, self.payload.clone())
    }
}

/// Wildcards in an expectation let two writers in at three replicas, and an event has one aggregate.
fn literal(subject: &str) -> Result<(), AppendError> {
    let token = |token: &str| {
        !token.is_empty()
            && !token.contains(|c: char| c == '*' || c == '>' || c.is_whitespace() || c.is_control())
    };
    if subject.starts_with("evt.") && subject.split('.').all(token) {
        Ok(())
    } else {
        Err(refused("not a literal subject of an aggregate"))
    }
}

fn belongs_to_server(name: &str) -> bool {
    name.as_bytes()
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"nats-"))
}

pub(super) fn refused(description: &str) -> AppendError {
    AppendError::Refused {
        code: 0,
        description: description.to_owned(),
    }
}

/// The error object of any `JetStream` answer.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    code: u64,
    #[serde(default)]
    pub(super) err_code: u64,
    #[serde(default)]
    pub(super) description: String,
}

impl ApiError {
    /// Whether the servers may say otherwise in a moment.
    pub(super) fn is_passing(&self) -> bool {
        self.code == 503
    }
}

impl From<ApiError> for AppendError {
    fn from(error: ApiError) -> Self {
        match error.err_code {
            WRONG_LAST_SEQUENCE | SUBJECT_IN_FLIGHT | ID_IN_FLIGHT => Self::Conflict,
            _ if error.is_passing() => LinkError::Unserved.into(),
            code => Self::Refused {
                code,
                description: error.description,
            },
        }
    }
}

impl From<ApiError> for ReadError {
    fn from(error: ApiError) -> Self {
        if error.is_passing() {
            LinkError::Unserved.into()
        } else {
            Self::Refused {
                code: error.err_code,
                description: error.description,
            }
        }
    }
}

#[derive(Deserialize)]
struct Ack {
    stream: Option<String>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    error: Option<ApiError>,
}

/// Reads the server's answer to an append into `stream`.
pub(super) fn acknowledgement(stream: &StreamName, answer: &Message) -> Result<Appended, AppendError> {
    let ack: Ack = serde_json::from_slice(&answer.payload)
        .map_err(|_| refused("the log answered an append with something else"))?;
    if let Some(error) = ack.error {
        return Err(error.into());
    }
    let stream = match ack.stream {
        Some(name) if name != stream.as_str() => StreamName::from(name.as_str()),
        _ => stream.clone(),
    };
    Ok(Appended {
        position: Position { stream, seq: ack.seq },
        duplicate: ack.duplicate,
    })
}

/// Reads a stored message as the server gives it in direct gets and in republished form.
pub(super) fn record(stream: &StreamName, message: Message) -> Result<Record, ReadError> {
    let headers = message.headers.unwrap_or_default();
    let text = |name: HeaderName| headers.get(name).map(HeaderValue::as_str);
    let number = |name: HeaderName| text(name).and_then(|value| value.parse::<u64>().ok());
    let seq = number(NATS_SEQUENCE).ok_or_else(|| malformed("a record without a sequence"))?;
    let subject = text(NATS_SUBJECT)
        .ok_or_else(|| malformed("a record without a subject"))?
        .to_owned();
    let time = text(NATS_TIME_STAMP).and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
    let time = time.ok_or_else(|| malformed("a record without a time"))?;
    let prev = number(NATS_LAST_SEQUENCE).unwrap_or(0);
    let position = Position {
        stream: stream.clone(),
        seq,
    };
    Ok(Record {
        position,
        prev,
        subject,
        headers,
        payload: message.payload,
        time,
    })
}

pub(super) fn malformed(what: &str) -> ReadError {
    ReadError::Malformed(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(subject: &str, expect: Expect, header: Option<&str>) -> Result<Prepared, AppendError> {
        let mut headers = HeaderMap::new();
        if let Some(name) = header {
            headers.insert(name, "x");
        }
        let draft = Draft {
            subject: subject.to_owned(),
            expect,
            msg_id: "a:1".to_owned(),
            headers,
            payload: Bytes::from_static(b"{}"),
        };
        Prepared::new(draft, |subject| {
            if subject.starts_with("evt.0.") {
                StreamName::spaces(0)
            } else {
                StreamName::accounts()
            }
        })
    }

    #[test]
    fn only_literal_subjects_are_appended_and_expected() {
        for subject in [
            "evt.0.room.*",
            "evt.0.>",
            "evt.0..r",
            "room.1",
            "evt.0.room.a b",
            "evt.0.room.\n",
        ] {
            assert!(prepare(subject, Expect::Any, None).is_err(), "{subject:?}");
            let fence = Expect::Fence {
                subject: subject.to_owned(),
                seq: 1,
            };
            assert!(prepare("evt.0.room.r", fence, None).is_err(), "{subject:?}");
        }
    }

    #[test]
    fn a_fence_in_another_stream_is_refused() {
        let fence = Expect::Fence {
            subject: "evt.account.a".to_owned(),
            seq: 1,
        };
        assert!(prepare("evt.0.room.r", fence, None).is_err());
    }

    #[test]
    fn headers_of_the_server_cannot_be_set() {
        assert!(prepare("evt.0.room.r", Expect::Any, Some("nats-expected-last-msg-id")).is_err());
        assert!(prepare("evt.0.room.r", Expect::Any, Some("ce-id")).is_ok());
    }

    #[test]
    fn a_fence_names_its_subject_and_an_own_expectation_does_not() {
        let fence = Expect::Fence {
            subject: "evt.0.member.s.a".to_owned(),
            seq: 7,
        };
        let (_, headers, _) = prepare("evt.0.room.r", fence, None).unwrap().message();
        assert_eq!(
            headers.get(EXPECTED_SUBJECT).map(HeaderValue::as_str),
            Some("evt.0.member.s.a")
        );
        let (_, headers, _) = prepare("evt.0.room.r", Expect::Last(0), None).unwrap().message();
        assert_eq!(headers.get(EXPECTED_SUBJECT), None);
        assert_eq!(
            headers
                .get(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE)
                .map(HeaderValue::as_str),
            Some("0")
        );
    }
}

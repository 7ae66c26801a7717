//! Reading what is stored, without consumers: direct gets, one message or many (NATS ADR-31).

use std::time::Duration;

use async_nats::header::{NATS_LAST_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::{HeaderValue, Message, StatusCode, Subscriber};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::link::{Connection, Link, LinkError};
use super::types::{Page, Position, ReadError, Record, StreamName};
use super::wire::{self, ApiError, malformed};
use crate::ambient;

/// Most records of one page: few enough to lie in the buffers of the connection while they are read.
pub(super) const PAGE_RECORDS: usize = 4_096;
/// Most bytes of one page. A single larger record still comes.
const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Most records of one load. An aggregate that is longer is read from a snapshot on, or in pages.
const LOAD_RECORDS: usize = 200_000;

const END_OF_BATCH: u16 = 204;
const NOT_FOUND: u16 = 404;
/// In an answer of the programming interface: there is no such message.
const NO_MESSAGE: u64 = 10037;

/// Sends reads. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub(super) link: Link,
    pub(super) timeout: Duration,
}

/// What is read in one go.
#[derive(Debug, Clone)]
pub(super) struct Span<'a> {
    pub(super) stream: &'a StreamName,
    /// Exclusive.
    pub(super) after: u64,
    pub(super) max: usize,
    pub(super) filter: Option<&'a str>,
}

impl Reader {
    pub(super) async fn last(&self, stream: &StreamName, subject: &str) -> Result<Option<Record>, ReadError> {
        let request = format!("$JS.API.DIRECT.GET.{stream}.{subject}");
        one(
            stream,
            self.link
                .request(request, None, Bytes::new(), self.timeout)
                .await?,
        )
    }

    pub(super) async fn last_consistent(
        &self,
        stream: &StreamName,
        subject: &str,
    ) -> Result<Option<Record>, ReadError> {
        let answer = self
            .api(
                format!("STREAM.MSG.GET.{stream}"),
                json!({ "last_by_subj": subject }),
            )
            .await?;
        let answer: StoredAnswer =
            serde_json::from_slice(&answer.payload).map_err(|_| malformed("not a message"))?;
        match (answer.message, answer.error) {
            (Some(message), _) => message.record(stream).map(Some),
            (None, Some(error)) if error.err_code == NO_MESSAGE => Ok(None),
            (None, Some(error)) => Err(error.into()),
            (None, None) => Err(malformed("neither a message nor an error")),
        }
    }

    pub(super) async fn get(&self, position: &Position) -> Result<Option<Record>, ReadError> {
        let request = format!("$JS.API.DIRECT.GET.{}", position.stream);
        let body = json!({ "seq": position.seq }).to_string().into();
        one(
            &position.stream,
            self.link.request(request, None, body, self.timeout).await?,
        )
    }

    pub(super) async fn head(&self, stream: &StreamName) -> Result<u64, ReadError> {
        self.bounds(stream).await.map(|(_, last)| last)
    }

    pub(super) async fn bounds(&self, stream: &StreamName) -> Result<(u64, u64), ReadError> {
        let answer = self
            .link
            .request(
                format!("$JS.API.STREAM.INFO.{stream}"),
                None,
                Bytes::new(),
                self.timeout,
            )
            .await?;
        let info: StreamInfo =
            serde_json::from_slice(&answer.payload).map_err(|_| malformed("not a stream's state"))?;
        match (info.state, info.error) {
            (Some(state), _) => Ok((state.first_seq, state.last_seq)),
            (None, Some(error)) => Err(error.into()),
            (None, None) => Err(malformed("neither a stream nor an error")),
        }
    }

    pub(super) async fn load(
        &self,
        stream: &StreamName,
        subject: &str,
        after: u64,
    ) -> Result<Vec<Record>, ReadError> {
        let mut records: Vec<Record> = Vec::new();
        loop {
            let after = records.last().map_or(after, |record| record.position.seq);
            let span = Span {
                stream,
                after,
                max: PAGE_RECORDS,
                filter: Some(subject),
            };
            let page = self.page(&span).await?;
            let got = page.records.len();
            records.extend(page.records);
            if page.pending == 0 {
                return Ok(records);
            }
            if records.len() > LOAD_RECORDS {
                let description = format!("more than {LOAD_RECORDS} events of one subject in one load");
                return Err(ReadError::Refused { code: 0, description });
            }
            if got == 0 {
                return Err(malformed("an empty page with more to come"));
            }
        }
    }

    pub(super) async fn page(&self, span: &Span<'_>) -> Result<Page, ReadError> {
        self.ask(span).await?.collect().await
    }

    /// Sends for a page. Its records arrive while the caller does something else.
    pub(super) async fn ask(&self, span: &Span<'_>) -> Result<PendingPage, ReadError> {
        let Span {
            stream,
            after,
            max,
            filter,
        } = *span;
        let max = max.clamp(1, PAGE_RECORDS);
        // The record at `after` itself, if it is of this very subject, is what the first one follows on.
        let literal = filter.is_some_and(|filter| !filter.contains(['*', '>']));
        let overlap = literal && after > 0;
        let body = json!({
            "seq": if overlap { after } else { after + 1 },
            "batch": max + usize::from(overlap),
            "max_bytes": PAGE_BYTES,
            "next_by_subj": filter.unwrap_or(">"),
        });
        let mut page = self.send(stream, &body, after, literal).await?;
        page.max = max;
        Ok(page)
    }

    async fn send(
        &self,
        stream: &StreamName,
        body: &serde_json::Value,
        after: u64,
        chained: bool,
    ) -> Result<PendingPage, ReadError> {
        let connection = self.link.connection()?;
        let request = format!("$JS.API.DIRECT.GET.{stream}");
        let answers = self.link.ask_many(request, body.to_string().into()).await?;
        let (stream, timeout) = (stream.clone(), self.timeout);
        Ok(PendingPage {
            answers,
            connection,
            stream,
            after,
            max: PAGE_RECORDS,
            chained,
            timeout,
        })
    }

    /// What was stored under a subject from a time on.
    pub(super) async fn since(
        &self,
        stream: &StreamName,
        subject: &str,
        since: OffsetDateTime,
        max: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let since = since.format(&Rfc3339).map_err(|_| malformed("not a time"))?;
        let body = json!({
            "start_time": since,
            "batch": max.clamp(1, PAGE_RECORDS),
            "max_bytes": PAGE_BYTES,
            "next_by_subj": subject,
        });
        let mut page = self.send(stream, &body, 0, true).await?.collect().await?;
        let mut records = Vec::new();
        loop {
            records.append(&mut page.records);
            let Some(last) = records.last().filter(|_| page.pending > 0 && records.len() < max) else {
                return Ok(records);
            };
            let (after, max) = (last.position.seq, max - records.len());
            let filter = Some(subject);
            page = self
                .page(&Span {
                    stream,
                    after,
                    max,
                    filter,
                })
                .await?;
        }
    }

    /// The sequence of the event with an id, if it was stored within the last `window`.
    pub(super) async fn find_recent(
        &self,
        stream: &StreamName,
        subject: &str,
        msg_id: &str,
        window: Duration,
    ) -> Result<Option<u64>, ReadError> {
        let since = ambient::now() - window;
        let records = self.since(stream, subject, since, LOAD_RECORDS).await?;
        let has_id = |record: &&Record| {
            let id = record.headers.get(NATS_MESSAGE_ID);
            id.is_some_and(|id| id.as_str() == msg_id)
        };
        Ok(records.iter().find(has_id).map(|record| record.position.seq))
    }

    pub(super) async fn api(&self, what: String, body: serde_json::Value) -> Result<Message, LinkError> {
        self.link
            .request(
                format!("$JS.API.{what}"),
                None,
                body.to_string().into(),
                self.timeout,
            )
            .await
    }
}

/// A page that was asked for.
#[derive(Debug)]
pub(super) struct PendingPage {
    answers: Subscriber,
    connection: Connection,
    stream: StreamName,
    after: u64,
    /// One more may come, if the record at `after` did not.
    max: usize,
    /// All records are of one subject, so each follows on the one before.
    chained: bool,
    timeout: Duration,
}

impl PendingPage {
    pub(super) async fn collect(mut self) -> Result<Page, ReadError> {
        let mut page = self.receive().await?;
        if page.records.len() > self.max {
            page.pending += (page.records.len() - self.max) as u64;
            page.records.truncate(self.max);
        }
        Ok(page)
    }

    async fn receive(&mut self) -> Result<Page, ReadError> {
        let mut page = Page::default();
        // What the server says to have sent before, and what was received before.
        let mut received = 0;
        let mut prev = 0;
        loop {
            let message = self.next().await?;
            let answer = match message.status.map(|status| status.as_u16()) {
                None => message,
                Some(END_OF_BATCH) => {
                    let lost = number(&message, NATS_LAST_SEQUENCE) != Some(received);
                    page.pending = if lost {
                        page.pending.max(1)
                    } else {
                        pending(&message)
                    };
                    return Ok(page);
                }
                Some(NOT_FOUND) => return Ok(page),
                Some(status) => return Err(refusal(status, &message)),
            };
            let left = pending(&answer);
            let mut record = wire::record(&self.stream, answer)?;
            if record.prev != received {
                // A slow reader: the connection dropped some. What came is whole; the rest is still there.
                page.pending = page.pending.max(1);
                return Ok(page);
            }
            received = record.position.seq;
            page.pending = left;
            record.prev = if self.chained { prev } else { 0 };
            prev = received;
            if received > self.after {
                page.records.push(record);
            }
        }
    }

    async fn next(&mut self) -> Result<Message, LinkError> {
        tokio::select! {
            biased;
            message = tokio::time::timeout(self.timeout, self.answers.next()) => match message {
                Ok(Some(message)) => Ok(message),
                Ok(None) => Err(LinkError::Lost),
                Err(_) => Err(LinkError::Silent),
            },
            () = self.connection.lost() => Err(LinkError::Lost),
        }
    }
}

fn number(message: &Message, name: async_nats::HeaderName) -> Option<u64> {
    message
        .headers
        .as_ref()?
        .get(name)
        .map(HeaderValue::as_str)?
        .parse()
        .ok()
}

fn pending(message: &Message) -> u64 {
    number(message, async_nats::HeaderName::from_static("Nats-Num-Pending")).unwrap_or(0)
}

fn refusal(status: u16, message: &Message) -> ReadError {
    if status == StatusCode::NO_RESPONDERS.as_u16() {
        return LinkError::Unserved.into();
    }
    let description = message
        .description
        .clone()
        .unwrap_or_else(|| "a direct get".to_owned());
    ReadError::Refused {
        code: status.into(),
        description,
    }
}

fn one(stream: &StreamName, message: Message) -> Result<Option<Record>, ReadError> {
    match message.status.map(|status| status.as_u16()) {
        None => wire::record(stream, message).map(Some),
        Some(NOT_FOUND) => Ok(None),
        Some(status) => Err(refusal(status, &message)),
    }
}

#[derive(Deserialize)]
struct StreamInfo {
    state: Option<StreamState>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct StreamState {
    first_seq: u64,
    last_seq: u64,
}

#[derive(Deserialize)]
struct StoredAnswer {
    message: Option<StoredMessage>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct StoredMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    #[serde(with = "time::serde::rfc3339")]
    time: OffsetDateTime,
}

impl StoredMessage {
    fn record(self, stream: &StreamName) -> Result<Record, ReadError> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| malformed("not base64"));
        let headers =
            String::from_utf8(decode(&self.hdrs)?).map_err(|_| malformed("headers that are not text"))?;
        let lines = headers.lines().skip(1).filter_map(|line| line.split_once(':'));
        let headers = lines.map(|(name, value)| {
            let name = name.parse().map_err(|_| malformed("not a header's name"))?;
            let value = value
                .trim_start()
                .parse()
                .map_err(|_| malformed("not a header's value"))?;
            Ok((name, value))
        });
        Ok(Record {
            position: Position {
                stream: stream.clone(),
                seq: self.seq,
            },
            prev: 0,
            subject: self.subject,
            headers: headers.collect::<Result<_, ReadError>>()?,
            payload: decode(&self.data)?.into(),
            time: self.time,
        })
    }
}

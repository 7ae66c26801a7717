//! What the devices of an account must hear, as one chain per account: its memberships and sessions once they
//! can be read, its read markers, its settings.
//!
//! What concerns an account comes from several streams and from no stream at all, so it gets a stream of its
//! own, which keeps the last of each account for a while. A device that was away is filled exactly, or told
//! to begin anew. See ADR 12.

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Serialize;
use veza_events::AccountId;

use crate::event_log::{AppendError, EventLog, NOTICES, ReadError, Record, StreamName};

const ACCOUNT: &str = "notice.account.";
const FLOOR: &str = "notice.floor";
/// Notices that are kept of one account, as in `nats/streams.json`.
const KEPT: usize = 256;
/// How often a replica that is behind is asked again, and after which pause.
const BEHIND: (usize, std::time::Duration) = (20, std::time::Duration::from_millis(25));

/// The chains of all accounts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Notices {
    log: EventLog,
    stream: StreamName,
}

/// One notice, or the end of all chains so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Grows along the chain of an account.
    pub seq: u64,
    /// What it is about.
    pub about: About,
}

/// What a [`Told`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// An account; the body is JSON.
    Account(AccountId, Bytes),
    /// Something was not told: whoever stands before this sequence begins anew.
    Floor,
}

/// What a device has missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// These, and nothing else, up to `head`.
    All {
        /// Sequence and body, oldest first.
        notices: Vec<(u64, Bytes)>,
        /// Where the chain is.
        head: u64,
    },
    /// It cannot be told any more.
    TooFar {
        /// Where the chain is.
        head: u64,
    },
    /// The device saw more than there is: another installation, or one restored from a backup.
    Epoch {
        /// Where the chain is.
        head: u64,
    },
}

impl Missed {
    /// Where the chain is.
    pub fn head(&self) -> u64 {
        let (Self::All { head, .. } | Self::TooFar { head } | Self::Epoch { head }) = self;
        *head
    }
}

impl Notices {
    /// The chains in the stream `NOTICES`. Makes no request.
    pub fn open(log: &EventLog) -> Self {
        Self {
            log: log.clone(),
            stream: NOTICES.into(),
        }
    }

    /// Tells the devices of an account. With an `id`, once within the hour, however often it is said.
    ///
    /// # Errors
    /// See [`AppendError`]; after [`AppendError::Unavailable`] it may be told all the same.
    pub async fn tell(
        &self,
        account: AccountId,
        id: Option<&str>,
        notice: &impl Serialize,
    ) -> Result<u64, AppendError> {
        let mut headers = HeaderMap::new();
        if let Some(id) = id {
            headers.insert(NATS_MESSAGE_ID, id);
        }
        let body = serde_json::to_vec(notice).expect("notices are plain data");
        self.store(format!("{ACCOUNT}{account}"), headers, body.into())
            .await
    }

    /// Says that something was not told: all devices begin anew.
    ///
    /// # Errors
    /// As [`Self::tell`].
    pub async fn begin_anew(&self) -> Result<u64, AppendError> {
        self.store(FLOOR.to_owned(), HeaderMap::new(), Bytes::from_static(b"{}"))
            .await
    }

    async fn store(&self, subject: String, headers: HeaderMap, body: Bytes) -> Result<u64, AppendError> {
        let stored = self.log.store_in(&self.stream, subject, headers, body).await?;
        Ok(stored.position.seq)
    }

    /// Where the chain of an account is: its last notice, or a place from which it can be followed.
    ///
    /// # Errors
    /// When the servers are away.
    pub async fn head(&self, account: AccountId) -> Result<u64, ReadError> {
        let subject = format!("{ACCOUNT}{account}");
        match self.log.last_in(&self.stream, &subject, true).await? {
            Some(last) => Ok(last.position.seq),
            None => Ok(self.log.bounds(&self.stream).await?.1),
        }
    }

    /// What an account was told behind `from`.
    ///
    /// # Errors
    /// When the servers are away.
    pub async fn missed(&self, account: AccountId, from: u64) -> Result<Missed, ReadError> {
        let subject = format!("{ACCOUNT}{account}");
        let last = self.log.last_in(&self.stream, &subject, true).await?;
        let head = match &last {
            Some(last) if last.position.seq == from => return self.above_floor(from, Vec::new(), from).await,
            Some(last) => last.position.seq,
            None => 0,
        };
        if head <= from {
            // Not a place of this chain. It may be one of the stream, from when the chain had no notice.
            let (first, end) = self.log.bounds(&self.stream).await?;
            return match from {
                _ if from > end => Ok(Missed::Epoch { head: head.max(end) }),
                _ if from + 1 < first => Ok(Missed::TooFar { head: end }),
                _ => self.above_floor(from, Vec::new(), from).await,
            };
        }
        let records = self.read(&subject, from, head).await?;
        let follows = records
            .first()
            .is_some_and(|first| first.prev == from && from > 0);
        let whole = follows || (records.len() < KEPT && from + 1 >= self.log.bounds(&self.stream).await?.0);
        let reached = records.last().is_some_and(|last| last.position.seq == head);
        if !whole || !reached {
            return Ok(Missed::TooFar { head });
        }
        let notices = records
            .into_iter()
            .map(|record| (record.position.seq, record.payload));
        self.above_floor(from, notices.collect(), head).await
    }

    async fn read(&self, subject: &str, from: u64, head: u64) -> Result<Vec<Record>, ReadError> {
        for _ in 0..BEHIND.0 {
            let page = self
                .log
                .page(&self.stream, from, KEPT, Some(subject), Some(head))
                .await?;
            let reached = page.records.last().is_some_and(|last| last.position.seq == head);
            if reached || page.records.len() == KEPT {
                return Ok(page.records);
            }
            tokio::time::sleep(BEHIND.1).await;
        }
        Ok(Vec::new())
    }

    async fn above_floor(
        &self,
        from: u64,
        notices: Vec<(u64, Bytes)>,
        head: u64,
    ) -> Result<Missed, ReadError> {
        let floor = self.log.last_in(&self.stream, FLOOR, true).await?;
        Ok(match floor {
            Some(floor) if floor.position.seq > from => Missed::TooFar {
                head: head.max(floor.position.seq),
            },
            Some(_) | None => Missed::All { notices, head },
        })
    }

    /// Everything that is told from now on, to whomever, in order and without gaps, forever.
    ///
    /// # Errors
    /// When the servers are away at the beginning.
    pub async fn follow(
        &self,
    ) -> Result<impl Stream<Item = Result<Told, ReadError>> + Send + Unpin + use<>, ReadError> {
        let head = self.log.head(&self.stream).await?;
        let records = self.log.follow(&self.stream, head);
        Ok(records.filter_map(|record| std::future::ready(record.map(told).transpose())))
    }
}

fn told(record: Record) -> Option<Told> {
    let about = match record.subject.strip_prefix(ACCOUNT) {
        Some(account) => About::Account(account.parse().ok()?, record.payload),
        None if record.subject == FLOOR => About::Floor,
        None => return None,
    };
    Some(Told {
        seq: record.position.seq,
        about,
    })
}

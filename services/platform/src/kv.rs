//! State of which only the latest counts: buckets of keys and JSON values, described in `nats/streams.json`.
//! A value is replaced or removed under the revision it was read at, so two writers cannot both win.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{HeaderValue, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contract::Problem;
use crate::event_log::{AppendError, EventLog, Follower, ReadError, Record, Step, StreamName};

/// Marks an entry that was removed.
const OPERATION: &str = "KV-Operation";

/// A bucket whose values are `T`. Cheap to clone.
pub struct Kv<T> {
    log: EventLog,
    stream: StreamName,
    /// `$KV.<bucket>.`
    prefix: String,
    values: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Kv<T> {
    fn clone(&self) -> Self {
        let Self {
            log,
            stream,
            prefix,
            values,
        } = self;
        Self {
            log: log.clone(),
            stream: stream.clone(),
            prefix: prefix.clone(),
            values: *values,
        }
    }
}

impl<T> fmt::Debug for Kv<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kv")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// A value and what it takes to replace it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// Grows with every change in the bucket.
    pub revision: u64,
}

/// What a watcher sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// A value, new or there from the start.
    Put {
        /// The key.
        key: String,
        /// The value.
        entry: Entry<T>,
    },
    /// An entry was removed by someone. What its age removes is not announced.
    Removed {
        /// The key.
        key: String,
        /// The revision of the removal.
        revision: u64,
    },
    /// Everything that was there from the start has been seen. Comes once, also for an empty bucket.
    Current,
}

/// Why an operation on a bucket did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The key exists already, or has changed since the given revision.
    #[error("the entry has changed")]
    Conflict,
    /// No answer. A write may have happened all the same.
    #[error("the key-value store is not reachable")]
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// The stored value is not what it should be.
    #[error("the value of {key} cannot be read: {reason}")]
    Malformed {
        /// The key.
        key: String,
        /// What the decoder said.
        reason: String,
    },
    /// The server said no, or the key is not one.
    #[error("the key-value store refused: {0}")]
    Refused(String),
}

impl From<AppendError> for KvError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict => Self::Conflict,
            AppendError::Unavailable { retry_after } => Self::Unavailable { retry_after },
            AppendError::TooLarge { .. } | AppendError::Refused { .. } => Self::Refused(error.to_string()),
        }
    }
}

impl From<ReadError> for KvError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { retry_after } => Self::Unavailable { retry_after },
            ReadError::Refused { .. } | ReadError::Malformed(_) => Self::Refused(error.to_string()),
        }
    }
}

impl From<KvError> for Problem {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Unavailable { retry_after } => {
                let millis = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
                Self::unavailable("the key-value store is away; try again", millis)
            }
            // Whoever can lose a race handles it; one that is not handled is worth a repeat.
            KvError::Conflict => Self::unavailable("somebody else changed the same entry; try again", 50),
            KvError::Malformed { .. } | KvError::Refused(_) => Self::internal(&error),
        }
    }
}

impl<T: Serialize + DeserializeOwned> Kv<T> {
    /// The bucket `name`, as in `nats/streams.json`. Makes no request.
    pub fn open(log: &EventLog, name: &str) -> Self {
        let stream = StreamName::from(format!("KV_{name}").as_str());
        Self {
            log: log.clone(),
            stream,
            prefix: format!("$KV.{name}."),
            values: PhantomData,
        }
    }

    /// The value of `key`, from any replica: fast, possibly a moment old. Safe to act on where the act
    /// itself is a change under the entry's revision.
    pub async fn get(&self, key: &str) -> Result<Option<Entry<T>>, KvError> {
        self.read(key, false).await
    }

    /// The value of `key` from the bucket's leader: sees every write that was answered.
    pub async fn get_consistent(&self, key: &str) -> Result<Option<Entry<T>>, KvError> {
        self.read(key, true).await
    }

    /// Writes whatever was there before. Returns the revision.
    pub async fn put(&self, key: &str, value: &T) -> Result<u64, KvError> {
        self.write(key, Some(value), None).await
    }

    /// Writes a key that must not exist. Returns the revision.
    ///
    /// # Errors
    /// [`KvError::Conflict`] when it exists.
    pub async fn create(&self, key: &str, value: &T) -> Result<u64, KvError> {
        match self.write(key, Some(value), Some(0)).await {
            Err(KvError::Conflict) => {}
            outcome => return outcome,
        }
        // What was removed has left a mark, which may be replaced.
        match self.log.last_in(&self.stream, &self.subject(key)?, true).await? {
            Some(mark) if is_removed(&mark) => self.write(key, Some(value), Some(mark.position.seq)).await,
            Some(_) | None => Err(KvError::Conflict),
        }
    }

    /// Replaces the value read at `revision`. Returns the new revision.
    ///
    /// # Errors
    /// [`KvError::Conflict`] when it has changed since.
    pub async fn update(&self, key: &str, value: &T, revision: u64) -> Result<u64, KvError> {
        self.write(key, Some(value), Some(revision)).await
    }

    /// Removes the value read at `revision`: of several that try, one succeeds.
    ///
    /// # Errors
    /// [`KvError::Conflict`] when it has changed since.
    pub async fn delete(&self, key: &str, revision: u64) -> Result<(), KvError> {
        self.write(key, None, Some(revision)).await.map(drop)
    }

    /// Removes whatever is there.
    pub async fn remove(&self, key: &str) -> Result<(), KvError> {
        self.write(key, None, None).await.map(drop)
    }

    /// All present values, then every change, forever; the servers may be away in between. The bucket
    /// must be `watched` in `nats/streams.json`.
    pub fn watch(&self) -> Watch<T> {
        let name = self.stream.as_str().trim_start_matches("KV_");
        let announced = vec![format!("live.kv.{name}.>")];
        let follower = Follower::new(self.log.clone(), self.stream.clone(), announced, 0);
        Watch {
            follower,
            prefix: self.prefix.clone(),
            values: PhantomData,
        }
    }

    async fn read(&self, key: &str, consistent: bool) -> Result<Option<Entry<T>>, KvError> {
        match self
            .log
            .last_in(&self.stream, &self.subject(key)?, consistent)
            .await?
        {
            Some(record) if !is_removed(&record) => entry(key, &record).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    async fn write(&self, key: &str, value: Option<&T>, revision: Option<u64>) -> Result<u64, KvError> {
        let subject = self.subject(key)?;
        let mut headers = HeaderMap::new();
        if let Some(revision) = revision {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(revision));
        }
        if value.is_none() {
            headers.insert(OPERATION, "DEL");
        }
        let payload = value.map(serde_json::to_vec).transpose();
        let payload = payload.map_err(|error| KvError::Refused(error.to_string()))?;
        let payload = Bytes::from(payload.unwrap_or_default());
        let stored = self.log.store_in(&self.stream, subject, headers, payload).await?;
        Ok(stored.position.seq)
    }

    fn subject(&self, key: &str) -> Result<String, KvError> {
        let legal = |c: u8| c.is_ascii_alphanumeric() || b"-/_=.".contains(&c);
        let whole = !key.is_empty() && !key.starts_with('.') && !key.ends_with('.') && !key.contains("..");
        if whole && key.bytes().all(legal) {
            Ok(format!("{}{key}", self.prefix))
        } else {
            Err(KvError::Refused("not a key".to_owned()))
        }
    }
}

/// The changes of a bucket.
#[derive(Debug)]
pub struct Watch<T> {
    follower: Follower,
    prefix: String,
    values: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Watch<T> {
    /// The next change. Of a value that is replaced while it is waited for, only the last may be seen.
    /// Cancelling the wait loses nothing.
    ///
    /// # Errors
    /// [`KvError::Malformed`] for a value that cannot be read; asking again goes on behind it.
    pub async fn next(&mut self) -> Result<Change<T>, KvError> {
        let record = match self.follower.step().await? {
            Step::CaughtUp => return Ok(Change::Current),
            Step::Next(record) => record,
        };
        let key = record
            .subject
            .strip_prefix(&self.prefix)
            .unwrap_or(&record.subject)
            .to_owned();
        if is_removed(&record) {
            return Ok(Change::Removed {
                key,
                revision: record.position.seq,
            });
        }
        entry(&key, &record).map(|entry| Change::Put { key, entry })
    }
}

fn is_removed(record: &Record) -> bool {
    record.headers.get(OPERATION).is_some()
}

fn entry<T: DeserializeOwned>(key: &str, record: &Record) -> Result<Entry<T>, KvError> {
    let value = serde_json::from_slice(&record.payload);
    let malformed = |error: serde_json::Error| KvError::Malformed {
        key: key.to_owned(),
        reason: error.to_string(),
    };
    Ok(Entry {
        value: value.map_err(malformed)?,
        revision: record.position.seq,
    })
}

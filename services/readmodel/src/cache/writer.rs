//! What the projector tells the cache after each commit. Only the projector may use it.

use std::time::Duration;

use fred::interfaces::{ClientLike, KeysInterface, LuaInterface};
use fred::prelude::{Error, Pool, Value};
use fred::types::scan::Scanner;
use futures::TryStreamExt;
use futures::future::try_join_all;
use uuid::Uuid;

use super::{CachedMessage, link, millis, pointer, prefix};
use crate::CacheOptions;

/// How long a generation stays in force without being renewed.
const LEASE: Duration = Duration::from_secs(5);
/// Keys looked at in one step of a sweep.
const SWEEP_STEP: u32 = 1_000;

/// Why the cache did not take something.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Redis is away, or refused.
    #[error("the cache did not take it: {0}")]
    Redis(#[from] Error),
    /// Another generation is in force, or none.
    #[error("the generation is not in force any more")]
    Superseded,
}

/// What a batch changed, as far as the cache may have it.
#[derive(Clone, Debug, Default)]
pub struct CacheChanges {
    /// Position after the batch.
    pub position: u64,
    /// Timelines that went on.
    pub rooms: Vec<RoomChange>,
    /// Accounts whose names changed.
    pub accounts: Vec<Uuid>,
}

/// How a timeline went on.
#[derive(Clone, Debug)]
pub struct RoomChange {
    /// Which one.
    pub room: Uuid,
    /// Its last event; 0 when only rows changed, by events of a thread.
    pub head: u64,
    /// Its new messages, ascending.
    pub messages: Vec<CachedMessage>,
    /// Older messages as they are now.
    pub changed: Vec<CachedMessage>,
    /// The position as of which they are so; 0 when there are none.
    pub changed_at: u64,
}

/// Writes generations of the cache.
#[derive(Clone)]
pub struct CacheWriter {
    pool: Pool,
    command_timeout: Duration,
    timeline_messages: usize,
    ttl: Duration,
}

impl CacheWriter {
    /// A writer that connects in the background and for ever.
    ///
    /// # Errors
    /// When the address cannot be understood.
    pub fn connect(options: &CacheOptions) -> Result<Self, CacheError> {
        Ok(Self {
            pool: link::connect(options, 1)?,
            command_timeout: options.command_timeout,
            timeline_messages: options.timeline_messages,
            ttl: options.ttl,
        })
    }

    /// Puts a fresh generation in force, empty, at the position of the tables.
    ///
    /// # Errors
    /// [`CacheError::Redis`].
    pub async fn begin(&self, stream: &str, generation: &str, position: u64) -> Result<(), CacheError> {
        let arguments: Vec<Value> = vec![
            prefix(stream).into(),
            generation.into(),
            position.to_string().into(),
            millis(LEASE).to_string().into(),
        ];
        self.timely(self.eval(include_str!("begin.lua"), stream, arguments))
            .await
            .map(drop)
    }

    /// Applies a batch to a generation and renews its lease, in one go.
    ///
    /// # Errors
    /// [`CacheError`]; the caller then begins a new generation, since this one may have missed something.
    pub async fn apply(
        &self,
        stream: &str,
        generation: &str,
        changes: &CacheChanges,
    ) -> Result<(), CacheError> {
        let rooms = changes.rooms.iter().map(|room| {
            let arguments = self.room_arguments(stream, generation, room);
            self.eval(include_str!("apply.lua"), stream, arguments)
        });
        let mut advance: Vec<Value> = vec![
            prefix(stream).into(),
            generation.into(),
            changes.position.to_string().into(),
            millis(LEASE).to_string().into(),
        ];
        advance.extend(
            changes
                .accounts
                .iter()
                .map(|account| Value::from(account.to_string())),
        );
        let applied = async {
            // Sent one behind the other without waiting; the position moves when all of them are there.
            let rooms = try_join_all(rooms).await?;
            let advanced = self.eval(include_str!("advance.lua"), stream, advance).await?;
            Ok(rooms.into_iter().chain([advanced]).all(|answer| answer >= 0))
        };
        if self.timely(applied).await? {
            Ok(())
        } else {
            Err(CacheError::Superseded)
        }
    }

    /// Puts the generation out of force: the tables changed without it.
    ///
    /// # Errors
    /// [`CacheError::Redis`].
    pub async fn end(&self, stream: &str) -> Result<(), CacheError> {
        self.pool.wait_for_connect().await?;
        self.timely(async { self.client()?.del::<(), _>(pointer(stream)).await })
            .await
    }

    /// Deletes what older generations of a stream left behind; returns how many keys.
    ///
    /// # Errors
    /// [`CacheError::Redis`]; what is left goes by its own time to live.
    pub async fn sweep(&self, stream: &str, keep: &str) -> Result<u64, CacheError> {
        let client = self.client()?.clone();
        let (kept, pointer) = (format!("{}{keep}:", prefix(stream)), pointer(stream));
        let pattern = format!("{}*", prefix(stream));
        let mut swept = 0;
        let mut pages = std::pin::pin!(client.scan(pattern, Some(SWEEP_STEP), None));
        while let Some(mut page) = pages.try_next().await? {
            let old = page.take_results().unwrap_or_default().into_iter().filter(|key| {
                key.as_str()
                    .is_some_and(|key| key != pointer && !key.starts_with(&kept))
            });
            let old: Vec<_> = old.collect();
            if !old.is_empty() {
                swept += client.unlink::<u64, _>(old).await?;
            }
            page.next();
        }
        Ok(swept)
    }

    fn room_arguments(&self, stream: &str, generation: &str, room: &RoomChange) -> Vec<Value> {
        let mut arguments: Vec<Value> = vec![
            prefix(stream).into(),
            generation.into(),
            room.room.to_string().into(),
            room.head.to_string().into(),
            millis(self.ttl).to_string().into(),
            self.timeline_messages.to_string().into(),
            room.changed_at.to_string().into(),
        ];
        let surplus = room.messages.len().saturating_sub(self.timeline_messages + 1);
        for message in room.messages[surplus..].iter().chain(&room.changed) {
            arguments.push(message.seq.to_string().into());
            arguments.push(
                serde_json::to_string(message)
                    .expect("cached rows are plain data")
                    .into(),
            );
        }
        arguments
    }

    async fn eval(&self, script: &'static str, stream: &str, arguments: Vec<Value>) -> Result<i64, Error> {
        self.client()?.eval(script, pointer(stream), arguments).await
    }

    fn client(&self) -> Result<&fred::clients::Client, Error> {
        let client = self.pool.next();
        if client.is_connected() {
            Ok(client)
        } else {
            Err(Error::new(fred::error::ErrorKind::IO, "not connected"))
        }
    }

    async fn timely<T>(&self, request: impl Future<Output = Result<T, Error>>) -> Result<T, CacheError> {
        match tokio::time::timeout(self.command_timeout, request).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Error::new(fred::error::ErrorKind::Timeout, "no answer in time").into()),
        }
    }
}

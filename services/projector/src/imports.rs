//! What an import has to know of the place that it writes to. It writes by commands alone.

use std::collections::HashSet;
use std::time::Duration;

use sea_orm::sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::sync::Mutex;
use uuid::Uuid;
use veza_events::{AccountId, MessageId, RoomId, Shards, SpaceId};
use veza_platform::bus::Bus;
use veza_platform::contract::Problem;
use veza_platform::event_log::{EventLog, StreamName};
use veza_platform::keyring::Keyring;
use veza_platform::ledger::read_problem;
use veza_platform::runtime::Runtime;

use crate::postgres;
use crate::role::Parts;

/// Class of the locks of imports; the other half is of the space.
const LOCK: i32 = 0x696d_7074;
/// Pause between two looks at how far the tables are.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the place cannot be written to.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// Postgres is away or refuses.
    #[error("the tables cannot be read: {0}")]
    Tables(#[from] sea_orm::sqlx::Error),
    /// The log is away.
    #[error(transparent)]
    Log(#[from] Problem),
}

/// A space that something is imported into.
pub struct Destination {
    parts: Parts,
    space: SpaceId,
    command_timeout: Duration,
    /// Holds the lock as long as it is there.
    connection: Mutex<PgConnection>,
}

impl Destination {
    /// Connects to everything that the settings name.
    ///
    /// # Errors
    /// When a setting cannot be used, or the stop comes before NATS is reached.
    pub async fn open(rt: &Runtime, space: SpaceId) -> anyhow::Result<Self> {
        Ok(Self {
            parts: Parts::open(rt).await?,
            space,
            command_timeout: Duration::from_millis(rt.config.gateway.command_timeout_ms),
            connection: Mutex::new(postgres::connect(&rt.config.postgres, "veza import").await?),
        })
    }

    /// The way to the workers.
    pub fn bus(&self) -> Bus {
        Bus::new(self.parts.client.clone(), self.shards(), self.command_timeout)
    }

    /// The log.
    pub fn log(&self) -> &EventLog {
        self.parts.ledger.log()
    }

    /// The keys.
    pub fn keys(&self) -> Keyring {
        self.parts.ledger.keys().clone()
    }

    fn shards(&self) -> Shards {
        Shards::new(u16::try_from(self.parts.config.nats.shards).unwrap_or(u16::MAX))
    }

    /// Keeps all other imports out of the space, and waits until the tables have what an earlier one wrote. `false`
    /// while another one is running.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn lock(&self) -> Result<bool, DestinationError> {
        let half = i32::from_be_bytes(std::array::from_fn(|index| {
            self.space.uuid().as_bytes()[12 + index]
        }));
        let sql = "SELECT pg_try_advisory_lock($1, $2)";
        let query = sea_orm::sqlx::query(AssertSqlSafe(sql)).bind(LOCK).bind(half);
        let row = query.fetch_one(&mut *self.connection.lock().await).await?;
        if !row.try_get::<bool, _>(0)? {
            return Ok(false);
        }
        // What an import that broke off had under way may come for as long as a command may take.
        tokio::time::sleep(self.command_timeout).await;
        let stream = StreamName::spaces(self.shards().of(self.space));
        let head = self.log().head(&stream).await.map_err(read_problem)?;
        while self.applied(stream.as_str()).await? < head.cast_signed() {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(true)
    }

    async fn applied(&self, stream: &str) -> Result<i64, DestinationError> {
        let sql = "SELECT COALESCE(max(seq), 0) FROM read.projection WHERE name = $1 AND stream = $2";
        let query = sea_orm::sqlx::query(AssertSqlSafe(sql))
            .bind(veza_readmodel::PROJECTION)
            .bind(stream);
        let row = query.fetch_one(&mut *self.connection.lock().await).await?;
        Ok(row.try_get(0)?)
    }

    /// Those of the messages that are there.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn known(&self, messages: &[MessageId]) -> Result<HashSet<MessageId>, DestinationError> {
        let ids: Vec<Uuid> = messages.iter().map(|message| message.uuid()).collect();
        let sql = "SELECT message FROM read.message WHERE message = ANY($1)";
        let query = sea_orm::sqlx::query(AssertSqlSafe(sql)).bind(ids);
        let rows = query.fetch_all(&mut *self.connection.lock().await).await?;
        let id = |row: &sea_orm::sqlx::postgres::PgRow| row.try_get::<Uuid, _>(0).map(MessageId::new);
        Ok(rows.iter().map(id).collect::<Result<_, _>>()?)
    }

    /// The room of this name that takes something. What not everybody could see goes only into rooms that not everybody
    /// sees here, either.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn room_named(&self, name: &str, private: bool) -> Result<Option<RoomId>, DestinationError> {
        let any = "SELECT room FROM read.room WHERE space = $1 AND name = $2 AND NOT archived
            ORDER BY created_at, room LIMIT 1";
        let closed = "SELECT r.room FROM read.room r JOIN read.permission_override o
                ON o.place = r.room AND o.whom_kind = 'role' AND o.whom = r.space AND 'view' = ANY(o.deny)
            WHERE r.space = $1 AND r.name = $2 AND NOT r.archived ORDER BY r.created_at, r.room LIMIT 1";
        let found = self
            .one(if private { closed } else { any }, self.space.uuid(), name)
            .await?;
        Ok(found.map(RoomId::new))
    }

    /// The account that is called by this handle, or has this id.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub async fn account_named(&self, name: &str) -> Result<Option<AccountId>, DestinationError> {
        if let Ok(id) = name.parse() {
            return Ok(Some(id));
        }
        let sql = "SELECT account FROM read.account WHERE $1 <> account AND lower(handle) = lower($2)";
        let found = self.one(sql, Uuid::nil(), name.trim_start_matches('@')).await?;
        Ok(found.map(AccountId::new))
    }

    async fn one(&self, sql: &'static str, id: Uuid, name: &str) -> Result<Option<Uuid>, DestinationError> {
        let query = sea_orm::sqlx::query(AssertSqlSafe(sql)).bind(id).bind(name);
        let row = query.fetch_optional(&mut *self.connection.lock().await).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

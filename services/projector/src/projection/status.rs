//! Where projections are, and how far behind.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use sea_orm::sqlx::{AssertSqlSafe, Row};
use serde::Serialize;
use time::OffsetDateTime;
use veza_platform::ambient;
use veza_readmodel::PROJECTION;

use super::Workbench;
use crate::stream::OWNER_LOCK;
use crate::tables::Schema;

/// One stream's projection.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The stream.
    pub stream: String,
    /// Last applied sequence; 0 before the first.
    pub seq: u64,
    /// When it last moved.
    #[serde(with = "time::serde::rfc3339::option")]
    pub updated_at: Option<OffsetDateTime>,
    /// Events put aside.
    pub parked: u64,
    /// Whether some projector owns the stream at this moment.
    pub running: bool,
}

/// How far one stream's tables are behind the log.
#[derive(Clone, Debug, Serialize)]
pub struct Lag {
    /// The stream.
    pub stream: String,
    /// Last applied sequence.
    pub seq: u64,
    /// Last stored sequence.
    pub head: u64,
    /// Events between them.
    pub events: u64,
    /// Age of the first event that is not applied, in milliseconds; 0 when there is none.
    pub age_ms: u64,
}

/// All projections, one per stream.
///
/// # Errors
/// When Postgres is away, or has no tables yet.
pub async fn list(bench: &Workbench) -> anyhow::Result<Vec<Status>> {
    let mut connection = bench.connect().await.context("connecting to Postgres")?;
    let mut found = BTreeMap::new();
    for stream in bench.streams() {
        let sql = format!(
            "SELECT p.seq, p.updated_at, (SELECT count(*) FROM {{s}}.parked WHERE stream = $2),
                EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                    AND (classid::int8 << 32 | objid::int8) = {OWNER_LOCK})
            FROM (SELECT 1) AS one LEFT JOIN {{s}}.projection p ON p.name = $1 AND p.stream = $2"
        );
        let query = sea_orm::sqlx::query(AssertSqlSafe(Schema::LIVE.sql(&sql)));
        let query = query.bind(PROJECTION).bind(stream.as_str());
        let row = query
            .fetch_one(&mut connection)
            .await
            .context("reading the table of projections")?;
        let status = Status {
            stream: stream.to_string(),
            seq: row.try_get::<Option<i64>, _>(0)?.unwrap_or(0).cast_unsigned(),
            updated_at: row.try_get(1)?,
            parked: row.try_get::<i64, _>(2)?.cast_unsigned(),
            running: row.try_get(3)?,
        };
        found.insert(stream, status);
    }
    Ok(found.into_values().collect())
}

/// How far all projections are behind.
///
/// # Errors
/// When Postgres or NATS is away.
pub async fn lag(bench: &Workbench) -> anyhow::Result<Vec<Lag>> {
    let log = bench.parts.ledger.log();
    let mut lags = Vec::new();
    for status in list(bench).await? {
        let stream = status.stream.as_str().into();
        let head = log
            .head(&stream)
            .await
            .context("asking for the head of the stream")?;
        let next = log
            .page(&stream, status.seq, 1, None, None)
            .await
            .context("reading the stream")?;
        let age = next.records.first().map(|record| ambient::now() - record.time);
        let age = age
            .and_then(|age| Duration::try_from(age).ok())
            .unwrap_or_default();
        lags.push(Lag {
            stream: status.stream,
            seq: status.seq,
            head,
            events: head.saturating_sub(status.seq),
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        });
    }
    Ok(lags)
}

//! Applying what was parked, once its cause is mended.

use sea_orm::sqlx::{Connection, PgConnection, Row};
use veza_platform::event_log::{Position, StreamName};
use veza_readmodel::PROJECTION;

use super::Workbench;
use crate::batch::{self, Content};
use crate::postgres::blames_data;
use crate::tables::{Changes, Schema, SqlError, text};
use crate::transaction::hold_names;

/// Most events of one aggregate that are applied in one transaction.
const PART: i64 = 500;

/// Why a retry could not be done.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// Postgres is away, or refused.
    #[error("the tables cannot be written: {0}")]
    Postgres(#[from] SqlError),
    /// The log is away.
    #[error("the log cannot be read: {0}")]
    Log(#[from] veza_platform::event_log::ReadError),
}

/// What a retry came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retried {
    /// Events that are applied now.
    pub applied: u64,
    /// Events that stay parked.
    pub parked: u64,
}

/// Applies parked events in their order, aggregate by aggregate, as far as it goes. A running projector
/// waits meanwhile, and then goes on with those aggregates by itself.
///
/// # Errors
/// When Postgres or the log is away; what was done until then stays done.
pub async fn retry(bench: &Workbench) -> Result<Retried, RetryError> {
    let mut connection = bench.connect().await?;
    let mut retried = Retried::default();
    for stream in bench.streams() {
        let sql = "SELECT DISTINCT subject FROM {s}.parked WHERE stream = $1 ORDER BY subject";
        let query = Schema::LIVE.query(sql).bind(stream.to_string());
        for row in query.fetch_all(&mut connection).await? {
            let subject: String = row.try_get(0)?;
            let mut applied = PART.cast_unsigned();
            while applied == PART.cast_unsigned() {
                applied = retry_part(bench, &mut connection, &stream, &subject).await?;
                retried.applied += applied;
            }
        }
        let query = Schema::LIVE
            .query("SELECT count(*) FROM {s}.parked WHERE stream = $1")
            .bind(stream.to_string());
        retried.parked += query
            .fetch_one(&mut connection)
            .await?
            .try_get::<i64, _>(0)?
            .cast_unsigned();
    }
    if retried.applied > 0 {
        bench.drop_caches().await;
    }
    Ok(retried)
}

/// Applies the first parked events of an aggregate, until one still cannot be. Returns how many.
async fn retry_part(
    bench: &Workbench,
    connection: &mut PgConnection,
    stream: &StreamName,
    subject: &str,
) -> Result<u64, RetryError> {
    let mut transaction = connection.begin().await?;
    hold_names(&mut transaction).await?;
    // The position's row is what a projector takes first.
    let sql = "SELECT seq FROM {s}.projection WHERE name = $1 AND stream = $2 FOR UPDATE";
    let query = Schema::LIVE.query(sql).bind(PROJECTION).bind(stream.to_string());
    query.fetch_optional(&mut *transaction).await?;
    let sql = "SELECT seq FROM {s}.parked WHERE stream = $1 AND subject = $2 ORDER BY seq LIMIT $3";
    let query = Schema::LIVE
        .query(sql)
        .bind(stream.to_string())
        .bind(subject.to_owned())
        .bind(PART);
    let parked = query.fetch_all(&mut *transaction).await?;
    let mut applied = Vec::new();
    for row in parked {
        let seq: i64 = row.try_get(0)?;
        if let Some(reason) = apply_one(bench, &mut transaction, stream, seq).await? {
            let sql = "UPDATE {s}.parked SET reason = $3 WHERE stream = $1 AND seq = $2";
            let query = Schema::LIVE
                .query(sql)
                .bind(stream.to_string())
                .bind(seq)
                .bind(text(&reason).into_owned());
            query.execute(&mut *transaction).await?;
            break;
        }
        applied.push(seq);
    }
    let count = applied.len() as u64;
    let query = Schema::LIVE.query("DELETE FROM {s}.parked WHERE stream = $1 AND seq = ANY($2)");
    query
        .bind(stream.to_string())
        .bind(applied)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(count)
}

/// Applies one event; otherwise says why it still cannot be.
async fn apply_one(
    bench: &Workbench,
    transaction: &mut PgConnection,
    stream: &StreamName,
    seq: i64,
) -> Result<Option<String>, RetryError> {
    let position = Position {
        stream: stream.clone(),
        seq: seq.cast_unsigned(),
    };
    let Some(record) = bench.parts.ledger.log().get(&position).await? else {
        return Ok(Some("it is not in the log any more".to_owned()));
    };
    let metrics = bench.parts.metrics.of(stream.as_str());
    let item = batch::read_item(&bench.parts.ledger, &metrics, record).await;
    if let Content::Unreadable(reason) = &item.content {
        return Ok(Some(reason.clone()));
    }
    let mut savepoint = transaction.begin().await?;
    match Changes::fold(item.entry())
        .write(&mut savepoint, Schema::LIVE)
        .await
    {
        Ok(_) => {
            savepoint.commit().await?;
            Ok(None)
        }
        Err(error) if blames_data(&error) => {
            savepoint.rollback().await?;
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error.into()),
    }
}

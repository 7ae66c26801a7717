//! One number per table over all its rows: equal for equal rows, in whatever order they lie.

use std::collections::BTreeMap;
use std::str::FromStr;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use crate::tables::SqlError;

/// Why tables could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum HashesError {
    /// No schema of ours has that name.
    #[error("there is no schema of read models `{0}`")]
    Schema(String),
    /// Postgres is away, or refused.
    #[error("the tables cannot be read: {0}")]
    Postgres(#[from] SqlError),
}

/// The hash of every read-model table in `schema`, all of one moment. Positions are left out, and so is
/// when something was parked.
///
/// # Errors
/// [`HashesError`].
pub async fn table_hashes(database_url: &str, schema: &str) -> Result<BTreeMap<String, String>, HashesError> {
    let options = PgConnectOptions::from_str(database_url)?.disable_statement_logging();
    let mut connection = options.connect().await?;
    let hashes = hashes(&mut connection, schema).await;
    connection.close().await?;
    hashes
}

/// The same on a connection that is there already.
pub(super) async fn hashes(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<BTreeMap<String, String>, HashesError> {
    let mut transaction = connection
        .begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        .await?;
    sea_orm::sqlx::query("SET LOCAL TimeZone = 'UTC'")
        .execute(&mut *transaction)
        .await?;
    let sql = "SELECT tablename::text FROM pg_tables
        WHERE schemaname = $1 AND tablename NOT IN ('projection', 'seaql_migrations')";
    let tables = sea_orm::sqlx::query(sql)
        .bind(schema)
        .fetch_all(&mut *transaction)
        .await?;
    if tables.is_empty() {
        return Err(HashesError::Schema(schema.to_owned()));
    }
    let mut hashes = BTreeMap::new();
    for table in tables {
        let table: String = table.try_get(0)?;
        // Sums do not depend on the order of rows, and unlike XOR do not hide a row that is there twice.
        let sql = format!(
            "SELECT concat_ws(':', count(*), sum(hashtextextended(row, 0)::numeric), sum(hashtextextended(row, 1)::numeric))
            FROM (SELECT (to_jsonb(t) - 'parked_at')::text AS row FROM \"{schema}\".\"{table}\" t) AS rows"
        );
        let row = sea_orm::sqlx::query(AssertSqlSafe(sql))
            .fetch_one(&mut *transaction)
            .await?;
        hashes.insert(table, row.try_get(0)?);
    }
    transaction.commit().await?;
    Ok(hashes)
}

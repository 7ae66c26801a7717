//! The tables, as they are at one moment, a page of rows at a time.

use std::collections::BTreeMap;

use sea_orm::sqlx::postgres::PgRow;
use sea_orm::sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;
use veza_platform::config::PostgresConfig;

use super::ExportError;
use crate::postgres;

/// Rows of one page.
const PAGE: usize = 500;

/// A transaction that ends with its connection.
pub(super) struct Source(PgConnection);

impl Source {
    pub(super) async fn open(config: &PostgresConfig) -> Result<Self, ExportError> {
        let mut source = Self(postgres::connect(config, "veza export").await?);
        source.execute("SET TimeZone = 'UTC'").await?;
        source.execute("SET statement_timeout = 0").await?;
        source
            .execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        Ok(source)
    }

    async fn execute(&mut self, statement: &str) -> Result<(), ExportError> {
        let query = sea_orm::sqlx::query(AssertSqlSafe(statement.to_owned()));
        query.execute(&mut self.0).await?;
        Ok(())
    }

    async fn rows(&mut self, query: &str) -> Result<Vec<PgRow>, ExportError> {
        let query = sea_orm::sqlx::query(AssertSqlSafe(query.to_owned())).persistent(false);
        Ok(query.fetch_all(&mut self.0).await?)
    }

    /// Begins to read the rows of a query, of which there may be any number.
    pub(super) async fn begin(&mut self, query: &str) -> Result<(), ExportError> {
        self.execute(&format!("DECLARE export NO SCROLL CURSOR FOR {query}"))
            .await
    }

    /// Ends what was begun.
    pub(super) async fn end(&mut self) -> Result<(), ExportError> {
        self.execute("CLOSE export").await
    }

    async fn next(&mut self) -> Result<Vec<PgRow>, ExportError> {
        self.rows(&format!("FETCH {PAGE} FROM export")).await
    }

    /// All first columns, for queries that are known to give few.
    pub(super) async fn texts(&mut self, query: &str) -> Result<Vec<String>, ExportError> {
        first_columns(&self.rows(query).await?)
    }

    pub(super) async fn next_texts(&mut self) -> Result<Vec<String>, ExportError> {
        first_columns(&self.next().await?)
    }

    pub(super) async fn next_messages(&mut self) -> Result<Vec<(Uuid, String)>, ExportError> {
        let rows = self.next().await?;
        let read = |row: &PgRow| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.iter().map(read).collect()
    }

    pub(super) async fn next_files(&mut self) -> Result<Vec<(Uuid, String, u64)>, ExportError> {
        let rows = self.next().await?;
        let read = |row: &PgRow| {
            let size: i64 = row.try_get(2)?;
            Ok((row.try_get(0)?, row.try_get(1)?, size.cast_unsigned()))
        };
        rows.iter().map(read).collect()
    }

    pub(super) async fn count(&mut self, query: &str) -> Result<u64, ExportError> {
        let rows = self.rows(query).await?;
        let count: Option<i64> = rows.first().map(|row| row.try_get(0)).transpose()?;
        Ok(count.unwrap_or(0).cast_unsigned())
    }

    /// How far the tables are.
    pub(super) async fn positions(&mut self) -> Result<BTreeMap<String, u64>, ExportError> {
        let rows = self
            .rows("SELECT stream, seq FROM read.projection ORDER BY stream")
            .await?;
        let read = |row: &PgRow| {
            let seq: i64 = row.try_get(1)?;
            Ok((row.try_get(0)?, seq.cast_unsigned()))
        };
        rows.iter().map(read).collect()
    }

    pub(super) async fn account_named(&mut self, handle: &str) -> Result<Option<Uuid>, ExportError> {
        let sql = "SELECT account FROM read.account WHERE lower(handle) = lower($1)";
        let query = sea_orm::sqlx::query(AssertSqlSafe(sql)).bind(handle);
        let row = query.fetch_optional(&mut self.0).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

fn first_columns(rows: &[PgRow]) -> Result<Vec<String>, ExportError> {
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

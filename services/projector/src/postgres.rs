//! A connection of one's own, and what its errors mean.

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{ConnectOptions, PgConnection};
use veza_platform::config::PostgresConfig;

use crate::tables::SqlError;

/// Longest attempt at a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects. The server notices within half a minute when this process's machine is gone, and gives its
/// locks to another.
pub(crate) async fn connect(config: &PostgresConfig, name: &str) -> Result<PgConnection, SqlError> {
    let options = PgConnectOptions::from_str(config.url.expose())?
        .application_name(name)
        .options([
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ])
        .disable_statement_logging();
    match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connection) => connection,
        Err(_) => Err(SqlError::PoolTimedOut),
    }
}

/// Whether the statement failed for what it was given, so that repeating it is of no use and leaving out
/// one event may be.
pub(crate) fn blames_data(error: &SqlError) -> bool {
    let SqlError::Database(error) = error else {
        return matches!(error, SqlError::Encode(_));
    };
    // Data exceptions; violated constraints; limits such as the size of an index entry.
    error
        .code()
        .is_some_and(|code| ["22", "23", "54"].contains(&&code[..2]))
}

//! The pool of connections to Postgres for what the platform itself keeps there.

use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr};

use crate::config::PostgresConfig;

/// A pool that connects when it is first used, so that Postgres may still be away.
///
/// # Errors
/// When the address cannot be understood.
pub async fn connect(config: &PostgresConfig, name: &str) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(config.url.expose());
    options
        .connect_lazy(true)
        .min_connections(0)
        .max_connections(config.max_connections)
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        .statement_timeout(Duration::from_millis(config.statement_timeout_ms))
        .set_application_name(format!("veza {name}"))
        .sqlx_logging(false);
    Database::connect(options).await
}

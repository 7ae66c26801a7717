//! The one way to Postgres: bounded in time, and closed for a moment after it failed.

use std::time::Duration;

use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr};

use crate::breaker::Breaker;
use crate::{PostgresOptions, ReadError, ReadMetrics};

/// How long Postgres is left alone after it failed.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Postgres {
    db: DatabaseConnection,
    breaker: Breaker,
    acquire_timeout: Duration,
    /// Dead connections that one question may meet.
    most_connections: u32,
    /// Longest a caller waits in all.
    patience: Duration,
    metrics: ReadMetrics,
}

impl Postgres {
    pub(crate) async fn connect(options: &PostgresOptions, metrics: ReadMetrics) -> Result<Self, ReadError> {
        let mut connect = ConnectOptions::new(options.url.clone());
        connect
            .connect_lazy(true)
            .min_connections(0)
            .max_connections(options.max_connections)
            .acquire_timeout(options.acquire_timeout)
            .statement_timeout(options.statement_timeout)
            .test_before_acquire(false)
            .set_application_name("veza read models")
            .sqlx_logging(false);
        let db = Database::connect(connect)
            .await
            .map_err(|error| ReadError::Defect(error.to_string()))?;
        Ok(Self {
            db,
            breaker: Breaker::new(PAUSE),
            acquire_timeout: options.acquire_timeout,
            most_connections: options.max_connections,
            patience: options.acquire_timeout + options.statement_timeout,
            metrics,
        })
    }

    /// Asks `query`. Once more when the connection turned out to be dead: a restarted server leaves a pool
    /// full of them, and reading twice harms nobody.
    pub(crate) async fn ask<T, F>(&self, query: impl Fn(DatabaseConnection) -> F) -> Result<T, ReadError>
    where
        F: Future<Output = Result<T, DbErr>>,
    {
        // The pool's own count of idle ones can be off for a moment, even below zero.
        let mut tries_left = self.most_connections;
        loop {
            if !self.breaker.permits() {
                return Err(self.unavailable());
            }
            let answer = tokio::time::timeout(self.patience, query(self.db.clone())).await;
            let fault = match answer {
                Ok(Ok(rows)) => {
                    self.breaker.succeeded();
                    return Ok(rows);
                }
                Ok(Err(error)) => fault_of(&error),
                Err(_) => Fault::Away,
            };
            match fault {
                Fault::Stale if tries_left > 0 => tries_left -= 1,
                Fault::Stale | Fault::Away => {
                    self.breaker.failed();
                    return Err(self.unavailable());
                }
                Fault::Crowded => {
                    self.breaker.starved(self.acquire_timeout);
                    return Err(self.unavailable());
                }
                Fault::Defect(reason) => return Err(ReadError::Defect(reason)),
            }
        }
    }

    fn unavailable(&self) -> ReadError {
        self.metrics.unavailable.inc();
        ReadError::Unavailable {
            retry_after: self.breaker.retry_after(),
        }
    }
}

/// What an error says about the server.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// This one connection is dead; the next may work.
    Stale,
    /// No connection to be had in time.
    Crowded,
    /// The server is not there, or on its way out or in.
    Away,
    /// The query is wrong.
    Defect(String),
}

fn fault_of(error: &DbErr) -> Fault {
    let (DbErr::Conn(RuntimeErr::SqlxError(cause))
    | DbErr::Exec(RuntimeErr::SqlxError(cause))
    | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
    else {
        return match error {
            DbErr::ConnectionAcquire(_) => Fault::Crowded,
            other => Fault::Defect(other.to_string()),
        };
    };
    match &**cause {
        SqlxError::PoolTimedOut => Fault::Crowded,
        SqlxError::Io(_) | SqlxError::Protocol(_) => Fault::Stale,
        SqlxError::Tls(_) | SqlxError::PoolClosed | SqlxError::WorkerCrashed => Fault::Away,
        SqlxError::Database(cause) => match cause.code().as_deref().map(|code| (&code[..2], code)) {
            // Connection lost; resources short; stopped by an operator or starting; timeouts among them.
            Some((_, "57P01" | "57P02")) => Fault::Stale,
            Some(("08" | "53" | "57", _)) => Fault::Away,
            _ => Fault::Defect(cause.to_string()),
        },
        other => Fault::Defect(other.to_string()),
    }
}

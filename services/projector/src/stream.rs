//! The loop of one stream: own it, read it, write it, tell of it; begin anew whenever something is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::sqlx::{Connection, PgConnection, Row};
use tokio::time::Instant;
use veza_platform::ambient;
use veza_platform::event_log::StreamName;
use veza_readmodel::cache::CacheChanges;

use crate::after::{After, Commit};
use crate::batch::{self, Batch, Reading};
use crate::metrics::StreamMetrics;
use crate::role::Parts;
use crate::tables::{Schema, SqlError};
use crate::transaction::{Applied, Outcome, Target};
use crate::{notices, postgres, transaction};

/// How often an idle owner shows that it still owns the stream.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Longest run of one transaction; a server that hangs is a server that is away.
const TRANSACTION_TIMEOUT: Duration = Duration::from_mins(1);
/// Tables that are older than this are far behind.
const FAR_BEHIND: time::Duration = time::Duration::seconds(5);

/// Key of the session lock that the owner of a stream holds.
pub(crate) const OWNER_LOCK: &str = "hashtextextended('veza projection ' || $1 || ' ' || $2, 0)";

/// Applies one stream for as long as the process lives.
pub(crate) struct StreamLoop {
    parts: Arc<Parts>,
    stream: StreamName,
    metrics: StreamMetrics,
    /// Whether the last try went well: owner or standby, and not in trouble.
    well: Arc<AtomicBool>,
}

/// What an owner goes by.
struct Tenure {
    connection: PgConnection,
    position: u64,
    /// Identity of the tables.
    tables: i64,
    after: After,
}

impl StreamLoop {
    pub(crate) fn new(parts: Arc<Parts>, stream: StreamName) -> (Self, Arc<AtomicBool>) {
        let metrics = parts.metrics.of(stream.as_str());
        let well = Arc::new(AtomicBool::new(false));
        (
            Self {
                parts,
                stream,
                metrics,
                well: Arc::clone(&well),
            },
            well,
        )
    }

    /// Ends when the role is asked to stop, with the batch at hand written.
    pub(crate) async fn run(self) {
        let config = &self.parts.config.projector;
        let first_pause = Duration::from_millis(config.retry_delay_ms.max(1));
        let longest_pause = Duration::from_millis(config.max_retry_delay_ms).max(first_pause);
        let mut pause = first_pause;
        while !self.parts.lifecycle.is_stopping() {
            let begun = Instant::now();
            let Err(error) = self.tenure().await else { return };
            self.well.store(false, Ordering::Release);
            self.metrics.owner.set(0);
            self.metrics.retries.inc();
            if begun.elapsed() > longest_pause {
                pause = first_pause;
            }
            tracing::warn!(
                %error,
                log.stream = %self.stream,
                retry_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                "the read models cannot be written"
            );
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.parts.lifecycle.soft.cancelled() => return,
            }
            pause = (pause * 2).min(longest_pause);
        }
    }

    /// From taking the stream to losing it. Ends well only when asked to stop.
    async fn tenure(&self) -> Result<(), SqlError> {
        let mut connection = postgres::connect(&self.parts.config.postgres, "veza projector").await?;
        if !self.own(&mut connection).await? {
            return Ok(());
        }
        let (position, tables) =
            transaction::position(&mut connection, Schema::LIVE, self.stream.as_str()).await?;
        self.metrics.owner.set(1);
        self.well.store(true, Ordering::Release);
        tracing::info!(log.stream = %self.stream, log.seq = position, "this process applies the stream");
        let after = After::start(
            &self.parts.lifecycle,
            self.stream.clone(),
            self.parts.client.clone(),
            (self.parts.ledger.clone(), Arc::clone(&self.parts.audience)),
            self.parts.cache.clone(),
            self.metrics.clone(),
        );
        let outcome = self
            .apply_all(Tenure {
                connection,
                position,
                tables,
                after,
            })
            .await;
        self.metrics.owner.set(0);
        outcome
    }

    /// Waits until no other process owns the stream. `false` when asked to stop meanwhile.
    async fn own(&self, connection: &mut PgConnection) -> Result<bool, SqlError> {
        let retry = Duration::from_millis(self.parts.config.projector.lock_retry_ms.max(10));
        let mut told = false;
        loop {
            let sql = format!("SELECT pg_try_advisory_lock({OWNER_LOCK})");
            let query = sea_orm::sqlx::query(sea_orm::sqlx::AssertSqlSafe(sql))
                .bind(veza_readmodel::PROJECTION)
                .bind(self.stream.as_str());
            if query.fetch_one(&mut *connection).await?.try_get(0)? {
                return Ok(true);
            }
            if !told {
                tracing::info!(log.stream = %self.stream, "another process applies the stream; standing by");
                told = true;
            }
            self.well.store(true, Ordering::Release);
            tokio::select! {
                () = tokio::time::sleep(retry) => {}
                () = self.parts.lifecycle.soft.cancelled() => return Ok(false),
            }
        }
    }

    async fn apply_all(&self, mut tenure: Tenure) -> Result<(), SqlError> {
        let soft = &self.parts.lifecycle.soft;
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batches = self.read_from(tenure.position);
        loop {
            self.metrics.position.set(tenure.position.cast_signed());
            let undisturbed = tokio::select! {
                biased;
                () = soft.cancelled() => {
                    // Gives the lock back at once, for a standby that waits.
                    let _ = tenure.connection.close().await;
                    return Ok(());
                }
                batch = batches.recv() => {
                    let Some(batch) = batch else { return Ok(()) };
                    self.apply(&mut tenure, batch).await?
                }
                _ = heartbeat.tick() => self.show_life(&mut tenure).await?,
            };
            if !undisturbed {
                batches = self.read_from(tenure.position);
            }
        }
    }

    fn read_from(&self, position: u64) -> tokio::sync::mpsc::Receiver<Batch> {
        let reading = Reading::new(&self.parts.config);
        let ledger = self.parts.ledger.clone();
        batch::start(
            &self.parts.lifecycle,
            ledger,
            self.stream.clone(),
            position,
            reading,
            self.metrics.clone(),
        )
    }

    /// Writes a batch. `false` when the tables turned out to be elsewhere, which is where to read on from.
    async fn apply(&self, tenure: &mut Tenure, batch: Batch) -> Result<bool, SqlError> {
        let target = Target {
            schema: Schema::LIVE,
            stream: self.stream.as_str(),
            from: tenure.position,
            park: true,
        };
        let begun = Instant::now();
        let outcome = in_time(transaction::apply(&mut tenure.connection, target, &batch)).await?;
        match outcome {
            Outcome::Applied(applied) => {
                self.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
                self.committed(tenure, &batch, applied);
                Ok(true)
            }
            Outcome::Moved | Outcome::Refused(_) => {
                self.begin_anew(tenure).await?;
                Ok(false)
            }
        }
    }

    fn committed(&self, tenure: &mut Tenure, batch: &Batch, applied: Applied) {
        let now = ambient::now();
        let delay = (now - batch.stored_at).max(time::Duration::ZERO);
        self.metrics.events.inc_by(batch.items.len() as u64);
        self.metrics.rows.inc_by(applied.written.rows);
        self.metrics.parked.inc_by(applied.parked.len() as u64);
        let count = u32::try_from(batch.items.len()).unwrap_or(u32::MAX);
        self.metrics.batch_events.observe(f64::from(count));
        self.metrics.delay_seconds.observe(delay.as_seconds_f64());
        self.metrics
            .lag_seconds
            .set(if batch.full { delay.as_seconds_f64() } else { 0.0 });
        for span in &batch.spans {
            span.record("projection.delay_ms", delay.as_seconds_f64() * 1_000.0);
        }
        for parked in &applied.parked {
            tracing::error!(
                log.stream = %self.stream,
                log.seq = parked.seq,
                event.kind = parked.kind,
                error = parked.reason,
                "an event is parked"
            );
        }
        if applied.written.repeated_messages > 0 {
            tracing::error!(
                log.stream = %self.stream,
                count = applied.written.repeated_messages,
                "messages are in the log more than once"
            );
        }
        let commit = Commit {
            cache: applied.cache,
            from: tenure.position,
            news: notices::of_items(&batch.items),
            idle: false,
            far_behind: batch.full && delay > FAR_BEHIND,
            cache_outdated: applied.tables != tenure.tables
                || !applied.parked.is_empty()
                || applied.written.repeated_messages > 0,
        };
        tenure.after.committed(commit);
        tenure.position = batch.last;
        tenure.tables = applied.tables;
    }

    /// Proves that the connection, and with it the lock, is still there, and renews the cache's lease.
    /// `false` when other tables have taken the place of those it went by.
    async fn show_life(&self, tenure: &mut Tenure) -> Result<bool, SqlError> {
        let place = transaction::position(&mut tenure.connection, Schema::LIVE, self.stream.as_str());
        if in_time(place).await? != (tenure.position, tenure.tables) {
            self.begin_anew(tenure).await?;
            return Ok(false);
        }
        let cache = CacheChanges {
            position: tenure.position,
            ..CacheChanges::default()
        };
        tenure.after.committed(Commit {
            cache,
            from: tenure.position,
            idle: true,
            ..Commit::default()
        });
        Ok(true)
    }

    /// Goes on from where the tables are that are in use now. What caches have is of others.
    async fn begin_anew(&self, tenure: &mut Tenure) -> Result<(), SqlError> {
        let place = transaction::position(&mut tenure.connection, Schema::LIVE, self.stream.as_str());
        (tenure.position, tenure.tables) = in_time(place).await?;
        tracing::info!(log.stream = %self.stream, log.seq = tenure.position, "going on from another position");
        let cache = CacheChanges {
            position: tenure.position,
            ..CacheChanges::default()
        };
        tenure.after.committed(Commit {
            cache,
            from: tenure.position,
            idle: true,
            cache_outdated: true,
            ..Commit::default()
        });
        Ok(())
    }
}

async fn in_time<T>(work: impl Future<Output = Result<T, SqlError>>) -> Result<T, SqlError> {
    match tokio::time::timeout(TRANSACTION_TIMEOUT, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(SqlError::PoolTimedOut),
    }
}

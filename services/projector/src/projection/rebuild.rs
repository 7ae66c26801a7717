//! Building the read models anew beside the ones in use, and changing places with them.
//!
//! The tables in use go on serving and growing. The new ones are filled from the first event in the schema
//! `read_next`; when they are nearly there, the projector is held for a moment, the rest is applied, and
//! both schemas change their names in one transaction. The old one stays as `read_prev`.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use sea_orm::sqlx::{Connection, PgConnection, Postgres, Row, Transaction};
use tokio::time::Instant;
use veza_platform::event_log::StreamName;
use veza_readmodel::PROJECTION;

use super::Workbench;
use super::hashes::{HashesError, hashes};
use crate::batch::{self, Reading};
use crate::tables::{Schema, SqlError};
use crate::transaction::{self, NAMES_LOCK, Outcome, Parked, Target};

/// Keeps two rebuilds apart.
const REBUILD_LOCK: i64 = 0x7665_7a61_6e65_7874;
/// Longest time that the projector is held for the change of places, before it is let go and the rest is
/// caught up freely.
const SWITCH_TIMEOUT: Duration = Duration::from_secs(10);
/// How often the change of places is tried.
const SWITCH_TRIES: usize = 10;
/// Events that may be missing when the projector is held.
const NEAR: u64 = 2_000;

/// What a rebuild is to do beside building.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RebuildOptions {
    /// Park events that cannot be applied, instead of stopping at the first.
    pub park: bool,
    /// Compare all tables with the old ones before changing places, and stop if they differ. Holds the
    /// projector while both are read.
    pub verify: bool,
}

/// How far a rebuild is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The new tables are being made.
    Preparing,
    /// Events are being applied.
    Applying(StreamProgress),
    /// The projector is held for the rest.
    Switching,
    /// The new tables are in use.
    Switched,
}

/// How far one stream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamProgress {
    /// The stream.
    pub stream: String,
    /// Last applied sequence.
    pub seq: u64,
    /// Where it goes for now.
    pub target: u64,
}

/// A rebuild that went well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Where each stream is.
    pub positions: BTreeMap<String, u64>,
    /// Events applied.
    pub events: u64,
    /// Events parked.
    pub parked: u64,
    /// Time of applying, without preparing and changing places.
    pub applying: Duration,
    /// Time that the projector was held.
    pub held: Duration,
}

/// Why a rebuild stopped. The tables in use are as they were.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// Another rebuild is under way.
    #[error("another rebuild is under way")]
    Busy,
    /// The new tables could not be made.
    #[error("the new tables cannot be made: {0}")]
    Schema(String),
    /// An event cannot be applied.
    #[error("event {stream}/{seq} ({kind}) cannot be applied: {reason}")]
    Refused {
        /// The stream.
        stream: String,
        /// Its sequence.
        seq: u64,
        /// Wire name of its type.
        kind: String,
        /// Why.
        reason: String,
    },
    /// Somebody else writes into the new tables.
    #[error("the new tables are not where this rebuild left them")]
    Disturbed,
    /// The process is asked to stop.
    #[error("stopped")]
    Stopped,
    /// The new tables have other rows than the old ones.
    #[error("the new tables differ from those in use: {}", .0.join(", "))]
    Different(Vec<String>),
    /// Events came faster than they could be applied, so places were not changed.
    #[error("the new tables did not catch up with those in use")]
    NotCaughtUp,
    /// There is nothing to switch back to.
    #[error("there are no tables from before a rebuild")]
    NothingBefore,
    /// The log is away.
    #[error("the log cannot be read: {0}")]
    Log(#[from] veza_platform::event_log::ReadError),
    /// Postgres is away, or refused.
    #[error("the tables cannot be written: {0}")]
    Postgres(#[from] SqlError),
    /// The tables could not be compared.
    #[error(transparent)]
    Hashes(#[from] HashesError),
}

/// Builds all read models anew and puts them in use. `make_tables` makes the tables in the schema it is
/// given, which does not exist; `progress` hears how far it is, often.
///
/// # Errors
/// [`RebuildError`]; nothing has changed for readers then.
pub async fn rebuild<M, E>(
    bench: &Workbench,
    options: RebuildOptions,
    make_tables: M,
    progress: impl Fn(Progress) + Sync,
) -> Result<Rebuilt, RebuildError>
where
    M: AsyncFnOnce(&'static str) -> Result<(), E>,
    E: std::fmt::Display,
{
    let mut keeper = bench.connect().await?;
    let locked = sea_orm::sqlx::query("SELECT pg_try_advisory_lock($1)").bind(REBUILD_LOCK);
    if !locked.fetch_one(&mut keeper).await?.try_get::<bool, _>(0)? {
        return Err(RebuildError::Busy);
    }
    progress(Progress::Preparing);
    drop_schema(&mut keeper, Schema::NEXT).await?;
    make_tables(Schema::NEXT.name())
        .await
        .map_err(|error| RebuildError::Schema(format!("{error:#}")))?;

    let begun = Instant::now();
    let streams = bench.streams();
    let mut fillers = try_join_all(
        streams
            .into_iter()
            .map(|stream| Filler::open(bench, stream, options)),
    )
    .await?;
    let mut held = Duration::ZERO;
    let mut applying = None;
    for _ in 0..SWITCH_TRIES {
        try_join_all(fillers.iter_mut().map(|filler| filler.come_near(&progress))).await?;
        applying.get_or_insert_with(|| begun.elapsed());
        analyze(&mut keeper).await?;
        progress(Progress::Switching);
        let holding = Instant::now();
        let switched = switch(&mut keeper, &mut fillers, options, &progress).await?;
        held += holding.elapsed();
        if switched {
            bench.drop_caches().await;
            progress(Progress::Switched);
            let positions = fillers
                .iter()
                .map(|filler| (filler.stream.to_string(), filler.at));
            return Ok(Rebuilt {
                positions: positions.collect(),
                events: fillers.iter().map(|filler| filler.events).sum(),
                parked: fillers.iter().map(|filler| filler.parked).sum(),
                applying: applying.unwrap_or_default(),
                held,
            });
        }
    }
    Err(RebuildError::NotCaughtUp)
}

/// Puts the tables from before the last rebuild back in use; those of the rebuild become the ones before.
/// The projector goes on with them from where they are.
///
/// # Errors
/// [`RebuildError::NothingBefore`], or Postgres is away.
pub async fn switch_back(bench: &Workbench) -> Result<(), RebuildError> {
    let mut connection = bench.connect().await?;
    let mut transaction = hold_projector(&mut connection).await?;
    let query = sea_orm::sqlx::query("SELECT to_regclass($1) IS NOT NULL");
    let before = query
        .bind(Schema::PREVIOUS.sql("{s}.projection"))
        .fetch_one(&mut *transaction)
        .await?;
    if !before.try_get::<bool, _>(0)? {
        return Err(RebuildError::NothingBefore);
    }
    drop_schema(&mut transaction, Schema::NEXT).await?;
    rename(&mut transaction, Schema::LIVE, Schema::NEXT).await?;
    rename(&mut transaction, Schema::PREVIOUS, Schema::LIVE).await?;
    rename(&mut transaction, Schema::NEXT, Schema::PREVIOUS).await?;
    transaction.commit().await?;
    bench.drop_caches().await;
    Ok(())
}

/// Fills the new tables from one stream.
struct Filler<'a> {
    bench: &'a Workbench,
    stream: StreamName,
    connection: PgConnection,
    /// For looking at the tables in use.
    live: PgConnection,
    at: u64,
    events: u64,
    parked: u64,
    park: bool,
}

impl<'a> Filler<'a> {
    async fn open(
        bench: &'a Workbench,
        stream: StreamName,
        options: RebuildOptions,
    ) -> Result<Self, RebuildError> {
        let mut connection = bench.connect().await?;
        // A crash takes back the last moments with their position; the change of places is flushed.
        sea_orm::sqlx::query("SET synchronous_commit = off")
            .execute(&mut connection)
            .await?;
        let (at, _) = transaction::position(&mut connection, Schema::NEXT, stream.as_str()).await?;
        let live = bench.connect().await?;
        Ok(Self {
            bench,
            stream,
            connection,
            live,
            at,
            events: 0,
            parked: 0,
            park: options.park,
        })
    }

    /// Finds out anew where the new tables are.
    async fn reopen(&mut self) -> Result<(), RebuildError> {
        self.connection = self.bench.connect().await?;
        (self.at, _) =
            transaction::position(&mut self.connection, Schema::NEXT, self.stream.as_str()).await?;
        Ok(())
    }

    /// Follows the tables in use until only a little is missing.
    async fn come_near(&mut self, progress: &(impl Fn(Progress) + Sync)) -> Result<(), RebuildError> {
        loop {
            let target = self.target().await?;
            if target.saturating_sub(self.at) <= NEAR {
                return Ok(());
            }
            self.fill_to(target, progress).await?;
        }
    }

    /// Where the tables in use are; where the log is, if they never began.
    async fn target(&mut self) -> Result<u64, RebuildError> {
        let sql = "SELECT seq FROM {s}.projection WHERE name = $1 AND stream = $2";
        let query = Schema::LIVE
            .query(sql)
            .bind(PROJECTION)
            .bind(self.stream.to_string());
        let row = query.fetch_optional(&mut self.live).await?;
        match row.map(|row| row.try_get::<i64, _>(0)).transpose()? {
            Some(seq) if seq > 0 => Ok(seq.cast_unsigned()),
            _ => Ok(self.bench.parts.ledger.log().head(&self.stream).await?),
        }
    }

    async fn fill_to(
        &mut self,
        target: u64,
        progress: &(impl Fn(Progress) + Sync),
    ) -> Result<(), RebuildError> {
        let parts = &self.bench.parts;
        let reading = Reading {
            until: Some(target),
            traced: false,
            ..Reading::new(&parts.config)
        };
        let metrics = parts.metrics.of(self.stream.as_str());
        let mut batches = batch::start(
            &parts.lifecycle,
            parts.ledger.clone(),
            self.stream.clone(),
            self.at,
            reading,
            metrics,
        );
        while self.at < target {
            let batch = tokio::select! {
                batch = batches.recv() => batch.ok_or(RebuildError::Stopped)?,
                () = parts.lifecycle.soft.cancelled() => return Err(RebuildError::Stopped),
            };
            let place = Target {
                schema: Schema::NEXT,
                stream: self.stream.as_str(),
                from: self.at,
                park: self.park,
            };
            match transaction::apply(&mut self.connection, place, &batch).await? {
                Outcome::Applied(applied) => {
                    self.at = batch.last;
                    self.events += batch.items.len() as u64;
                    self.parked += applied.parked.len() as u64;
                }
                Outcome::Moved => return Err(RebuildError::Disturbed),
                Outcome::Refused(Parked {
                    seq, kind, reason, ..
                }) => {
                    let stream = self.stream.to_string();
                    return Err(RebuildError::Refused {
                        stream,
                        seq,
                        kind,
                        reason,
                    });
                }
            }
            let stream = self.stream.to_string();
            progress(Progress::Applying(StreamProgress {
                stream,
                seq: self.at,
                target,
            }));
        }
        Ok(())
    }
}

/// Holds the projector, applies the rest, and changes places. `false` when that took too long.
async fn switch(
    keeper: &mut PgConnection,
    fillers: &mut [Filler<'_>],
    options: RebuildOptions,
    progress: &(impl Fn(Progress) + Sync),
) -> Result<bool, RebuildError> {
    let mut transaction = hold_projector(keeper).await?;
    let rest = try_join_all(fillers.iter_mut().map(async |filler| {
        let target = filler.target().await?;
        filler.fill_to(target, progress).await
    }));
    let Ok(filled) = tokio::time::timeout(SWITCH_TIMEOUT, rest).await else {
        transaction.rollback().await?;
        // A transaction that was cut off may have moved a position without telling.
        for filler in fillers {
            filler.reopen().await?;
        }
        return Ok(false);
    };
    filled?;
    if options.verify {
        verify(fillers).await?;
    }
    drop_schema(&mut transaction, Schema::PREVIOUS).await?;
    rename(&mut transaction, Schema::LIVE, Schema::PREVIOUS).await?;
    rename(&mut transaction, Schema::NEXT, Schema::LIVE).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Compares the new tables with those in use, while both stand still.
async fn verify(fillers: &mut [Filler<'_>]) -> Result<(), RebuildError> {
    let Some(filler) = fillers.first_mut() else {
        return Ok(());
    };
    let new = hashes(&mut filler.connection, Schema::NEXT.name()).await?;
    let old = hashes(&mut filler.live, Schema::LIVE.name()).await?;
    let different = new
        .into_iter()
        .filter(|(table, hash)| old.get(table) != Some(hash));
    let different: Vec<String> = different.map(|(table, _)| table).collect();
    if different.is_empty() {
        Ok(())
    } else {
        Err(RebuildError::Different(different))
    }
}

/// Waits for the projector's transactions to end, and lets none begin until this one is over.
async fn hold_projector(connection: &mut PgConnection) -> Result<Transaction<'_, Postgres>, SqlError> {
    let mut transaction = connection.begin().await?;
    let lock = sea_orm::sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(NAMES_LOCK);
    lock.execute(&mut *transaction).await?;
    Ok(transaction)
}

async fn rename(connection: &mut PgConnection, from: Schema, to: Schema) -> Result<(), SqlError> {
    let sql = format!("ALTER SCHEMA {} RENAME TO {}", from.name(), to.name());
    sea_orm::sqlx::raw_sql(sea_orm::sqlx::AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map(drop)
}

async fn drop_schema(connection: &mut PgConnection, schema: Schema) -> Result<(), SqlError> {
    let sql = schema.sql("DROP SCHEMA IF EXISTS {s} CASCADE");
    sea_orm::sqlx::raw_sql(sea_orm::sqlx::AssertSqlSafe(sql))
        .execute(connection)
        .await
        .map(drop)
}

/// So that the first queries on the new tables are planned for what is in them.
async fn analyze(connection: &mut PgConnection) -> Result<(), SqlError> {
    let tables = [
        "account", "session", "space", "role", "room", "member", "invite", "message", "timeline",
    ];
    for table in tables {
        let sql = Schema::NEXT.sql(&format!("ANALYZE {{s}}.{table}"));
        sea_orm::sqlx::raw_sql(sea_orm::sqlx::AssertSqlSafe(sql))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

//! Removes files that nobody can see: those that no message took, those of deleted messages, and those that
//! nothing knows of. Not part of any projection: it only asks the tables which files are in messages. Several may
//! run side by side; what one has removed the others do not find.

mod deleted;
mod orphans;
mod unposted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use sea_orm::sqlx::{AssertSqlSafe, PgConnection, Row};
use time::OffsetDateTime;
use tokio::time::{Instant, MissedTickBehavior};
use veza_events::{AttachmentId, Shards};
use veza_platform::blobs::{BlobError, Blobs};
use veza_platform::contract::Problem;
use veza_platform::uploads::{MAX_THUMBNAILS, Seen, Uploads, Waiting, blob_name, thumbnail_name};

use crate::postgres;
use crate::role::Parts;

/// Longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Shortest one.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// Pause after something was away.
const RETRY: Duration = Duration::from_secs(5);

/// Why a look came to nothing; the next one may do better.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Platform(#[from] Problem),
    #[error(transparent)]
    Postgres(#[from] sea_orm::sqlx::Error),
}

impl From<BlobError> for Trouble {
    fn from(error: BlobError) -> Self {
        Self::Platform(error.into())
    }
}

/// Why a file was removed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    /// `unposted`, `deleted` or `orphan`.
    why: &'static str,
}

/// Looks after the files.
pub(crate) struct Janitor {
    parts: Arc<Parts>,
    blobs: Blobs,
    uploads: Uploads,
    ttl: Duration,
    grace: Duration,
    shards: Shards,
    waiting: BTreeMap<AttachmentId, OffsetDateTime>,
    orphans: orphans::Round,
    removed: Family<Why, Counter>,
}

impl Janitor {
    pub(crate) fn new(parts: Arc<Parts>, blobs: Blobs, metrics: &veza_platform::telemetry::Metrics) -> Self {
        let (log, keys) = (parts.ledger.log(), parts.ledger.keys().clone());
        let files = &parts.config.files;
        let removed = Family::default();
        let counted = removed.clone();
        metrics.register(|registry: &mut Registry| {
            registry.register(
                "projector_files_removed",
                "Files removed from the object store",
                counted,
            );
        });
        Self {
            uploads: Uploads::new(log, keys),
            ttl: Duration::from_secs(files.unposted_ttl_s),
            grace: Duration::from_secs(files.deleted_grace_s),
            orphans: orphans::Round::new(files),
            shards: Shards::new(u16::try_from(parts.config.nats.shards).unwrap_or(u16::MAX)),
            waiting: BTreeMap::new(),
            removed,
            parts,
            blobs,
        }
    }

    /// Ends when the role is asked to stop.
    pub(crate) async fn run(mut self) {
        let soft = self.parts.lifecycle.soft.clone();
        let mut seen = self.uploads.watch();
        let soonest = self.ttl.min(self.grace).min(self.orphans.pause()) / 2;
        let mut looks = tokio::time::interval(soonest.clamp(SHORTEST_PAUSE, LONGEST_PAUSE));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                () = self.follow(&mut seen) => {}
                _ = looks.tick() => {
                    tokio::select! {
                        // Whatever was begun, another look finds what is left.
                        () = soft.cancelled() => return,
                        looked = self.look() => if let Err(trouble) = looked {
                            tracing::warn!(error = %trouble, "files that nobody can see could not be removed yet");
                            tokio::time::sleep(RETRY).await;
                        }
                    }
                }
            }
        }
    }

    async fn follow(&mut self, seen: &mut Waiting) {
        match seen.next().await {
            Ok(Seen::Waits(id, since)) => {
                self.waiting.insert(id, since.time());
            }
            Ok(Seen::Gone(id)) => {
                self.waiting.remove(&id);
            }
            Ok(Seen::Nothing) => {}
            Err(problem) => {
                tracing::warn!(error = %problem, "the files that wait cannot be followed");
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    async fn look(&mut self) -> Result<(), Trouble> {
        let mut connection = postgres::connect(&self.parts.config.postgres, "veza janitor").await?;
        self.sweep_deleted(&mut connection).await?;
        let due = self.due();
        let orphans = self.orphans.is_due(Instant::now());
        // Tables that are behind would call a file unwanted that is in a message.
        if (due.is_empty() && !orphans) || !self.is_caught_up(&mut connection).await? {
            return Ok(());
        }
        self.sweep_unposted(&mut connection, due).await?;
        if orphans {
            self.sweep_orphans(&mut connection).await?;
        }
        Ok(())
    }

    /// Removes all bytes of a file.
    async fn discard(&self, id: AttachmentId, why: &'static str) -> Result<(), Trouble> {
        self.blobs.delete(&blob_name(id)).await?;
        for number in 0..MAX_THUMBNAILS {
            self.blobs.delete(&thumbnail_name(id, number)).await?;
        }
        tracing::info!(attachment.id = %id, why, "a file that nobody can see was removed");
        self.removed.get_or_create(&Why { why }).inc();
        Ok(())
    }

    /// Whether the tables have all that the log has, whatever could not be applied included.
    async fn is_caught_up(&self, connection: &mut PgConnection) -> Result<bool, Trouble> {
        let log = self.parts.ledger.log();
        for stream in log.streams() {
            let head = log
                .head(&stream)
                .await
                .map_err(veza_platform::ledger::read_problem)?;
            if applied(connection, stream.as_str()).await? < head.cast_signed() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Up to where nothing of the stream is missing in the tables.
async fn applied(connection: &mut PgConnection, stream: &str) -> Result<i64, Trouble> {
    let sql = "SELECT LEAST(
            (SELECT COALESCE(max(seq), 0) FROM read.projection WHERE name = $1 AND stream = $2),
            (SELECT min(seq) - 1 FROM read.parked WHERE stream = $2))";
    let query = sea_orm::sqlx::query(AssertSqlSafe(sql))
        .bind(veza_readmodel::PROJECTION)
        .bind(stream);
    Ok(query.fetch_one(connection).await?.try_get(0)?)
}

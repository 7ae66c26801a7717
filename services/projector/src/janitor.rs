//! Removes files that no message took. Not part of any projection: it only asks the tables which files are in
//! messages. Several may run side by side; what one has removed the others do not find.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::{AssertSqlSafe, PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::{AttachmentId, MessageId};
use veza_platform::ambient;
use veza_platform::blobs::Blobs;
use veza_platform::contract::Problem;
use veza_platform::uploads::{MAX_THUMBNAILS, Seen, Uploads, Waiting, blob_name, thumbnail_name};

use crate::postgres;
use crate::role::Parts;

/// Longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// Pause after something was away.
const RETRY: Duration = Duration::from_secs(5);
/// Takes a file that nobody wants, so that no message can take it any more.
const NO_MESSAGE: MessageId = MessageId::new(Uuid::nil());

/// Why a look came to nothing; the next one may do better.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Platform(#[from] Problem),
    #[error(transparent)]
    Postgres(#[from] sea_orm::sqlx::Error),
}

/// Looks after the files that wait for their messages.
pub(crate) struct Janitor {
    parts: Arc<Parts>,
    blobs: Blobs,
    uploads: Uploads,
    ttl: Duration,
    waiting: BTreeMap<AttachmentId, OffsetDateTime>,
}

impl Janitor {
    pub(crate) fn new(parts: Arc<Parts>, blobs: Blobs) -> Self {
        let (log, keys) = (parts.ledger.log(), parts.ledger.keys().clone());
        Self {
            uploads: Uploads::new(log, keys),
            ttl: Duration::from_secs(parts.config.files.unposted_ttl_s),
            waiting: BTreeMap::new(),
            parts,
            blobs,
        }
    }

    /// Ends when the role is asked to stop.
    pub(crate) async fn run(mut self) {
        let soft = self.parts.lifecycle.soft.clone();
        let mut seen = self.uploads.watch();
        let mut looks = tokio::time::interval(LONGEST_PAUSE.min(self.ttl / 2).max(Duration::from_secs(1)));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                () = self.follow(&mut seen) => {}
                _ = looks.tick() => {
                    if let Err(trouble) = self.sweep().await {
                        tracing::warn!(error = %trouble, "files that nobody posted could not be removed yet");
                        tokio::time::sleep(RETRY).await;
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

    async fn sweep(&self) -> Result<(), Trouble> {
        let now = ambient::now();
        let due = self.waiting.iter().filter(|(_, since)| now - **since > self.ttl);
        let due: Vec<_> = due.map(|(id, since)| (*id, *since)).collect();
        if due.is_empty() {
            return Ok(());
        }
        let mut connection = postgres::connect(&self.parts.config.postgres, "veza janitor").await?;
        // Tables that are behind would call a file unwanted that is in a message.
        if !self.is_caught_up(&mut connection).await? {
            return Ok(());
        }
        for (id, since) in due {
            if self.is_posted(&mut connection, id).await? {
                self.uploads.remove(id).await?;
                continue;
            }
            let outcome = self.uploads.take(id, NO_MESSAGE).await;
            match outcome {
                Ok(()) => self.discard(id).await?,
                // Taken by a message that was never stored, and by now cannot be any more.
                Err(problem) if problem.code == "attachment.used" && now - since > 2 * self.ttl => {
                    self.discard(id).await?;
                }
                Err(problem) if problem.code.starts_with("attachment.") => {}
                Err(problem) => return Err(problem.into()),
            }
        }
        Ok(())
    }

    /// The bytes first: as long as the entry is there, another look finds what is left.
    async fn discard(&self, id: AttachmentId) -> Result<(), Problem> {
        self.blobs.delete(&blob_name(id)).await?;
        for number in 0..MAX_THUMBNAILS {
            self.blobs.delete(&thumbnail_name(id, number)).await?;
        }
        tracing::info!(attachment.id = %id, "a file that nobody posted was removed");
        self.uploads.remove(id).await
    }

    async fn is_caught_up(&self, connection: &mut PgConnection) -> Result<bool, Trouble> {
        let log = self.parts.ledger.log();
        for stream in log.streams() {
            let head = log
                .head(&stream)
                .await
                .map_err(veza_platform::ledger::read_problem)?;
            let sql = "SELECT COALESCE(max(seq), 0) FROM read.projection WHERE name = $1 AND stream = $2";
            let query = sea_orm::sqlx::query(AssertSqlSafe(sql))
                .bind(veza_readmodel::PROJECTION)
                .bind(stream.as_str());
            let position: i64 = query.fetch_one(&mut *connection).await?.try_get(0)?;
            if position.cast_unsigned() < head {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn is_posted(&self, connection: &mut PgConnection, id: AttachmentId) -> Result<bool, Trouble> {
        let sql = "SELECT EXISTS (SELECT 1 FROM read.attachment WHERE attachment = $1)";
        let query = sea_orm::sqlx::query(AssertSqlSafe(sql)).bind(id.uuid());
        Ok(query.fetch_one(connection).await?.try_get(0)?)
    }
}

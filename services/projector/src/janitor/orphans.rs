//! Files that nothing knows of: stored by a gateway that died before it could say so. One page of the store is looked
//! at at a time, round and round.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use sea_orm::sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::time::Instant;
use uuid::Uuid;
use veza_events::AttachmentId;
use veza_platform::ambient;
use veza_platform::config::FilesConfig;
use veza_platform::uploads::{FILES, attachment_of};

use super::{Janitor, Trouble};

/// Objects of one look; no store lists more at once.
const PAGE: usize = 1_000;

/// Where the round is.
pub(super) struct Round {
    pause: Duration,
    age: Duration,
    /// The last object that was looked at.
    after: Option<String>,
    next: Option<Instant>,
}

impl Round {
    pub(super) fn new(config: &FilesConfig) -> Self {
        Self {
            pause: Duration::from_secs(config.orphan_look_s.max(1)),
            age: Duration::from_secs(config.orphan_age_s),
            after: None,
            next: None,
        }
    }

    pub(super) fn pause(&self) -> Duration {
        self.pause
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now)
    }
}

impl Janitor {
    pub(super) async fn sweep_orphans(&mut self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let page = self
            .blobs
            .list(FILES, self.orphans.after.as_deref(), PAGE)
            .await?;
        let old = ambient::now() - self.orphans.age;
        let suspects = page.objects.iter().filter(|object| object.stored_at < old);
        let suspects: BTreeSet<_> = suspects
            .filter_map(|object| attachment_of(&object.name))
            .collect();
        let posted = posted(connection, &suspects).await?;
        for id in suspects {
            if !posted.contains(&id.uuid()) && self.uploads.get(id).await?.is_none() {
                self.discard(id, "orphan").await?;
            }
        }
        let last = page.objects.last().map(|object| object.name.clone());
        self.orphans.after = if page.more { last } else { None };
        self.orphans.next = Some(Instant::now() + self.orphans.pause);
        Ok(())
    }
}

async fn posted(
    connection: &mut PgConnection,
    ids: &BTreeSet<AttachmentId>,
) -> Result<HashSet<Uuid>, Trouble> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let sql = "SELECT attachment FROM read.attachment WHERE attachment = ANY($1)";
    let rows = sea_orm::sqlx::query(AssertSqlSafe(sql))
        .bind(ids)
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

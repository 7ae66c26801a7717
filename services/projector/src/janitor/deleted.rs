//! Files of deleted messages. The tables say which those are, by the sequence of the deletion; how far their bytes
//! are gone stands in `veza.swept`, which a rebuild does not touch.

use sea_orm::sqlx::postgres::PgRow;
use sea_orm::sqlx::{AssertSqlSafe, PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::AttachmentId;
use veza_platform::ambient;

use super::{Janitor, Trouble, applied};

/// Files of one batch.
const BATCH: i64 = 200;
/// Most batches of one look at one stream.
const BATCHES: usize = 10;

impl Janitor {
    pub(super) async fn sweep_deleted(&self, connection: &mut PgConnection) -> Result<(), Trouble> {
        for stream in self.parts.ledger.log().streams() {
            let Some(shard) = shard_of(stream.as_str()) else {
                continue;
            };
            for _ in 0..BATCHES {
                if !self.sweep_stream(connection, stream.as_str(), shard).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether there may be more.
    async fn sweep_stream(
        &self,
        connection: &mut PgConnection,
        stream: &str,
        shard: u16,
    ) -> Result<bool, Trouble> {
        let from = swept(connection, stream).await?;
        let to = applied(connection, stream).await?;
        let rows = removed(connection, from, to).await?;
        let full = rows.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
        let due_before = ambient::now() - self.grace;
        let mut done = from;
        for row in &rows {
            let removed: i64 = row.try_get("removed")?;
            let space: Uuid = row.try_get("space")?;
            if self.shards.of(space.into()) != shard {
                // Of another stream, whose sequences are its own.
                done = removed;
                continue;
            }
            let deleted_at: Option<OffsetDateTime> = row.try_get("deleted_at")?;
            if deleted_at.is_some_and(|at| at > due_before) {
                // Several files may have gone with one event.
                done = (removed - 1).max(from);
                break;
            }
            let id: Uuid = row.try_get("attachment")?;
            self.discard(AttachmentId::new(id), "deleted").await?;
            done = removed;
        }
        if done > from {
            set_swept(connection, stream, done).await?;
        }
        Ok(full && done > from)
    }
}

/// The space stream's shard; other streams have no messages.
fn shard_of(stream: &str) -> Option<u16> {
    stream.strip_prefix("SPACES_")?.parse().ok()
}

async fn removed(connection: &mut PgConnection, from: i64, to: i64) -> Result<Vec<PgRow>, Trouble> {
    // A batch never ends in the midst of one event.
    let sql = "SELECT a.attachment, a.space, a.removed, m.deleted_at
        FROM read.attachment a LEFT JOIN read.message m ON m.message = a.message
        WHERE a.removed > $1 AND a.removed <= $2
        ORDER BY a.removed FETCH FIRST $3 ROWS WITH TIES";
    let query = sea_orm::sqlx::query(AssertSqlSafe(sql))
        .bind(from)
        .bind(to)
        .bind(BATCH);
    Ok(query.fetch_all(connection).await?)
}

async fn swept(connection: &mut PgConnection, stream: &str) -> Result<i64, Trouble> {
    let sql = "SELECT COALESCE(max(seq), 0) FROM veza.swept WHERE stream = $1";
    let query = sea_orm::sqlx::query(AssertSqlSafe(sql)).bind(stream);
    Ok(query.fetch_one(connection).await?.try_get(0)?)
}

async fn set_swept(connection: &mut PgConnection, stream: &str, seq: i64) -> Result<(), Trouble> {
    let sql = "INSERT INTO veza.swept AS s (stream, seq) VALUES ($1, $2)
        ON CONFLICT (stream) DO UPDATE SET seq = GREATEST(s.seq, excluded.seq)";
    let query = sea_orm::sqlx::query(AssertSqlSafe(sql)).bind(stream).bind(seq);
    query.execute(connection).await?;
    Ok(())
}

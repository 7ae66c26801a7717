//! Files that no message took.

use sea_orm::sqlx::{AssertSqlSafe, PgConnection, Row};
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::{AttachmentId, MessageId};
use veza_platform::ambient;

use super::{Janitor, Trouble};

/// Takes a file that nobody wants, so that no message can take it any more.
const NO_MESSAGE: MessageId = MessageId::new(Uuid::nil());

impl Janitor {
    /// Files that have waited long enough.
    pub(super) fn due(&self) -> Vec<(AttachmentId, OffsetDateTime)> {
        let now = ambient::now();
        let due = self.waiting.iter().filter(|(_, since)| now - **since > self.ttl);
        due.map(|(id, since)| (*id, *since)).collect()
    }

    pub(super) async fn sweep_unposted(
        &self,
        connection: &mut PgConnection,
        due: Vec<(AttachmentId, OffsetDateTime)>,
    ) -> Result<(), Trouble> {
        let now = ambient::now();
        for (id, since) in due {
            if is_posted(connection, id).await? {
                self.uploads.remove(id).await?;
                continue;
            }
            let wanted = match self.uploads.take(id, NO_MESSAGE).await {
                Ok(()) => false,
                // Taken by a message that was never stored, and by now cannot be any more.
                Err(problem) if problem.code == "attachment.used" => now - since <= 2 * self.ttl,
                Err(problem) if problem.code.starts_with("attachment.") => true,
                Err(problem) => return Err(problem.into()),
            };
            if !wanted {
                // The bytes first: as long as the entry is there, another look finds what is left.
                self.discard(id, "unposted").await?;
                self.uploads.remove(id).await?;
            }
        }
        Ok(())
    }
}

async fn is_posted(connection: &mut PgConnection, id: AttachmentId) -> Result<bool, Trouble> {
    let sql = "SELECT EXISTS (SELECT 1 FROM read.attachment WHERE attachment = $1)";
    let query = sea_orm::sqlx::query(AssertSqlSafe(sql)).bind(id.uuid());
    Ok(query.fetch_one(connection).await?.try_get(0)?)
}

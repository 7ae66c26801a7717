//! Queries for files. Those of messages that were taken away are passed over.

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};
use veza_events::{AttachmentId, MessageId};

use crate::rows::{Attachment, PlacedAttachment};

pub(crate) async fn one(
    db: &DatabaseConnection,
    id: AttachmentId,
) -> Result<Option<PlacedAttachment>, DbErr> {
    let sql =
        "SELECT a.*, m.seq AS posted FROM read.attachment a JOIN read.message m ON m.message = a.message
        WHERE a.attachment = $1 AND a.removed IS NULL";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [id.uuid().into()]);
    let row = db.query_one_raw(statement).await?;
    row.as_ref().map(placed).transpose()
}

/// The files of several messages, in the order of each.
pub(crate) async fn of_messages(
    db: &DatabaseConnection,
    messages: &[MessageId],
) -> Result<Vec<PlacedAttachment>, DbErr> {
    let ids: Vec<Uuid> = messages.iter().map(|message| message.uuid()).collect();
    let sql =
        "SELECT a.*, m.seq AS posted FROM read.attachment a JOIN read.message m ON m.message = a.message
        WHERE a.message = ANY($1) AND a.removed IS NULL ORDER BY a.message, a.place";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [ids.into()]);
    db.query_all_raw(statement).await?.iter().map(placed).collect()
}

fn placed(row: &QueryResult) -> Result<PlacedAttachment, DbErr> {
    let kind: String = row.try_get("", "kind")?;
    let about: Option<String> = row.try_get("", "about")?;
    let unreadable = |error: serde_json::Error| DbErr::Type(error.to_string());
    Ok(PlacedAttachment {
        space: row.try_get::<Uuid>("", "space")?.into(),
        room: row.try_get::<Uuid>("", "room")?.into(),
        message: row.try_get::<Uuid>("", "message")?.into(),
        posted: row.try_get::<i64>("", "posted")?.cast_unsigned(),
        attachment: Attachment {
            id: row.try_get::<Uuid>("", "attachment")?.into(),
            kind: serde_json::from_value(kind.into()).map_err(unreadable)?,
            size: row.try_get::<i64>("", "size")?.cast_unsigned(),
            about: about
                .map(|about| serde_json::from_str(&about))
                .transpose()
                .map_err(unreadable)?,
        },
    })
}

//! Webhooks and slash commands.

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult};
use time::OffsetDateTime;
use veza_events::{RoomId, SpaceId};

use crate::queries::{rows, statement};
use crate::rows::{SlashCommand, Webhook};
use crate::{ReadError, ReadModel};

/// Most rows of one answer; the domain allows fewer.
const MOST: usize = 1_000;

impl ReadModel {
    /// The webhooks of a room, oldest first.
    pub async fn webhooks(&self, room: RoomId) -> Result<Vec<Webhook>, ReadError> {
        self.0.postgres.ask(async |db| webhooks(&db, room).await).await
    }

    /// What bots offer in a space, by name.
    pub async fn slash_commands(&self, space: SpaceId) -> Result<Vec<SlashCommand>, ReadError> {
        self.0
            .postgres
            .ask(async |db| slash_commands(&db, space).await)
            .await
    }
}

async fn webhooks(db: &DatabaseConnection, room: RoomId) -> Result<Vec<Webhook>, DbErr> {
    let sql = "SELECT w.webhook, w.created_by, w.created_at, w.seq, a.display_name
        FROM read.webhook w LEFT JOIN read.account a ON a.account = w.webhook
        WHERE w.room = $1 ORDER BY w.created_at, w.webhook LIMIT $2";
    let found = db
        .query_all_raw(statement(sql, [room.uuid().into(), rows(MOST)]))
        .await?;
    let webhook = |row: &QueryResult| {
        Ok(Webhook {
            id: row.try_get::<Uuid>("", "webhook")?.into(),
            name: row.try_get("", "display_name")?,
            by: row.try_get::<Uuid>("", "created_by")?.into(),
            created_at: row.try_get::<OffsetDateTime>("", "created_at")?.into(),
            seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
        })
    };
    found.iter().map(webhook).collect()
}

async fn slash_commands(db: &DatabaseConnection, space: SpaceId) -> Result<Vec<SlashCommand>, DbErr> {
    let sql = "SELECT name, bot, description, options, seq FROM read.slash_command
        WHERE space = $1 ORDER BY name LIMIT $2";
    let found = db
        .query_all_raw(statement(sql, [space.uuid().into(), rows(MOST)]))
        .await?;
    let command = |row: &QueryResult| {
        let options = serde_json::from_value(row.try_get::<Json>("", "options")?);
        Ok(SlashCommand {
            name: row.try_get("", "name")?,
            bot: row.try_get::<Uuid>("", "bot")?.into(),
            description: row.try_get("", "description")?,
            options: options.map_err(|error| DbErr::Type(error.to_string()))?,
            seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
        })
    };
    found.iter().map(command).collect()
}

//! Messages that wait for their time.

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult};
use time::OffsetDateTime;
use veza_events::{AccountId, MessageId, RoomId, ScheduledId, SpaceId, Timestamp};

use crate::queries::{rows, statement};
use crate::rows::{List, PageOf};
use crate::{ReadError, ReadModel};

/// A message that waits for its time, or was not allowed when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    /// Which one.
    pub id: ScheduledId,
    /// In which space.
    pub space: SpaceId,
    /// In which room, or thread.
    pub room: RoomId,
    /// What it says.
    pub body: Option<String>,
    /// Which message it answers.
    pub reply_to: Option<MessageId>,
    /// When it is to be said.
    pub at: Timestamp,
    /// When it was written.
    pub created_at: Timestamp,
    /// Why it was not said when its time came.
    pub refused: Option<String>,
    /// Last change.
    pub seq: u64,
}

impl ReadModel {
    /// What an account wants to say later, in one room or everywhere, soonest first.
    pub async fn scheduled(
        &self,
        account: AccountId,
        room: Option<RoomId>,
        page: &PageOf,
    ) -> Result<List<Scheduled>, ReadError> {
        let (after, limit) = page.bounds()?;
        let sql =
            "SELECT s.* FROM read.scheduled s WHERE s.account = $1 AND ($2::uuid IS NULL OR s.room = $2)
            AND ($3::uuid IS NULL OR (s.at, s.scheduled) >
                (SELECT l.at, l.scheduled FROM read.scheduled l WHERE l.scheduled = $3))
            ORDER BY s.at, s.scheduled LIMIT $4";
        let ask = async |db: DatabaseConnection| {
            let values = [
                account.uuid().into(),
                room.map(RoomId::uuid).into(),
                after.into(),
                rows(limit + 1),
            ];
            let found = db.query_all_raw(statement(sql, values)).await?;
            found.iter().map(scheduled).collect::<Result<Vec<_>, _>>()
        };
        let found = self.0.postgres.ask(ask).await?;
        Ok(List::cut(found, limit, |one| one.id.uuid()))
    }

    /// One of an account's own.
    pub async fn one_scheduled(
        &self,
        account: AccountId,
        id: ScheduledId,
    ) -> Result<Option<Scheduled>, ReadError> {
        let sql = "SELECT s.* FROM read.scheduled s WHERE s.scheduled = $1 AND s.account = $2";
        let ask = async |db: DatabaseConnection| {
            let values = [id.uuid().into(), account.uuid().into()];
            let found = db.query_one_raw(statement(sql, values)).await?;
            found.as_ref().map(scheduled).transpose()
        };
        self.0.postgres.ask(ask).await
    }
}

fn scheduled(row: &QueryResult) -> Result<Scheduled, DbErr> {
    Ok(Scheduled {
        id: row.try_get::<Uuid>("", "scheduled")?.into(),
        space: row.try_get::<Uuid>("", "space")?.into(),
        room: row.try_get::<Uuid>("", "room")?.into(),
        body: row.try_get("", "body")?,
        reply_to: row.try_get::<Option<Uuid>>("", "reply_to")?.map(Into::into),
        at: row.try_get::<OffsetDateTime>("", "at")?.into(),
        created_at: row.try_get::<OffsetDateTime>("", "created_at")?.into(),
        refused: row.try_get("", "refused")?,
        seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
    })
}

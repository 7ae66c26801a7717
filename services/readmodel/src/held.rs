//! Messages that wait for a moderator.

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult};
use time::OffsetDateTime;
use veza_events::{AccountId, MessageId, RoomId, SpaceId, Timestamp};

use crate::queries::{rows, statement};
use crate::rows::{List, PageOf};
use crate::{ReadError, ReadModel};

/// A message that a rule holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldMessage {
    /// The message that it will be.
    pub id: MessageId,
    /// In which space.
    pub space: SpaceId,
    /// In which room, or thread.
    pub room: RoomId,
    /// The room whose rights count there.
    pub gate: RoomId,
    /// Who wrote it.
    pub author: AccountId,
    /// The name others call the author by.
    pub author_handle: Option<String>,
    /// What it says.
    pub body: Option<String>,
    /// The name that a webhook went by.
    pub shown_as: Option<String>,
    /// Which message it answers.
    pub reply_to: Option<MessageId>,
    /// What the rule is called.
    pub rule: String,
    /// When it was written.
    pub held_at: Timestamp,
    /// Where that stands in the log.
    pub seq: u64,
}

impl ReadModel {
    /// What an account has said that waits, oldest first.
    pub async fn held_of(&self, author: AccountId, page: &PageOf) -> Result<List<HeldMessage>, ReadError> {
        self.held_where("h.author = $1", author.uuid().into(), page).await
    }

    /// What waits in rooms whose rights are those of `gates`, oldest first.
    pub async fn held_in(&self, gates: &[RoomId], page: &PageOf) -> Result<List<HeldMessage>, ReadError> {
        let gates: Vec<Uuid> = gates.iter().map(|room| room.uuid()).collect();
        self.held_where("h.gate = ANY($1)", gates.into(), page).await
    }

    async fn held_where(
        &self,
        which: &str,
        value: sea_orm::Value,
        page: &PageOf,
    ) -> Result<List<HeldMessage>, ReadError> {
        let (after, limit) = page.bounds()?;
        let sql = format!(
            "SELECT h.*, a.handle AS author_handle FROM read.held h
                LEFT JOIN read.account a ON a.account = h.author
            WHERE {which} AND ($2::uuid IS NULL OR (h.held_at, h.message) >
                (SELECT l.held_at, l.message FROM read.held l WHERE l.message = $2))
            ORDER BY h.held_at, h.message LIMIT $3"
        );
        let ask = async |db: DatabaseConnection| {
            let values = [value.clone(), after.into(), rows(limit + 1)];
            let found = db.query_all_raw(statement(&sql, values)).await?;
            found.iter().map(held).collect::<Result<Vec<_>, _>>()
        };
        let found = self.0.postgres.ask(ask).await?;
        Ok(List::cut(found, limit, |one| one.id.uuid()))
    }
}

fn held(row: &QueryResult) -> Result<HeldMessage, DbErr> {
    Ok(HeldMessage {
        id: row.try_get::<Uuid>("", "message")?.into(),
        space: row.try_get::<Uuid>("", "space")?.into(),
        room: row.try_get::<Uuid>("", "room")?.into(),
        gate: row.try_get::<Uuid>("", "gate")?.into(),
        author: row.try_get::<Uuid>("", "author")?.into(),
        author_handle: row.try_get("", "author_handle")?,
        body: row.try_get("", "body")?,
        shown_as: row.try_get("", "shown_as")?,
        reply_to: row.try_get::<Option<Uuid>>("", "reply_to")?.map(Into::into),
        rule: row.try_get("", "rule")?,
        held_at: row.try_get::<OffsetDateTime>("", "held_at")?.into(),
        seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
    })
}

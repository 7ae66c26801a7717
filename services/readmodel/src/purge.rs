//! Messages that are to be taken back.

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult};
use veza_events::{AccountId, MessageId, RoomId, SpaceId, Timestamp};

use crate::queries::{rows, sequence, statement};
use crate::{ReadError, ReadModel};

/// Where a message stands that was not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessagePlace {
    /// Which one.
    pub message: MessageId,
    /// In which room.
    pub room: RoomId,
    /// Its sequence.
    pub seq: u64,
}

impl ReadModel {
    /// Where those of `messages` stand that are there and were not taken back.
    pub async fn standing(&self, messages: &[MessageId]) -> Result<Vec<MessagePlace>, ReadError> {
        let ids: Vec<Uuid> = messages.iter().map(|message| message.uuid()).collect();
        let ask = async |db: DatabaseConnection| {
            let sql = "SELECT message, room, seq FROM read.message
                WHERE message = ANY($1) AND deleted_at IS NULL ORDER BY seq";
            places(&db, statement(sql, [ids.clone().into()])).await
        };
        self.0.postgres.ask(ask).await
    }

    /// What an account said in a space since a time, behind the sequence `after` and before `before`, and was not
    /// taken back.
    pub async fn said_since(
        &self,
        (space, author): (SpaceId, AccountId),
        since: Timestamp,
        (after, before): (u64, u64),
        limit: usize,
    ) -> Result<Vec<MessagePlace>, ReadError> {
        let ask = async |db: DatabaseConnection| {
            let sql = "SELECT message, room, seq FROM read.message
                WHERE space = $1 AND author = $2 AND posted_at >= $3 AND seq > $4 AND seq < $5
                    AND deleted_at IS NULL ORDER BY seq LIMIT $6";
            let values = [
                space.uuid().into(),
                author.uuid().into(),
                since.time().into(),
                sequence(after).into(),
                sequence(before).into(),
                rows(limit),
            ];
            places(&db, statement(sql, values)).await
        };
        self.0.postgres.ask(ask).await
    }
}

async fn places(db: &DatabaseConnection, statement: sea_orm::Statement) -> Result<Vec<MessagePlace>, DbErr> {
    let place = |row: &QueryResult| {
        Ok(MessagePlace {
            message: row.try_get::<Uuid>("", "message")?.into(),
            room: row.try_get::<Uuid>("", "room")?.into(),
            seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
        })
    };
    db.query_all_raw(statement).await?.iter().map(place).collect()
}

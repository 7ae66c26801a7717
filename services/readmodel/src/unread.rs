//! What is unread, and who knows whom.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};
use uuid::Uuid;
use veza_events::{AccountId, RoomId, SpaceId};

use crate::{ReadError, ReadModel};

/// Messages between two places at which a room's messages are counted.
pub const MESSAGES_PER_MARK: i64 = 64;
/// Rooms that are looked up at once.
const MAX_ROOMS: usize = 5_000;
/// Spaces of one account that are looked at.
const MAX_SPACES: i64 = 1_000;

/// How many messages a room has, and how many of them were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomCount {
    /// The room.
    pub room: RoomId,
    /// The last event of its timeline.
    pub head: u64,
    /// Messages in all.
    pub messages: u64,
    /// Messages up to the marker.
    pub read: u64,
}

impl ReadModel {
    /// The counts of rooms, each read up to the sequence beside it; at most 5,000.
    pub async fn unread(&self, rooms: &[(RoomId, u64)]) -> Result<Vec<RoomCount>, ReadError> {
        let rooms = &rooms[..rooms.len().min(MAX_ROOMS)];
        self.0.postgres.ask(async |db| counts(&db, rooms).await).await
    }

    /// The spaces that an account is in, and since which event of each.
    pub async fn joined_at(&self, account: AccountId) -> Result<Vec<(SpaceId, u64)>, ReadError> {
        self.0.postgres.ask(async |db| joined(&db, account).await).await
    }

    /// Those of `others` that share a space with `account`.
    pub async fn acquainted(
        &self,
        account: AccountId,
        others: &[AccountId],
    ) -> Result<Vec<AccountId>, ReadError> {
        self.0
            .postgres
            .ask(async |db| acquainted(&db, account, others).await)
            .await
    }
}

async fn counts(db: &DatabaseConnection, rooms: &[(RoomId, u64)]) -> Result<Vec<RoomCount>, DbErr> {
    let ids: Vec<Uuid> = rooms.iter().map(|(room, _)| room.uuid()).collect();
    let markers: Vec<i64> = rooms
        .iter()
        .map(|(_, marker)| i64::try_from(*marker).unwrap_or(i64::MAX))
        .collect();
    let sql = "SELECT u.room, COALESCE(t.head, 0) AS head, COALESCE(c.messages, 0) AS messages,
            COALESCE(k.ordinal, 0) + (SELECT count(*) FROM read.message m
                WHERE m.room = u.room AND m.seq > COALESCE(k.seq, 0) AND m.seq <= u.marker) AS read
        FROM unnest($1::uuid[], $2::int8[]) AS u (room, marker)
        LEFT JOIN read.timeline t ON t.room = u.room
        LEFT JOIN read.message_count c ON c.room = u.room
        LEFT JOIN LATERAL (SELECT ordinal, seq FROM read.message_mark
            WHERE room = u.room AND seq <= u.marker ORDER BY seq DESC LIMIT 1) k ON true";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [ids.into(), markers.into()]);
    let rows = db.query_all_raw(statement).await?;
    let number =
        |row: &sea_orm::QueryResult, name: &str| row.try_get::<i64>("", name).map(i64::cast_unsigned);
    let counts = rows.iter().map(|row| {
        Ok(RoomCount {
            room: row.try_get::<Uuid>("", "room")?.into(),
            head: number(row, "head")?,
            messages: number(row, "messages")?,
            read: number(row, "read")?,
        })
    });
    counts.collect()
}

async fn joined(db: &DatabaseConnection, account: AccountId) -> Result<Vec<(SpaceId, u64)>, DbErr> {
    let sql = "SELECT space, seq FROM read.joined WHERE account = $1 ORDER BY space LIMIT $2";
    let values = [account.uuid().into(), MAX_SPACES.into()];
    let rows = db
        .query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    let joined = rows.iter().map(|row| {
        let space = row.try_get::<Uuid>("", "space")?.into();
        Ok((space, row.try_get::<i64>("", "seq")?.cast_unsigned()))
    });
    joined.collect()
}

async fn acquainted(
    db: &DatabaseConnection,
    account: AccountId,
    others: &[AccountId],
) -> Result<Vec<AccountId>, DbErr> {
    let ids: Vec<Uuid> = others.iter().map(|other| other.uuid()).collect();
    let sql = "SELECT DISTINCT o.account FROM read.joined m JOIN read.joined o ON o.space = m.space
        WHERE m.account = $1 AND o.account = ANY($2::uuid[])";
    let values = [account.uuid().into(), ids.into()];
    let rows = db
        .query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    rows.iter()
        .map(|row| Ok(row.try_get::<Uuid>("", "account")?.into()))
        .collect()
}

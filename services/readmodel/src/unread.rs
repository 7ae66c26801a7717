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

/// Messages of one's own, messages that are gone, and mentions, each, that are counted in one room.
const MAX_COUNTED: i64 = 1_000;
/// Threads of one account that are looked at, those with the newest messages.
const MAX_THREADS: i64 = 1_000;

/// A room, and how far somebody has read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadTo {
    /// The room, or thread.
    pub room: RoomId,
    /// In which space.
    pub space: SpaceId,
    /// The last event that was read.
    pub marker: u64,
}

/// What is new in a room to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomCount {
    /// The room.
    pub room: RoomId,
    /// The last event of its timeline.
    pub head: u64,
    /// Messages of others behind the marker that are still there.
    pub unread: u64,
    /// How many messages behind the marker speak of the account, of a role that it holds, or of all; at most
    /// 1,000 by each.
    pub mentions: u64,
}

/// A thread that somebody takes part in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadOfOne {
    /// Its timeline.
    pub thread: RoomId,
    /// The room that it hangs on.
    pub room: RoomId,
    /// In which space.
    pub space: SpaceId,
    /// What stands up to here is not new.
    pub since: u64,
}

impl ReadModel {
    /// What is new to an account in rooms, at most 5,000.
    pub async fn unread(&self, account: AccountId, rooms: &[ReadTo]) -> Result<Vec<RoomCount>, ReadError> {
        let rooms = &rooms[..rooms.len().min(MAX_ROOMS)];
        self.0
            .postgres
            .ask(async |db| counts(&db, account, rooms).await)
            .await
    }

    /// The threads that an account takes part in, those with the newest messages first, at most 1,000.
    pub async fn threads_of(&self, account: AccountId) -> Result<Vec<ThreadOfOne>, ReadError> {
        self.0.postgres.ask(async |db| threads(&db, account).await).await
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

/// How many messages stand behind a marker is known without counting them: by the room's number of messages, and
/// its number at the mark before. What does not count is found by indexes of its own, so that nobody who was away
/// for long makes a timeline be read.
async fn counts(
    db: &DatabaseConnection,
    account: AccountId,
    rooms: &[ReadTo],
) -> Result<Vec<RoomCount>, DbErr> {
    let ids: Vec<Uuid> = rooms.iter().map(|read| read.room.uuid()).collect();
    let spaces: Vec<Uuid> = rooms.iter().map(|read| read.space.uuid()).collect();
    let markers: Vec<i64> = rooms
        .iter()
        .map(|read| i64::try_from(read.marker).unwrap_or(i64::MAX))
        .collect();
    let sql = "WITH place AS MATERIALIZED (
            SELECT u.room, u.space, u.marker, COALESCE(t.head, 0) AS head,
                COALESCE(c.messages, 0) - COALESCE(k.ordinal, 0) - (SELECT count(*) FROM read.message m
                    WHERE m.room = u.room AND m.seq > COALESCE(k.seq, 0) AND m.seq <= u.marker) AS behind
            FROM unnest($1::uuid[], $2::uuid[], $3::int8[]) AS u (room, space, marker)
            LEFT JOIN read.timeline t ON t.room = u.room
            LEFT JOIN read.message_count c ON c.room = u.room
            LEFT JOIN LATERAL (SELECT ordinal, seq FROM read.message_mark
                WHERE room = u.room AND seq <= u.marker ORDER BY seq DESC LIMIT 1) k ON true
        )
        SELECT p.room, p.head,
            CASE WHEN p.behind <= 0 THEN 0 ELSE GREATEST(0, p.behind
                - (SELECT count(*) FROM (SELECT FROM read.message m WHERE m.author = $4 AND m.room = p.room
                    AND m.seq > p.marker AND m.deleted_at IS NULL LIMIT $5) own)
                - (SELECT count(*) FROM (SELECT FROM read.message m WHERE m.room = p.room
                    AND m.seq > p.marker AND m.deleted_at IS NOT NULL LIMIT $5) gone)) END AS unread,
            CASE WHEN p.behind <= 0 THEN 0 ELSE (SELECT count(DISTINCT n.message) FROM (
                    SELECT $4::uuid AS target UNION ALL SELECT p.space
                    UNION ALL SELECT unnest(r.roles) FROM read.member r WHERE r.space = p.space AND r.account = $4
                ) t CROSS JOIN LATERAL (SELECT n.message FROM read.mention n
                    WHERE n.target = t.target AND n.room = p.room AND n.seq > p.marker AND n.author <> $4
                    AND NOT n.dropped
                    AND NOT EXISTS (SELECT FROM read.account_block b
                        WHERE b.account = $4 AND b.blocked = n.author)
                    LIMIT $5) n) END AS mentions
        FROM place p";
    let values = [
        ids.into(),
        spaces.into(),
        markers.into(),
        account.uuid().into(),
        MAX_COUNTED.into(),
    ];
    let rows = db
        .query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    let number =
        |row: &sea_orm::QueryResult, name: &str| row.try_get::<i64>("", name).map(i64::cast_unsigned);
    let counts = rows.iter().map(|row| {
        Ok(RoomCount {
            room: row.try_get::<Uuid>("", "room")?.into(),
            head: number(row, "head")?,
            unread: number(row, "unread")?,
            mentions: number(row, "mentions")?,
        })
    });
    counts.collect()
}

async fn threads(db: &DatabaseConnection, account: AccountId) -> Result<Vec<ThreadOfOne>, DbErr> {
    let sql = "SELECT p.thread, t.room, t.space, p.since
        FROM read.participant p JOIN read.thread t ON t.thread = p.thread
        WHERE p.account = $1 ORDER BY t.last_reply_at DESC NULLS LAST, t.thread LIMIT $2";
    let values = [account.uuid().into(), MAX_THREADS.into()];
    let rows = db
        .query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    let threads = rows.iter().map(|row| {
        Ok(ThreadOfOne {
            thread: row.try_get::<Uuid>("", "thread")?.into(),
            room: row.try_get::<Uuid>("", "room")?.into(),
            space: row.try_get::<Uuid>("", "space")?.into(),
            since: row.try_get::<i64>("", "since")?.max(0).cast_unsigned(),
        })
    });
    threads.collect()
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

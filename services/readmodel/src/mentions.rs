//! Whom names mean, and where somebody is spoken of.

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult};
use time::OffsetDateTime;
use veza_events::{AccountId, MessageId, RoleId, RoomId, SpaceId};

use crate::messages::{placed, placed_sql};
use crate::queries::{rows, statement};
use crate::rows::{List, Mentioned, Message, PageOf};
use crate::{ReadError, ReadModel, timelines};

/// Names to be looked up, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameQuery {
    /// Handles of members, and names of roles.
    pub at: Vec<String>,
    /// Names of rooms.
    pub rooms: Vec<String>,
}

impl NameQuery {
    /// Whether nothing is asked.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty() && self.rooms.is_empty()
    }
}

/// What a name means in a space. Blanks of the names of roles and rooms are written as `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// A member.
    Account {
        /// Who.
        account: AccountId,
        /// The name, as it was asked for.
        name: String,
    },
    /// A role.
    Role {
        /// Which one.
        role: RoleId,
        /// The name, as it was asked for.
        name: String,
    },
    /// A room.
    Room {
        /// Which one.
        room: RoomId,
        /// The name, as it was asked for.
        name: String,
    },
}

impl Named {
    /// What stands before the name in a text.
    pub fn mark(&self) -> char {
        match self {
            Self::Account { .. } | Self::Role { .. } => '@',
            Self::Room { .. } => '#',
        }
    }

    /// The name, as it was asked for.
    pub fn name(&self) -> &str {
        match self {
            Self::Account { name, .. } | Self::Role { name, .. } | Self::Room { name, .. } => name,
        }
    }
}

/// Somebody whom a message names, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EverNamed {
    /// An account, a role, or the space.
    pub target: Uuid,
    /// As what.
    pub kind: String,
    /// By the text of which sequence first.
    pub since: u64,
    /// Its present text does not.
    pub dropped: bool,
}

impl ReadModel {
    /// Whom and what names mean in a space.
    pub async fn named(&self, space: SpaceId, names: &NameQuery) -> Result<Vec<Named>, ReadError> {
        self.0
            .postgres
            .ask(async |db| named(&db, space, names).await)
            .await
    }

    /// Members of a space who hold one of these roles, or all; and whether they hold one. At most `limit`.
    pub async fn called(
        &self,
        space: SpaceId,
        roles: &[RoleId],
        all: bool,
        limit: usize,
    ) -> Result<Vec<(AccountId, bool)>, ReadError> {
        self.0
            .postgres
            .ask(async |db| called(&db, space, roles, all, limit).await)
            .await
    }

    /// Those of `accounts` that have blocked `blocked`.
    pub async fn blockers(
        &self,
        blocked: AccountId,
        accounts: &[AccountId],
    ) -> Result<Vec<AccountId>, ReadError> {
        self.0
            .postgres
            .ask(async |db| blockers(&db, blocked, accounts).await)
            .await
    }

    /// Whom a message has ever named, as `account`, `role`, `everyone` or `here`, and by the text of which sequence
    /// first. For the last two the id is that of the space.
    pub async fn ever_named(&self, message: MessageId) -> Result<Vec<EverNamed>, ReadError> {
        let sql = "SELECT target, kind, since, dropped FROM read.mention WHERE message = $1";
        let ask = async |db: DatabaseConnection| {
            let found = db.query_all_raw(statement(sql, [message.uuid().into()])).await?;
            let read = |row: &QueryResult| {
                Ok(EverNamed {
                    target: row.try_get("", "target")?,
                    kind: row.try_get("", "kind")?,
                    since: row.try_get::<i64>("", "since")?.cast_unsigned(),
                    dropped: row.try_get("", "dropped")?,
                })
            };
            found.iter().map(read).collect::<Result<Vec<_>, DbErr>>()
        };
        self.0.postgres.ask(ask).await
    }

    /// Messages that speak of an account, of a role that it holds, or of all in a space that it is in, newest
    /// first; none of its own or of those that it has blocked. Rooms that it may not read are not left out: that
    /// is for the door.
    pub async fn mentions(&self, account: AccountId, page: &PageOf) -> Result<List<Mentioned>, ReadError> {
        let (before, limit) = (cursor(page)?, usize::from(page.limit.clamp(1, PageOf::MAX)));
        let rows = self
            .0
            .postgres
            .ask(async |db| mentions(&db, account, before, limit + 1).await)
            .await?;
        let mut list = List::cut_by(rows, limit, |mentioned| cursor_of(&mentioned.placed.message));
        for mentioned in &mut list.items {
            if mentioned.placed.message.files > 0 {
                timelines::add_files(&self.0, std::slice::from_mut(&mut mentioned.placed.message)).await?;
            }
        }
        Ok(list)
    }
}

async fn named(db: &DatabaseConnection, space: SpaceId, names: &NameQuery) -> Result<Vec<Named>, DbErr> {
    let sql = r"SELECT 'account' AS kind, m.account AS id, lower(a.handle) AS name
        FROM read.account a JOIN read.member m ON m.account = a.account
        WHERE lower(a.handle) = ANY($2) AND m.space = $1 AND m.standing = 'joined'
        UNION ALL
        SELECT 'role', r.role, n.name FROM read.role r
            CROSS JOIN LATERAL (SELECT lower(regexp_replace(r.name, '\s+', '-', 'g')) AS name) n
        WHERE r.space = $1 AND r.role <> $1 AND n.name = ANY($2)
        UNION ALL
        SELECT 'room', r.room, n.name FROM read.room r
            CROSS JOIN LATERAL (SELECT lower(regexp_replace(r.name, '\s+', '-', 'g')) AS name) n
        WHERE r.space = $1 AND n.name = ANY($3)";
    let values = [
        space.uuid().into(),
        names.at.clone().into(),
        names.rooms.clone().into(),
    ];
    let found = db.query_all_raw(statement(sql, values)).await?;
    let one = |row: &QueryResult| {
        let (id, name) = (row.try_get::<Uuid>("", "id")?, row.try_get("", "name")?);
        Ok(match row.try_get::<String>("", "kind")?.as_str() {
            "account" => Named::Account {
                account: id.into(),
                name,
            },
            "role" => Named::Role {
                role: id.into(),
                name,
            },
            _ => Named::Room {
                room: id.into(),
                name,
            },
        })
    };
    found.iter().map(one).collect()
}

async fn called(
    db: &DatabaseConnection,
    space: SpaceId,
    roles: &[RoleId],
    all: bool,
    limit: usize,
) -> Result<Vec<(AccountId, bool)>, DbErr> {
    let sql = "SELECT account, roles && $2::uuid[] AS holds FROM read.member
        WHERE space = $1 AND standing = 'joined' AND ($3 OR roles && $2::uuid[]) ORDER BY account LIMIT $4";
    let roles: Vec<Uuid> = roles.iter().copied().map(RoleId::uuid).collect();
    let values = [space.uuid().into(), roles.into(), all.into(), rows(limit)];
    let found = db.query_all_raw(statement(sql, values)).await?;
    let one = |row: &QueryResult| {
        Ok((
            row.try_get::<Uuid>("", "account")?.into(),
            row.try_get("", "holds")?,
        ))
    };
    found.iter().map(one).collect()
}

async fn blockers(
    db: &DatabaseConnection,
    blocked: AccountId,
    accounts: &[AccountId],
) -> Result<Vec<AccountId>, DbErr> {
    let sql = "SELECT account FROM read.account_block WHERE account = ANY($1) AND blocked = $2";
    let accounts: Vec<Uuid> = accounts.iter().map(|account| account.uuid()).collect();
    let values = [accounts.into(), blocked.uuid().into()];
    let found = db.query_all_raw(statement(sql, values)).await?;
    found
        .iter()
        .map(|row| Ok(row.try_get::<Uuid>("", "account")?.into()))
        .collect()
}

/// Where a list of mentions goes on: behind this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cursor {
    posted_at: OffsetDateTime,
    message: Uuid,
}

/// Reads a cursor: microseconds since 1970, and the message.
fn cursor(page: &PageOf) -> Result<Option<Cursor>, ReadError> {
    let read = |text: &str| {
        let (micros, message) = text.split_once('_')?;
        let nanos = micros.parse::<i64>().ok().map(i128::from)?.checked_mul(1_000)?;
        Some(Cursor {
            posted_at: OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?,
            message: Uuid::try_parse(message).ok()?,
        })
    };
    let cursor = page.cursor.as_deref();
    cursor
        .map(|text| read(text).ok_or(ReadError::BadCursor))
        .transpose()
}

fn cursor_of(message: &Message) -> String {
    let micros = message.posted_at.time().unix_timestamp_nanos() / 1_000;
    format!("{micros}_{}", message.id.uuid().simple())
}

/// Each message once, by the nearest of what it speaks of.
async fn mentions(
    db: &DatabaseConnection,
    account: AccountId,
    before: Option<Cursor>,
    limit: usize,
) -> Result<Vec<Mentioned>, DbErr> {
    let sql = format!(
        "WITH target AS (
            SELECT $1::uuid AS target, NULL::uuid AS space
            UNION ALL SELECT space, space FROM read.member WHERE account = $1 AND standing = 'joined'
            UNION ALL SELECT unnest(roles), space FROM read.member WHERE account = $1 AND standing = 'joined'
        ), found AS (
            SELECT n.message, n.posted_at,
                min(array_position(ARRAY['account', 'role', 'here', 'everyone'], n.kind)) AS kind
            FROM target t CROSS JOIN LATERAL (
                SELECT * FROM read.mention n WHERE n.target = t.target AND NOT n.dropped
                    AND ($2::timestamptz IS NULL OR (n.posted_at, n.message) < ($2, $3))
                    AND (t.space IS NULL OR n.space = t.space) AND n.author <> $1
                    AND NOT EXISTS (SELECT FROM read.account_block b WHERE b.account = $1 AND b.blocked = n.author)
                ORDER BY n.posted_at DESC, n.message DESC LIMIT $4) n
            GROUP BY n.message, n.posted_at ORDER BY n.posted_at DESC, n.message DESC LIMIT $4
        )
        {} ORDER BY found.posted_at DESC, found.message DESC",
        placed_sql(
            ", (ARRAY['account', 'role', 'here', 'everyone'])[found.kind] AS mentioned_as",
            "found JOIN read.message m ON m.message = found.message"
        )
    );
    let values = [
        account.uuid().into(),
        before.map(|cursor| cursor.posted_at).into(),
        before.map(|cursor| cursor.message).into(),
        rows(limit),
    ];
    let found = db.query_all_raw(statement(&sql, values)).await?;
    let mentioned = |row: &QueryResult| {
        Ok(Mentioned {
            kind: row.try_get("", "mentioned_as")?,
            placed: placed(row)?,
        })
    };
    found.iter().map(mentioned).collect()
}

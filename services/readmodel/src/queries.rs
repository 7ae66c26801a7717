//! The queries. Each is one statement, so that what it answers is of one moment.

use sea_orm::prelude::*;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, FromQueryResult, QueryOrder, QuerySelect, Statement,
    Value,
};
use time::OffsetDateTime;
use veza_events::{AccountId, RoleId, RoomId, SessionId, SpaceId};

use crate::PROJECTION;
use crate::cache::CachedName;
use crate::entity::{
    account, category, invite, member, permission_override, projection, role, room, session, space, timeline,
};
use crate::messages::{self, COLUMNS, joins};
use crate::rows::{
    Account, Category, Invite, JoinedSpace, Member, MemberFilter, Message, Override, PrivateAccount, Range,
    Role, Room, Session, Space,
};

pub(crate) async fn ping(db: DatabaseConnection) -> Result<(), DbErr> {
    db.query_one_raw(statement("SELECT 1", [])).await.map(drop)
}

pub(crate) async fn account(db: &DatabaseConnection, id: AccountId) -> Result<Option<PrivateAccount>, DbErr> {
    Ok(account::Entity::find_by_id(id.uuid())
        .one(db)
        .await?
        .map(PrivateAccount::from))
}

pub(crate) async fn accounts(db: &DatabaseConnection, ids: &[AccountId]) -> Result<Vec<Account>, DbErr> {
    let rows = account::Entity::find().filter(account::Column::Account.is_in(ids.iter().map(|id| id.uuid())));
    let rows = rows.order_by_asc(account::Column::Account).all(db).await?;
    Ok(rows
        .into_iter()
        .map(|row| PrivateAccount::from(row).account)
        .collect())
}

pub(crate) async fn sessions(db: &DatabaseConnection, id: AccountId) -> Result<Vec<Session>, DbErr> {
    let rows = session::Entity::find()
        .filter(session::Column::Account.eq(id.uuid()))
        .order_by_asc(session::Column::StartedAt)
        .order_by_asc(session::Column::Session);
    Ok(rows.all(db).await?.into_iter().map(Session::from).collect())
}

pub(crate) async fn session(
    db: &DatabaseConnection,
    account: AccountId,
    id: SessionId,
) -> Result<Option<Session>, DbErr> {
    let row = session::Entity::find_by_id(id.uuid()).filter(session::Column::Account.eq(account.uuid()));
    Ok(row.one(db).await?.map(Session::from))
}

pub(crate) async fn space(db: &DatabaseConnection, id: SpaceId) -> Result<Option<Space>, DbErr> {
    let found = space::Entity::find_by_id(id.uuid()).one(db).await?;
    found.map(Space::try_from).transpose()
}

pub(crate) async fn roles(db: &DatabaseConnection, id: SpaceId) -> Result<Vec<Role>, DbErr> {
    let rows = role::Entity::find()
        .filter(role::Column::Space.eq(id.uuid()))
        .order_by_desc(role::Column::Rank)
        .order_by_asc(role::Column::Role);
    rows.all(db).await?.into_iter().map(Role::try_from).collect()
}

pub(crate) async fn invites(db: &DatabaseConnection, id: SpaceId, limit: u64) -> Result<Vec<Invite>, DbErr> {
    let rows = invite::Entity::find()
        .filter(invite::Column::Space.eq(id.uuid()))
        .order_by_desc(invite::Column::CreatedAt)
        .order_by_desc(invite::Column::Invite)
        .limit(limit);
    rows.all(db).await?.into_iter().map(Invite::try_from).collect()
}

pub(crate) async fn position(db: &DatabaseConnection, stream: &str) -> Result<u64, DbErr> {
    let row = projection::Entity::find_by_id((PROJECTION.to_owned(), stream.to_owned()))
        .one(db)
        .await?;
    Ok(row.map_or(0, |row| row.seq.cast_unsigned()))
}

const ROOM: &str = "SELECT r.*, COALESCE(t.head, 0) AS head
    FROM read.room r LEFT JOIN read.timeline t ON t.room = r.room ";

pub(crate) async fn rooms(db: &DatabaseConnection, id: SpaceId) -> Result<Vec<Room>, DbErr> {
    let sql = format!("{ROOM} WHERE r.space = $1 ORDER BY r.position, r.created_at, r.room");
    rooms_of(db, &sql, id.uuid()).await
}

pub(crate) async fn room(db: &DatabaseConnection, id: RoomId) -> Result<Option<Room>, DbErr> {
    Ok(rooms_of(db, &format!("{ROOM} WHERE r.room = $1"), id.uuid())
        .await?
        .pop())
}

pub(crate) async fn categories(db: &DatabaseConnection, id: SpaceId) -> Result<Vec<Category>, DbErr> {
    let rows = category::Entity::find()
        .filter(category::Column::Space.eq(id.uuid()))
        .order_by_asc(category::Column::Position)
        .order_by_asc(category::Column::Category);
    rows.all(db).await?.into_iter().map(Category::try_from).collect()
}

pub(crate) async fn overrides(db: &DatabaseConnection, place: Uuid) -> Result<Vec<Override>, DbErr> {
    let rows = permission_override::Entity::find()
        .filter(permission_override::Column::Place.eq(place))
        .order_by_desc(permission_override::Column::WhomKind)
        .order_by_asc(permission_override::Column::Whom);
    rows.all(db).await?.into_iter().map(Override::try_from).collect()
}

async fn rooms_of(db: &DatabaseConnection, sql: &str, id: Uuid) -> Result<Vec<Room>, DbErr> {
    let rows = db.query_all_raw(statement(sql, [id.into()])).await?;
    let rooms = rows.iter().map(|row| {
        let head = timeline::Model::from_query_result(row, "")?.head;
        Room::try_from((room::Model::from_query_result(row, "")?, head))
    });
    rooms.collect()
}

pub(crate) async fn spaces_of(
    db: &DatabaseConnection,
    account: AccountId,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<JoinedSpace>, DbErr> {
    let sql = "SELECT s.*, m.roles, m.muted, m.since
        FROM read.member m JOIN read.space s ON s.space = m.space
        WHERE m.account = $1 AND m.standing = 'joined' AND ($2::uuid IS NULL OR m.space > $2)
        ORDER BY m.space LIMIT $3";
    let rows = db
        .query_all_raw(statement(sql, [account.uuid().into(), after.into(), rows(limit)]))
        .await?;
    let joined = rows.iter().map(|row| {
        Ok(JoinedSpace {
            space: space::Model::from_query_result(row, "")?.try_into()?,
            roles: row
                .try_get::<Vec<Uuid>>("", "roles")?
                .into_iter()
                .map(Into::into)
                .collect(),
            muted: row.try_get("", "muted")?,
            joined_at: row.try_get::<OffsetDateTime>("", "since")?.into(),
        })
    });
    joined.collect()
}

const MEMBER: &str = "SELECT m.*, a.handle, a.display_name, a.bot, s.raid_released_at
    FROM read.member m LEFT JOIN read.account a ON a.account = m.account
    LEFT JOIN read.space s ON s.space = m.space ";

pub(crate) async fn member(
    db: &DatabaseConnection,
    space: SpaceId,
    account: AccountId,
) -> Result<Option<Member>, DbErr> {
    let sql = format!("{MEMBER} WHERE m.space = $1 AND m.account = $2");
    Ok(members_of(db, &sql, [space.uuid().into(), account.uuid().into()])
        .await?
        .pop())
}

pub(crate) async fn members(
    db: &DatabaseConnection,
    space: SpaceId,
    filter: &MemberFilter,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Member>, DbErr> {
    // One shape of statement for each question, so that each is planned for what it asks.
    let name = filter.name.as_deref().map(like);
    let named = match name {
        Some(_) => "(lower(a.handle) LIKE lower($4) OR lower(a.display_name) LIKE lower($4))",
        None => "$4::text IS NULL",
    };
    let sql = format!(
        "{MEMBER} WHERE m.space = $1 AND m.standing = 'joined' AND ($2::uuid IS NULL OR m.account > $2)
        AND ($5::uuid IS NULL OR m.roles @> ARRAY[$5]) AND {named}
        ORDER BY m.account LIMIT $3"
    );
    let role = filter.role.map(RoleId::uuid);
    let values = [
        space.uuid().into(),
        after.into(),
        rows(limit),
        name.into(),
        role.into(),
    ];
    members_of(db, &sql, values).await
}

/// A pattern for whatever has `part` in it.
fn like(part: &str) -> String {
    let mut pattern = String::from("%");
    for c in part.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

async fn members_of<const N: usize>(
    db: &DatabaseConnection,
    sql: &str,
    values: [Value; N],
) -> Result<Vec<Member>, DbErr> {
    let rows = db.query_all_raw(statement(sql, values)).await?;
    let members = rows.iter().map(|row| {
        let bot = row.try_get::<Option<bool>>("", "bot")?.unwrap_or(false);
        let names = (row.try_get("", "handle")?, row.try_get("", "display_name")?, bot);
        let released = row.try_get("", "raid_released_at")?;
        Member::try_from((member::Model::from_query_result(row, "")?, names, released))
    });
    members.collect()
}

/// A stretch of a timeline and the moment it is of.
pub(crate) struct Stretch {
    pub(crate) messages: Vec<Message>,
    pub(crate) head: u64,
    pub(crate) as_of: u64,
}

pub(crate) async fn timeline(
    db: &DatabaseConnection,
    stream: &str,
    space: SpaceId,
    room: RoomId,
    range: Range,
    limit: usize,
) -> Result<Stretch, DbErr> {
    let (condition, bound) = match range {
        Range::Latest => ("seq <= $5 ORDER BY seq DESC", i64::MAX),
        Range::Before(bound) => ("seq < $5 ORDER BY seq DESC", sequence(bound)),
        Range::After(bound) => ("seq > $5 ORDER BY seq", sequence(bound)),
    };
    // One row at least, so that position and head come along with an empty stretch.
    let sql = format!(
        "SELECT COALESCE(p.seq, 0) AS position, COALESCE(t.head, 0) AS head, {COLUMNS}, a.handle,
            a.display_name, a.bot AS author_bot
        FROM (SELECT 1) AS one
        LEFT JOIN read.projection p ON p.name = $1 AND p.stream = $2
        LEFT JOIN read.timeline t ON t.room = $3
        LEFT JOIN LATERAL (SELECT * FROM read.message
            WHERE room = $3 AND space = $4 AND {condition} LIMIT $6) m ON true
        {}
        LEFT JOIN read.account a ON a.account = m.author
        ORDER BY m.seq",
        joins("read")
    );
    let values = [
        PROJECTION.into(),
        stream.into(),
        room.uuid().into(),
        space.uuid().into(),
        bound.into(),
        rows(limit),
    ];
    let found = db.query_all_raw(statement(&sql, values)).await?;
    let number = |name| found.first().map_or(Ok(0), |row| row.try_get::<i64>("", name));
    let mut stretch = Vec::with_capacity(found.len());
    for row in &found {
        if row.try_get::<Option<Uuid>>("", "message")?.is_some() {
            stretch.push(messages::read(row)?);
        }
    }
    Ok(Stretch {
        messages: stretch,
        head: number("head")?.cast_unsigned(),
        as_of: number("position")?.cast_unsigned(),
    })
}

/// Names of accounts, and the position of the accounts' tables they were read at.
pub(crate) async fn names(
    db: &DatabaseConnection,
    stream: &str,
    accounts: &[AccountId],
) -> Result<(u64, Vec<CachedName>), DbErr> {
    let sql = "SELECT COALESCE(p.seq, 0) AS position, a.account, a.handle, a.display_name, a.bot, a.seq
        FROM (SELECT 1) AS one
        LEFT JOIN read.projection p ON p.name = $1 AND p.stream = $2
        LEFT JOIN read.account a ON a.account = ANY($3)";
    let ids: Vec<Uuid> = accounts.iter().map(|account| account.uuid()).collect();
    let rows = db
        .query_all_raw(statement(sql, [PROJECTION.into(), stream.into(), ids.into()]))
        .await?;
    let position = rows
        .first()
        .map_or(Ok(0), |row| row.try_get::<i64>("", "position"))?;
    let mut names = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(account) = row.try_get::<Option<Uuid>>("", "account")? {
            names.push(CachedName {
                account: account.into(),
                handle: row.try_get("", "handle")?,
                display_name: row.try_get("", "display_name")?,
                bot: row.try_get("", "bot")?,
                seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
            });
        }
    }
    Ok((position.cast_unsigned(), names))
}

pub(crate) fn statement<const N: usize>(sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

pub(crate) fn sequence(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

pub(crate) fn rows(limit: usize) -> Value {
    i64::try_from(limit).unwrap_or(i64::MAX).into()
}

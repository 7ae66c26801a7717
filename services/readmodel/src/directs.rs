//! Conversations between a few, and whom people do not want to hear from.

use std::collections::BTreeMap;

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, Value};
use time::OffsetDateTime;
use veza_events::AccountId;
use veza_events::space::DirectKind;

use crate::rows::{Account, Direct, List, PageOf};
use crate::{ReadError, ReadModel};

/// Blocked accounts of one answer; as many as anybody may block.
const MAX_BLOCKED: i64 = 1_000;

impl ReadModel {
    /// The conversations that an account is in, in the order of their ids.
    pub async fn directs_of(&self, account: AccountId, page: &PageOf) -> Result<List<Direct>, ReadError> {
        let (after, limit) = page.bounds()?;
        let rows = self
            .0
            .postgres
            .ask(async |db| directs(&db, account, after, limit + 1).await)
            .await?;
        Ok(List::cut(rows, limit, |direct| direct.id.uuid()))
    }

    /// Whom an account has blocked.
    pub async fn blocked_by(&self, account: AccountId) -> Result<Vec<Account>, ReadError> {
        self.0.postgres.ask(async |db| blocked(&db, account).await).await
    }
}

async fn directs(
    db: &DatabaseConnection,
    account: AccountId,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Direct>, DbErr> {
    let sql = "WITH mine AS (
            SELECT d.space, d.kind, d.opened_at FROM read.member m JOIN read.direct d ON d.space = m.space
            WHERE m.account = $1 AND m.standing = 'joined' AND ($2::uuid IS NULL OR m.space > $2)
            ORDER BY m.space LIMIT $3)
        SELECT mine.*, r.room, COALESCE(t.head, 0) AS head, o.account, a.handle, a.display_name, a.bot, a.seq AS account_seq
        FROM mine
        JOIN read.room r ON r.space = mine.space
        LEFT JOIN read.timeline t ON t.room = r.room
        JOIN read.member o ON o.space = mine.space AND o.standing = 'joined'
        LEFT JOIN read.account a ON a.account = o.account
        ORDER BY mine.space, o.account";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = db
        .query_all_raw(statement(
            sql,
            [account.uuid().into(), after.into(), limit.into()],
        ))
        .await?;
    let mut directs: BTreeMap<Uuid, Direct> = BTreeMap::new();
    for row in &rows {
        let id: Uuid = row.try_get("", "space")?;
        let kind: String = row.try_get("", "kind")?;
        let kind: DirectKind =
            serde_json::from_value(kind.into()).map_err(|error| DbErr::Type(error.to_string()))?;
        let direct = Direct {
            id: id.into(),
            room: row.try_get::<Uuid>("", "room")?.into(),
            kind,
            accounts: Vec::new(),
            head: row.try_get::<i64>("", "head")?.cast_unsigned(),
            opened_at: row.try_get::<OffsetDateTime>("", "opened_at")?.into(),
        };
        let accounts = &mut directs.entry(id).or_insert(direct).accounts;
        accounts.push(person(row)?);
    }
    Ok(directs.into_values().collect())
}

async fn blocked(db: &DatabaseConnection, account: AccountId) -> Result<Vec<Account>, DbErr> {
    let sql = "SELECT b.blocked AS account, a.handle, a.display_name, a.bot, a.seq AS account_seq
        FROM read.account_block b LEFT JOIN read.account a ON a.account = b.blocked
        WHERE b.account = $1 ORDER BY b.blocked LIMIT $2";
    let rows = db
        .query_all_raw(statement(sql, [account.uuid().into(), MAX_BLOCKED.into()]))
        .await?;
    rows.iter().map(person).collect()
}

fn person(row: &sea_orm::QueryResult) -> Result<Account, DbErr> {
    Ok(Account {
        id: row.try_get::<Uuid>("", "account")?.into(),
        handle: row.try_get("", "handle")?,
        display_name: row.try_get("", "display_name")?,
        bot: row.try_get::<Option<bool>>("", "bot")?.unwrap_or(false),
        seq: row
            .try_get::<Option<i64>>("", "account_seq")?
            .map_or(0, i64::cast_unsigned),
    })
}

fn statement<const N: usize>(sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

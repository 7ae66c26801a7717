//! Who did what to whom.

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};
use time::OffsetDateTime;
use veza_events::{AccountId, SpaceId};

use crate::rows::{AuditTarget, Deed, List, PageOf};
use crate::{ReadError, ReadModel};

/// Which deeds are asked for; absent fields leave nothing out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By whom.
    pub actor: Option<AccountId>,
    /// To whom or what.
    pub target: Option<Uuid>,
    /// What, as [`Deed::action`] says it.
    pub action: Option<String>,
}

impl ReadModel {
    /// What was done in a space, newest first.
    pub async fn audit(
        &self,
        space: SpaceId,
        filter: &AuditFilter,
        page: &PageOf,
    ) -> Result<List<Deed>, ReadError> {
        let before = page.cursor.as_deref().map(str::parse::<i64>);
        let before = before.transpose().map_err(|_| ReadError::BadCursor)?;
        let limit = usize::from(page.limit.clamp(1, PageOf::MAX));
        let mut items = self
            .0
            .postgres
            .ask(async |db| deeds(&db, space, filter, before, limit + 1).await)
            .await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.seq.to_string());
        Ok(List { items, next })
    }
}

async fn deeds(
    db: &DatabaseConnection,
    space: SpaceId,
    filter: &AuditFilter,
    before: Option<i64>,
    limit: usize,
) -> Result<Vec<Deed>, DbErr> {
    let sql = "SELECT d.*, a.handle AS actor_handle, t.handle AS target_handle
        FROM read.audit d
        LEFT JOIN read.account a ON a.account = d.actor
        LEFT JOIN read.account t ON t.account = d.target AND d.target_kind = 'account'
        WHERE d.space = $1 AND d.seq < $2 AND ($3::uuid IS NULL OR d.actor = $3)
            AND ($4::uuid IS NULL OR d.target = $4) AND ($5::text IS NULL OR d.action = $5)
        ORDER BY d.seq DESC LIMIT $6";
    let values = [
        space.uuid().into(),
        before.unwrap_or(i64::MAX).into(),
        filter.actor.map(AccountId::uuid).into(),
        filter.target.into(),
        filter.action.clone().into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    db.query_all_raw(statement).await?.iter().map(deed).collect()
}

fn deed(row: &QueryResult) -> Result<Deed, DbErr> {
    let kind: String = row.try_get("", "target_kind")?;
    let target_kind: AuditTarget =
        serde_json::from_value(kind.into()).map_err(|error| DbErr::Type(error.to_string()))?;
    Ok(Deed {
        seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
        at: row.try_get::<OffsetDateTime>("", "at")?.into(),
        actor: row.try_get::<Option<Uuid>>("", "actor")?.map(Into::into),
        actor_handle: row.try_get("", "actor_handle")?,
        action: row.try_get("", "action")?,
        target_kind,
        target: row.try_get("", "target")?,
        target_handle: row.try_get("", "target_handle")?,
        reason: row.try_get("", "reason")?,
        detail: row.try_get("", "detail")?,
    })
}

//! Whom a message may concern.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, Value};
use uuid::Uuid;
use veza_events::{AccountId, Permission, RoleId, RoomId, SpaceId};

use crate::{ReadError, ReadModel};

impl ReadModel {
    /// Who talks in a conversation between a few; nobody where the space is none.
    pub async fn talkers(&self, space: SpaceId) -> Result<Vec<AccountId>, ReadError> {
        let sql = "SELECT m.account FROM read.direct d JOIN read.member m ON m.space = d.space
            WHERE d.space = $1 AND m.standing = 'joined' ORDER BY m.account";
        let ask = async |db| accounts(&db, sql, vec![space.uuid().into()]).await;
        self.0.postgres.ask(ask).await
    }

    /// Those of `among` who are in a space, and hold one of `roles` if any are named; at most `most`.
    pub async fn members_among(
        &self,
        space: SpaceId,
        among: &[AccountId],
        roles: &[RoleId],
        most: usize,
    ) -> Result<Vec<AccountId>, ReadError> {
        let sql =
            "SELECT account FROM read.member WHERE space = $1 AND standing = 'joined' AND account = ANY($2)
            AND (cardinality($3::uuid[]) = 0 OR roles && $3) ORDER BY account LIMIT $4";
        let roles: Vec<Uuid> = roles.iter().map(|role| role.uuid()).collect();
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let values = vec![space.uuid().into(), ids(among).into(), roles.into(), most.into()];
        let ask = async |db| accounts(&db, sql, values.clone()).await;
        self.0.postgres.ask(ask).await
    }
}

impl ReadModel {
    /// Members who may have a permission in a space, or in a room of it, by what roles and overrides allow. Whether
    /// they really do is for the workers to say. At most `most`.
    pub async fn may_hold(
        &self,
        space: SpaceId,
        room: Option<RoomId>,
        permission: Permission,
        most: usize,
    ) -> Result<Vec<AccountId>, ReadError> {
        let sql = "SELECT m.account FROM read.member m JOIN read.space s ON s.space = m.space
            WHERE m.space = $1 AND m.standing = 'joined' AND (m.account = s.owner
                OR EXISTS (SELECT FROM read.role r WHERE r.space = m.space
                    AND (r.role = m.space OR r.role = ANY(m.roles)) AND $2 = ANY(r.permissions))
                OR EXISTS (SELECT FROM read.permission_override o
                    WHERE (o.place = $3 OR o.place = (SELECT category FROM read.room WHERE room = $3))
                    AND $2 = ANY(o.allow) AND (o.whom = m.account OR o.whom = m.space OR o.whom = ANY(m.roles))))
            ORDER BY m.account LIMIT $4";
        let name = serde_json::to_value(permission).ok();
        let name = name
            .and_then(|name| name.as_str().map(str::to_owned))
            .unwrap_or_default();
        let values = vec![
            space.uuid().into(),
            name.clone().into(),
            room.map(RoomId::uuid).into(),
            i64::try_from(most).unwrap_or(i64::MAX).into(),
        ];
        let ask = async |db| accounts(&db, sql, values.clone()).await;
        self.0.postgres.ask(ask).await
    }
}

fn ids(accounts: &[AccountId]) -> Vec<Uuid> {
    accounts.iter().map(|account| account.uuid()).collect()
}

async fn accounts(db: &DatabaseConnection, sql: &str, values: Vec<Value>) -> Result<Vec<AccountId>, DbErr> {
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
    let rows = db.query_all_raw(statement).await?;
    rows.iter()
        .map(|row| Ok(row.try_get::<Uuid>("", "account")?.into()))
        .collect()
}

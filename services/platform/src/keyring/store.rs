//! The rows of `veza.keyring` and `veza.installation_key`, still wrapped.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::kek::Wrapped;

/// One row of `veza.keyring`.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) account: Uuid,
    /// `None`: destroyed for good.
    pub(super) wrapped: Option<Wrapped>,
}

#[derive(Clone, Debug)]
pub(super) struct Store(pub(super) DatabaseConnection);

const COLUMNS: &str = "SELECT id, account, wrapped, kek FROM veza.keyring";

impl Store {
    pub(super) async fn by_ids(&self, ids: Vec<Uuid>) -> Result<Vec<Row>, DbErr> {
        let sql = format!("{COLUMNS} WHERE id = ANY($1)");
        self.rows(sql, [ids.into()]).await
    }

    pub(super) async fn by_account(&self, account: Uuid) -> Result<Option<Row>, DbErr> {
        let sql = format!("{COLUMNS} WHERE account = $1");
        Ok(self.rows(sql, [account.into()]).await?.pop())
    }

    /// Rows that stand under another key-encryption key than `kek`, at most `limit`.
    pub(super) async fn under_others(&self, kek: &str, limit: u32) -> Result<Vec<Row>, DbErr> {
        let sql = format!("{COLUMNS} WHERE kek <> $1 AND wrapped IS NOT NULL LIMIT $2");
        self.rows(sql, [kek.into(), i64::from(limit).into()]).await
    }

    /// Adds a row unless the account has one. Says whether it did.
    pub(super) async fn insert(&self, id: Uuid, account: Uuid, wrapped: Wrapped) -> Result<bool, DbErr> {
        let sql = "INSERT INTO veza.keyring (id, account, wrapped, kek) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (account) DO NOTHING";
        let values = [
            id.into(),
            account.into(),
            wrapped.bytes.into(),
            wrapped.kek.into(),
        ];
        self.execute(sql, values).await
    }

    /// Puts `new` in the place of `old`, unless somebody else was there first.
    pub(super) async fn replace(&self, id: Uuid, old: Wrapped, new: Wrapped) -> Result<bool, DbErr> {
        let sql = "UPDATE veza.keyring SET wrapped = $1, kek = $2 WHERE id = $3 AND wrapped = $4";
        let values = [new.bytes.into(), new.kek.into(), id.into(), old.bytes.into()];
        self.execute(sql, values).await
    }

    pub(super) async fn installation_key(&self) -> Result<Option<Wrapped>, DbErr> {
        let sql = "SELECT wrapped, kek FROM veza.installation_key";
        let row = self.0.query_one_raw(statement(sql, [])).await?;
        row.map(|row| {
            Ok(Wrapped {
                kek: row.try_get("", "kek")?,
                bytes: row.try_get("", "wrapped")?,
            })
        })
        .transpose()
    }

    /// Adds the installation key unless there is one. Says whether it did.
    pub(super) async fn insert_installation_key(&self, wrapped: Wrapped) -> Result<bool, DbErr> {
        let sql = "INSERT INTO veza.installation_key (wrapped, kek) VALUES ($1, $2) \
                   ON CONFLICT (id) DO NOTHING";
        self.execute(sql, [wrapped.bytes.into(), wrapped.kek.into()])
            .await
    }

    /// Puts `new` in the place of `old`, unless somebody else was there first.
    pub(super) async fn replace_installation_key(&self, old: Wrapped, new: Wrapped) -> Result<bool, DbErr> {
        let sql = "UPDATE veza.installation_key SET wrapped = $1, kek = $2 WHERE wrapped = $3";
        self.execute(sql, [new.bytes.into(), new.kek.into(), old.bytes.into()])
            .await
    }

    async fn rows<const N: usize>(&self, sql: String, values: [Value; N]) -> Result<Vec<Row>, DbErr> {
        let rows = self.0.query_all_raw(statement(&sql, values)).await?;
        rows.iter().map(row).collect()
    }

    async fn execute<const N: usize>(&self, sql: &str, values: [Value; N]) -> Result<bool, DbErr> {
        let done = self.0.execute_raw(statement(sql, values)).await?;
        Ok(done.rows_affected() > 0)
    }
}

fn statement<const N: usize>(sql: &str, values: [Value; N]) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, sql, values)
}

fn row(row: &QueryResult) -> Result<Row, DbErr> {
    let kek = row.try_get("", "kek")?;
    let bytes: Option<Vec<u8>> = row.try_get("", "wrapped")?;
    Ok(Row {
        id: row.try_get("", "id")?,
        account: row.try_get("", "account")?,
        wrapped: bytes.map(|bytes| Wrapped { kek, bytes }),
    })
}

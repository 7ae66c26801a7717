//! Accounts that programs act for.

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, QueryResult};
use time::OffsetDateTime;
use veza_events::{AccountId, Scope};

use crate::queries::{rows, statement};
use crate::rows::{Account, Bot, BotKey};
use crate::{ReadError, ReadModel};

/// Most bots and keys that one answer has; the settings and the domain allow fewer.
const MOST: usize = 1_000;

impl ReadModel {
    /// The bots that an account answers for.
    pub async fn bots_of(&self, owner: AccountId) -> Result<Vec<Bot>, ReadError> {
        self.0.postgres.ask(async |db| bots(&db, owner).await).await
    }

    /// The keys of a bot, if `owner` answers for it; oldest first.
    pub async fn bot_keys(&self, owner: AccountId, bot: AccountId) -> Result<Option<Vec<BotKey>>, ReadError> {
        self.0.postgres.ask(async |db| keys(&db, owner, bot).await).await
    }
}

async fn bots(db: &DatabaseConnection, owner: AccountId) -> Result<Vec<Bot>, DbErr> {
    let sql = "SELECT b.bot, b.owner, b.public, b.seq, a.handle, a.display_name, a.seq AS account_seq
        FROM read.bot b LEFT JOIN read.account a ON a.account = b.bot
        WHERE b.owner = $1 ORDER BY b.bot LIMIT $2";
    let values = [owner.uuid().into(), rows(MOST)];
    let found = db.query_all_raw(statement(sql, values)).await?;
    let bot = |row: &QueryResult| {
        Ok(Bot {
            account: Account {
                id: row.try_get::<Uuid>("", "bot")?.into(),
                handle: row.try_get("", "handle")?,
                display_name: row.try_get("", "display_name")?,
                bot: true,
                seq: row
                    .try_get::<Option<i64>>("", "account_seq")?
                    .map_or(0, i64::cast_unsigned),
            },
            owner: row.try_get::<Uuid>("", "owner")?.into(),
            public: row.try_get("", "public")?,
            seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
        })
    };
    found.iter().map(bot).collect()
}

async fn keys(
    db: &DatabaseConnection,
    owner: AccountId,
    bot: AccountId,
) -> Result<Option<Vec<BotKey>>, DbErr> {
    // One row at least while there is such a bot.
    let sql = "SELECT k.key, k.name, k.scopes, k.created_at, k.expires_at, k.seq
        FROM read.bot b LEFT JOIN read.bot_key k ON k.bot = b.bot
        WHERE b.bot = $1 AND b.owner = $2 ORDER BY k.created_at, k.key LIMIT $3";
    let values = [bot.uuid().into(), owner.uuid().into(), rows(MOST)];
    let found = db.query_all_raw(statement(sql, values)).await?;
    if found.is_empty() {
        return Ok(None);
    }
    let mut keys = Vec::with_capacity(found.len());
    for row in &found {
        if let Some(key) = row.try_get::<Option<Uuid>>("", "key")? {
            let scopes: Vec<String> = row.try_get("", "scopes")?;
            keys.push(BotKey {
                id: key.into(),
                name: row.try_get("", "name")?,
                // A scope that only a newer version knows means nothing here.
                scopes: scopes.iter().filter_map(|name| Scope::named(name)).collect(),
                created_at: row.try_get::<OffsetDateTime>("", "created_at")?.into(),
                expires_at: row
                    .try_get::<Option<OffsetDateTime>>("", "expires_at")?
                    .map(Into::into),
                seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
            });
        }
    }
    Ok(Some(keys))
}

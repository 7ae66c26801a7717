//! Tables `bot` and `bot_key`.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use uuid::Uuid;
use veza_events::AccountId;
use veza_events::account::{AccountEvent, BotKeyCreated};

use super::{Moment, Schema, SqlError, array_literal, text};

#[derive(Default)]
pub(super) struct Bots<'a> {
    bots: BTreeMap<Uuid, Change>,
    /// `None`: taken away.
    keys: BTreeMap<Uuid, Option<Created<'a>>>,
}

#[derive(Default)]
struct Change {
    owner: Option<Uuid>,
    public: Option<bool>,
    retired: bool,
    seq: i64,
}

struct Created<'a> {
    bot: Uuid,
    event: &'a BotKeyCreated,
    moment: Moment,
}

impl<'a> Bots<'a> {
    pub(super) fn take(&mut self, account: AccountId, moment: Moment, event: &'a AccountEvent) {
        let bot = account.uuid();
        match event {
            // Webhooks are their space's.
            AccountEvent::BotRegistered(event) if event.webhook_of.is_some() => {}
            AccountEvent::BotRegistered(event) => {
                let change = self.change(bot, moment);
                change.owner = Some(event.owner.uuid());
                change.public = Some(event.public);
            }
            AccountEvent::BotChanged(event) => {
                let change = self.change(bot, moment);
                change.public = event.public.or(change.public);
            }
            AccountEvent::BotRetired(_) => self.change(bot, moment).retired = true,
            AccountEvent::BotKeyCreated(event) => {
                let created = Created { bot, event, moment };
                self.keys.insert(event.key.uuid(), Some(created));
            }
            AccountEvent::BotKeyRevoked(event) => {
                self.keys.insert(event.key.uuid(), None);
            }
            AccountEvent::Registered(_)
            | AccountEvent::ProfileChanged(_)
            | AccountEvent::PasswordChanged(_)
            | AccountEvent::EmailConfirmed(_)
            | AccountEvent::EmailLinkAsked(_)
            | AccountEvent::EmailChangeAsked(_)
            | AccountEvent::EmailChanged(_)
            | AccountEvent::PasswordResetAsked(_)
            | AccountEvent::RoleGranted(_)
            | AccountEvent::Blocked(_)
            | AccountEvent::Unblocked(_)
            | AccountEvent::SessionStarted(_)
            | AccountEvent::SessionEnded(_)
            // What its owner's history says of it, its own does too.
            | AccountEvent::BotTakenOn(_)
            | AccountEvent::BotLetGo(_) => {}
        }
    }

    fn change(&mut self, bot: Uuid, moment: Moment) -> &mut Change {
        let change = self.bots.entry(bot).or_default();
        change.seq = moment.seq;
        change
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.bots.is_empty() {
            rows += self.insert_bots(connection, schema).await?;
            rows += self.update_bots(connection, schema).await?;
            rows += self.delete_bots(connection, schema).await?;
        }
        if !self.keys.is_empty() {
            rows += self.insert_keys(connection, schema).await?;
            rows += self.delete_keys(connection, schema).await?;
        }
        Ok(rows)
    }

    async fn insert_bots(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut bots, mut owners, mut publics, mut seqs) = (vec![], vec![], vec![], vec![]);
        for (bot, change) in &self.bots {
            if let (Some(owner), Some(public), false) = (change.owner, change.public, change.retired) {
                bots.push(*bot);
                owners.push(owner);
                publics.push(public);
                seqs.push(change.seq);
            }
        }
        if bots.is_empty() {
            return Ok(0);
        }
        let sql = "INSERT INTO {s}.bot (bot, owner, public, seq)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bool[], $4::int8[])
            ON CONFLICT (bot) DO NOTHING";
        let query = schema.query(sql).bind(bots).bind(owners).bind(publics).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn update_bots(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut bots, mut publics, mut seqs) = (vec![], vec![], vec![]);
        for (bot, change) in &self.bots {
            if change.owner.is_none() && !change.retired {
                bots.push(*bot);
                publics.push(change.public);
                seqs.push(change.seq);
            }
        }
        if bots.is_empty() {
            return Ok(0);
        }
        let sql = "UPDATE {s}.bot AS b SET public = COALESCE(u.public, b.public), seq = u.seq
            FROM unnest($1::uuid[], $2::bool[], $3::int8[]) AS u (bot, public, seq)
            WHERE b.bot = u.bot AND b.seq < u.seq";
        let query = schema.query(sql).bind(bots).bind(publics).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn delete_bots(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let retired = self.bots.iter().filter(|(_, change)| change.retired);
        let retired: Vec<Uuid> = retired.map(|(bot, _)| *bot).collect();
        if retired.is_empty() {
            return Ok(0);
        }
        let query = schema.query("DELETE FROM {s}.bot WHERE bot = ANY($1)");
        Ok(query.bind(retired).execute(connection).await?.rows_affected())
    }

    async fn insert_keys(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut keys, mut bots, mut names, mut scopes) = (vec![], vec![], vec![], vec![]);
        let (mut starts, mut ends, mut seqs) = (vec![], vec![], vec![]);
        for (key, created) in &self.keys {
            if let Some(Created { bot, event, moment }) = created {
                keys.push(*key);
                bots.push(*bot);
                let name = event.name.as_ref().and_then(|name| name.clear());
                names.push(name.map(text));
                scopes.push(array_literal(event.scopes.iter().map(veza_events::Scope::name)));
                starts.push(moment.at);
                ends.push(event.expires_at.map(veza_events::Timestamp::time));
                seqs.push(moment.seq);
            }
        }
        if keys.is_empty() {
            return Ok(0);
        }
        let sql = "INSERT INTO {s}.bot_key (key, bot, name, scopes, created_at, expires_at, seq)
            SELECT u.key, u.bot, u.name, u.scopes::text[], u.created_at, u.expires_at, u.seq
            FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::int8[])
                AS u (key, bot, name, scopes, created_at, expires_at, seq)
            ON CONFLICT (key) DO NOTHING";
        let query = schema.query(sql).bind(keys).bind(bots).bind(names).bind(scopes);
        let query = query.bind(starts).bind(ends).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn delete_keys(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let gone = self.keys.iter().filter(|(_, created)| created.is_none());
        let gone: Vec<Uuid> = gone.map(|(key, _)| *key).collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let query = schema.query("DELETE FROM {s}.bot_key WHERE key = ANY($1)");
        Ok(query.bind(gone).execute(connection).await?.rows_affected())
    }
}

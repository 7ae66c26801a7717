//! Tables `direct` and `account_block`.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::AccountId;
use veza_events::account::AccountEvent;
use veza_events::space::{DirectKind, SpaceEvent};

use super::{Moment, Schema, SqlError, wire_name};

#[derive(Default)]
pub(super) struct Directs {
    opened: BTreeMap<Uuid, (DirectKind, OffsetDateTime, i64)>,
    /// Who blocks whom, and since which event; `None`: no longer.
    blocks: BTreeMap<(Uuid, Uuid), Option<i64>>,
}

impl Directs {
    pub(super) fn space(&mut self, space: Uuid, moment: Moment, event: &SpaceEvent) {
        if let SpaceEvent::DirectOpened(event) = event {
            self.opened.insert(space, (event.kind, moment.at, moment.seq));
        }
    }

    pub(super) fn account(&mut self, account: AccountId, moment: Moment, event: &AccountEvent) {
        let (other, blocked) = match event {
            AccountEvent::Blocked(event) => (event.account, true),
            AccountEvent::Unblocked(event) => (event.account, false),
            AccountEvent::Registered(_)
            | AccountEvent::ProfileChanged(_)
            | AccountEvent::PasswordChanged(_)
            | AccountEvent::EmailConfirmed(_)
            | AccountEvent::EmailLinkAsked(_)
            | AccountEvent::EmailChangeAsked(_)
            | AccountEvent::EmailChanged(_)
            | AccountEvent::PasswordResetAsked(_)
            | AccountEvent::RoleGranted(_)
            | AccountEvent::SessionStarted(_)
            | AccountEvent::SessionEnded(_)
            | AccountEvent::BotTakenOn(_)
            | AccountEvent::BotLetGo(_)
            | AccountEvent::BotRegistered(_)
            | AccountEvent::BotChanged(_)
            | AccountEvent::BotRetired(_)
            | AccountEvent::BotKeyCreated(_)
            | AccountEvent::BotKeyRevoked(_) => return,
        };
        let key = (account.uuid(), other.uuid());
        self.blocks.insert(key, blocked.then_some(moment.seq));
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.opened.is_empty() {
            rows += self.insert_opened(connection, schema).await?;
        }
        if !self.blocks.is_empty() {
            rows += self.insert_blocks(connection, schema).await?;
            rows += self.delete_blocks(connection, schema).await?;
        }
        Ok(rows)
    }

    async fn insert_opened(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut spaces, mut kinds, mut times, mut seqs) = (vec![], vec![], vec![], vec![]);
        for (space, (kind, at, seq)) in &self.opened {
            spaces.push(*space);
            kinds.push(wire_name(kind));
            times.push(*at);
            seqs.push(*seq);
        }
        let sql = "INSERT INTO {s}.direct (space, kind, opened_at, seq)
            SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::int8[])
            ON CONFLICT (space) DO NOTHING";
        let query = schema.query(sql).bind(spaces).bind(kinds).bind(times).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn insert_blocks(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut accounts, mut blocked, mut seqs) = (vec![], vec![], vec![]);
        for ((account, other), seq) in &self.blocks {
            if let Some(seq) = seq {
                accounts.push(*account);
                blocked.push(*other);
                seqs.push(*seq);
            }
        }
        let sql = "INSERT INTO {s}.account_block (account, blocked, seq)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int8[])
            ON CONFLICT (account, blocked) DO UPDATE SET seq = excluded.seq WHERE {s}.account_block.seq < excluded.seq";
        let query = schema.query(sql).bind(accounts).bind(blocked).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn delete_blocks(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let over = self.blocks.iter().filter(|(_, seq)| seq.is_none());
        let (accounts, blocked): (Vec<Uuid>, Vec<Uuid>) = over.map(|(key, _)| *key).unzip();
        let sql =
            "DELETE FROM {s}.account_block AS b USING unnest($1::uuid[], $2::uuid[]) AS u (account, blocked)
            WHERE b.account = u.account AND b.blocked = u.blocked";
        let query = schema.query(sql).bind(accounts).bind(blocked);
        Ok(query.execute(connection).await?.rows_affected())
    }
}

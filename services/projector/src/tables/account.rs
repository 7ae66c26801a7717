//! Tables `account` and `session`.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::account::{AccountEvent, BotRegistered, Registered, SessionStarted};
use veza_events::{AccountId, Sealed};

use super::{Moment, Schema, SqlError, array_literal, text, wire_name};

#[derive(Default)]
pub(super) struct Accounts<'a> {
    accounts: BTreeMap<Uuid, Change<'a>>,
    /// `None`: over.
    sessions: BTreeMap<Uuid, Option<Started<'a>>>,
}

#[derive(Default)]
struct Change<'a> {
    registered: Option<(New<'a>, OffsetDateTime)>,
    /// Whether the name shown is another; that name is absent when it cannot be opened any more.
    renamed: bool,
    display_name: Option<&'a str>,
    /// Whether it gets mail elsewhere; that address is absent when it cannot be opened any more.
    moved: bool,
    email: Option<&'a str>,
    confirmed: bool,
    roles: Vec<String>,
    seq: i64,
}

/// An account as it was made.
#[derive(Clone, Copy)]
struct New<'a> {
    handle: Option<&'a str>,
    email: Option<&'a str>,
    display_name: Option<&'a str>,
    bot: bool,
}

impl<'a> From<&'a Registered> for New<'a> {
    fn from(event: &'a Registered) -> Self {
        Self {
            handle: clear(&event.handle),
            email: clear(&event.email),
            display_name: clear(&event.display_name),
            bot: false,
        }
    }
}

impl<'a> From<&'a BotRegistered> for New<'a> {
    fn from(event: &'a BotRegistered) -> Self {
        Self {
            handle: clear(&event.handle),
            email: None,
            display_name: clear(&event.display_name),
            bot: true,
        }
    }
}

fn clear(text: &Sealed<String>) -> Option<&str> {
    text.clear().map(String::as_str)
}

struct Started<'a> {
    account: Uuid,
    event: &'a SessionStarted,
    moment: Moment,
}

impl<'a> Accounts<'a> {
    pub(super) fn take(&mut self, account: AccountId, moment: Moment, event: &'a AccountEvent) {
        let account = account.uuid();
        match event {
            AccountEvent::Registered(event) => {
                self.change(account, moment).registered = Some((event.into(), moment.at));
            }
            AccountEvent::BotRegistered(event) => {
                self.change(account, moment).registered = Some((event.into(), moment.at));
            }
            AccountEvent::BotChanged(event) => {
                let change = self.change(account, moment);
                if let Some(name) = &event.display_name {
                    change.renamed = true;
                    change.display_name = clear(name);
                }
            }
            AccountEvent::ProfileChanged(event) => {
                if let Some(name) = &event.display_name {
                    let change = self.change(account, moment);
                    change.renamed = true;
                    change.display_name = clear(name);
                }
            }
            AccountEvent::EmailConfirmed(_) => self.change(account, moment).confirmed = true,
            AccountEvent::EmailChanged(event) => {
                let change = self.change(account, moment);
                change.moved = true;
                change.email = clear(&event.email);
                change.confirmed = true;
            }
            AccountEvent::RoleGranted(event) => {
                let role = wire_name(&event.role);
                let roles = &mut self.change(account, moment).roles;
                if let Err(place) = roles.binary_search(&role) {
                    roles.insert(place, role);
                }
            }
            AccountEvent::SessionStarted(event) => {
                let started = Started {
                    account,
                    event,
                    moment,
                };
                self.sessions.insert(event.session.uuid(), Some(started));
            }
            AccountEvent::SessionEnded(event) => {
                self.sessions.insert(event.session.uuid(), None);
            }
            // Passwords and links are of no read model, blocks and keys of other pages.
            AccountEvent::PasswordChanged(_)
            | AccountEvent::EmailLinkAsked(_)
            | AccountEvent::EmailChangeAsked(_)
            | AccountEvent::PasswordResetAsked(_)
            | AccountEvent::Blocked(_)
            | AccountEvent::Unblocked(_)
            | AccountEvent::BotTakenOn(_)
            | AccountEvent::BotLetGo(_)
            | AccountEvent::BotRetired(_)
            | AccountEvent::BotKeyCreated(_)
            | AccountEvent::BotKeyRevoked(_) => {}
        }
    }

    /// Accounts whose names are others now.
    pub(super) fn renamed(&self) -> Vec<Uuid> {
        let renamed = self
            .accounts
            .iter()
            .filter(|(_, change)| change.registered.is_some() || change.renamed);
        renamed.map(|(account, _)| *account).collect()
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.accounts.is_empty() {
            rows += self.insert_accounts(connection, schema).await?;
            rows += self.update_accounts(connection, schema).await?;
        }
        if !self.sessions.is_empty() {
            rows += self.insert_sessions(connection, schema).await?;
            rows += self.delete_sessions(connection, schema).await?;
        }
        Ok(rows)
    }

    fn change(&mut self, account: Uuid, moment: Moment) -> &mut Change<'a> {
        let change = self.accounts.entry(account).or_default();
        change.seq = moment.seq;
        change
    }

    async fn insert_accounts(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut handles, mut emails, mut names) = (vec![], vec![], vec![], vec![]);
        let (mut roles, mut times, mut bots, mut seqs) = (vec![], vec![], vec![], vec![]);
        let mut confirmed = vec![];
        for (account, change) in &self.accounts {
            if let Some((event, at)) = change.registered {
                ids.push(*account);
                handles.push(event.handle.map(text));
                let email = if change.moved { change.email } else { event.email };
                emails.push(email.map(text));
                confirmed.push(change.confirmed);
                let name = if change.renamed {
                    change.display_name
                } else {
                    event.display_name
                };
                names.push(name.map(text));
                roles.push(array_literal(&change.roles));
                times.push(at);
                bots.push(event.bot);
                seqs.push(change.seq);
            }
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "INSERT INTO {s}.account (account, handle, email, display_name, roles, registered_at, bot, seq,
                email_confirmed)
            SELECT u.account, u.handle, u.email, u.name, u.roles::text[], u.at, u.bot, u.seq, u.confirmed
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bool[],
                $8::int8[], $9::bool[]) AS u (account, handle, email, name, roles, at, bot, seq, confirmed)
            ON CONFLICT (account) DO NOTHING";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(handles)
            .bind(emails)
            .bind(names)
            .bind(roles);
        Ok(query
            .bind(times)
            .bind(bots)
            .bind(seqs)
            .bind(confirmed)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn update_accounts(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut renamed, mut names, mut roles, mut seqs) = (vec![], vec![], vec![], vec![], vec![]);
        let (mut moved, mut emails, mut confirmed) = (vec![], vec![], vec![]);
        for (account, change) in self
            .accounts
            .iter()
            .filter(|(_, change)| change.registered.is_none())
        {
            ids.push(*account);
            renamed.push(change.renamed);
            names.push(change.display_name.map(text));
            roles.push(array_literal(&change.roles));
            moved.push(change.moved);
            emails.push(change.email.map(text));
            confirmed.push(change.confirmed);
            seqs.push(change.seq);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "UPDATE {s}.account AS a SET
                display_name = CASE WHEN u.renamed THEN u.name ELSE a.display_name END,
                roles = ARRAY(SELECT DISTINCT r FROM unnest(a.roles || u.roles::text[]) AS r ORDER BY r),
                email = CASE WHEN u.moved THEN u.email ELSE a.email END,
                email_confirmed = a.email_confirmed OR u.confirmed,
                seq = u.seq
            FROM unnest($1::uuid[], $2::bool[], $3::text[], $4::text[], $5::int8[], $6::bool[], $7::text[], $8::bool[])
                AS u (account, renamed, name, roles, seq, moved, email, confirmed)
            WHERE a.account = u.account AND a.seq < u.seq";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(renamed)
            .bind(names)
            .bind(roles)
            .bind(seqs)
            .bind(moved)
            .bind(emails)
            .bind(confirmed);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn insert_sessions(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut accounts, mut devices) = (vec![], vec![], vec![]);
        let (mut starts, mut ends, mut seqs) = (vec![], vec![], vec![]);
        for (session, started) in &self.sessions {
            if let Some(started) = started {
                ids.push(*session);
                accounts.push(started.account);
                let device = started.event.device.as_ref().and_then(|device| device.clear());
                devices.push(device.map(text));
                starts.push(started.moment.at);
                ends.push(started.event.expires_at.time());
                seqs.push(started.moment.seq);
            }
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "INSERT INTO {s}.session (session, account, device, started_at, expires_at, seq)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::int8[])
            ON CONFLICT (session) DO NOTHING";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(accounts)
            .bind(devices)
            .bind(starts)
            .bind(ends)
            .bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn delete_sessions(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let over = self.sessions.iter().filter(|(_, started)| started.is_none());
        let over: Vec<Uuid> = over.map(|(session, _)| *session).collect();
        if over.is_empty() {
            return Ok(0);
        }
        let sql = "DELETE FROM {s}.session WHERE session = ANY($1)";
        Ok(schema
            .query(sql)
            .bind(over)
            .execute(connection)
            .await?
            .rows_affected())
    }
}

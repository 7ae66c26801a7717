//! Table `member`.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::member::{MemberEvent, Membership, Standing};
use veza_events::{RoleId, Timestamp};

use super::{Moment, Schema, SqlError, array_literal, to_micros, wire_name};

#[derive(Default)]
pub(super) struct Members<'a>(BTreeMap<(Uuid, Uuid), Change<'a>>);

/// A membership after a batch: each event carries the whole of it, so the last one counts.
struct Change<'a> {
    membership: &'a Membership,
    since: Since,
    seq: i64,
}

/// Since when somebody is in or banned.
#[derive(Clone, Copy)]
enum Since {
    /// The batch says so, whatever the table has.
    Known(OffsetDateTime),
    /// What the table has; the time if it has nothing.
    Kept(OffsetDateTime),
}

impl<'a> Members<'a> {
    pub(super) fn take(&mut self, moment: Moment, event: &'a MemberEvent) {
        let (space, account) = event.of();
        let key = (space.uuid(), account.uuid());
        let begins = matches!(event, MemberEvent::Joined(_) | MemberEvent::Banned(_));
        let since = match self.0.get(&key) {
            _ if begins => Since::Known(moment.at),
            Some(before) if before.membership.standing == Standing::Out => Since::Known(moment.at),
            Some(before) => before.since,
            None => Since::Kept(moment.at),
        };
        self.0.insert(
            key,
            Change {
                membership: event.membership(),
                since,
                seq: moment.seq,
            },
        );
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        if self.0.is_empty() {
            return Ok(0);
        }
        Ok(self.upsert(connection, schema).await? + self.delete(connection, schema).await?)
    }

    async fn upsert(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut spaces, mut accounts, mut standings, mut roles) = (vec![], vec![], vec![], vec![]);
        let (mut timed_out, mut held_since, mut held_until) = (vec![], vec![], vec![]);
        let (mut muted, mut times, mut known, mut seqs) = (vec![], vec![], vec![], vec![]);
        for ((space, account), change) in self.present(true) {
            spaces.push(*space);
            accounts.push(*account);
            standings.push(wire_name(&change.membership.standing));
            roles.push(array_literal(
                change.membership.roles.iter().copied().map(RoleId::uuid),
            ));
            muted.push(change.membership.muted);
            timed_out.push(change.membership.timed_out_until.map(Timestamp::time));
            held_since.push(change.membership.held.map(|held| to_micros(held.since.time())));
            held_until.push(change.membership.held.map(|held| to_micros(held.until.time())));
            let (Since::Known(at) | Since::Kept(at)) = change.since;
            times.push(at);
            known.push(matches!(change.since, Since::Known(_)));
            seqs.push(change.seq);
        }
        if spaces.is_empty() {
            return Ok(0);
        }
        let sql =
            "INSERT INTO {s}.member (space, account, standing, roles, muted, since, seq, timed_out_until,
                held_since, held_until)
            SELECT u.space, u.account, u.standing, u.roles::uuid[], u.muted,
                CASE WHEN u.known THEN u.at ELSE COALESCE(m.since, u.at) END, u.seq, u.timed_out,
                u.held_since, u.held_until
            FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bool[], $6::timestamptz[],
                    $7::bool[], $8::int8[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[])
                AS u (space, account, standing, roles, muted, at, known, seq, timed_out, held_since, held_until)
            LEFT JOIN {s}.member m ON m.space = u.space AND m.account = u.account
            ON CONFLICT (space, account) DO UPDATE SET standing = excluded.standing, roles = excluded.roles,
                muted = excluded.muted, since = excluded.since, seq = excluded.seq,
                timed_out_until = excluded.timed_out_until, held_since = excluded.held_since,
                held_until = excluded.held_until
            WHERE {s}.member.seq < excluded.seq";
        let query = schema
            .query(sql)
            .bind(spaces)
            .bind(accounts)
            .bind(standings)
            .bind(roles)
            .bind(muted);
        Ok(query
            .bind(times)
            .bind(known)
            .bind(seqs)
            .bind(timed_out)
            .bind(held_since)
            .bind(held_until)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn delete(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut spaces, mut accounts) = (vec![], vec![]);
        for ((space, account), _) in self.present(false) {
            spaces.push(*space);
            accounts.push(*account);
        }
        if spaces.is_empty() {
            return Ok(0);
        }
        let sql = "DELETE FROM {s}.member AS m USING unnest($1::uuid[], $2::uuid[]) AS u (space, account)
            WHERE m.space = u.space AND m.account = u.account";
        Ok(schema
            .query(sql)
            .bind(spaces)
            .bind(accounts)
            .execute(connection)
            .await?
            .rows_affected())
    }

    /// Those that have a row afterwards, or those that have none.
    fn present(&self, present: bool) -> impl Iterator<Item = (&(Uuid, Uuid), &Change<'a>)> {
        self.0
            .iter()
            .filter(move |(_, change)| (change.membership.standing != Standing::Out) == present)
    }
}

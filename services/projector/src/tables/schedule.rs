//! Table `scheduled`: what waits for its time. What was sent is in the timeline, and not here.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::schedule::{MessageAdded, ScheduleEvent};
use veza_events::{MessageId, Sealed};

use super::{Moment, Schema, SqlError, text, to_micros};

#[derive(Default)]
pub(super) struct Schedules<'a>(BTreeMap<Uuid, Change<'a>>);

#[derive(Default)]
struct Change<'a> {
    added: Option<(Moment, &'a MessageAdded)>,
    /// Another text, absent when it cannot be opened any more.
    body: Option<New<'a>>,
    at: Option<OffsetDateTime>,
    /// Another standing: refused for this reason, or waiting again.
    refused: Option<New<'a>>,
    over: bool,
    seq: i64,
}

/// A text in the place of another, if there is one.
#[derive(Clone, Copy)]
struct New<'a>(Option<&'a str>);

fn clear(body: &Sealed<String>) -> New<'_> {
    New(body.clear().map(String::as_str))
}

impl<'a> Schedules<'a> {
    pub(super) fn take(&mut self, moment: Moment, event: &'a ScheduleEvent) {
        let change = self.0.entry(event.scheduled().uuid()).or_default();
        change.seq = moment.seq;
        match event {
            ScheduleEvent::MessageAdded(event) => {
                change.added = Some((moment, event));
                change.body = Some(clear(&event.body));
                change.at = Some(to_micros(event.at.time()));
            }
            ScheduleEvent::MessageChanged(event) => {
                if let Some(body) = &event.body {
                    change.body = Some(clear(body));
                }
                if let Some(at) = event.at {
                    change.at = Some(to_micros(at.time()));
                    change.refused = Some(New(None));
                }
            }
            ScheduleEvent::MessageRefused(event) => change.refused = Some(New(Some(&event.code))),
            ScheduleEvent::MessageCancelled(_) | ScheduleEvent::MessageSent(_) => change.over = true,
        }
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        if self.0.is_empty() {
            return Ok(0);
        }
        let mut rows = self.insert(connection, schema).await?;
        rows += self.update(connection, schema).await?;
        rows += self.delete(connection, schema).await?;
        Ok(rows)
    }

    async fn insert(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut accounts, mut spaces, mut rooms) = (vec![], vec![], vec![], vec![]);
        let (mut bodies, mut replies, mut times) = (vec![], vec![], vec![]);
        let (mut made, mut refused, mut seqs) = (vec![], vec![], vec![]);
        for (scheduled, change) in self.0.iter().filter(|(_, change)| !change.over) {
            if let (Some((moment, event)), Some(at)) = (change.added, change.at) {
                ids.push(*scheduled);
                accounts.push(event.account.uuid());
                spaces.push(event.space.uuid());
                rooms.push(event.room.uuid());
                bodies.push(change.body.and_then(|new| new.0).map(text));
                replies.push(event.reply_to.map(MessageId::uuid));
                times.push(at);
                made.push(moment.at);
                refused.push(change.refused.and_then(|new| new.0));
                seqs.push(change.seq);
            }
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "INSERT INTO {s}.scheduled (scheduled, account, space, room, body, reply_to, at, created_at, refused, seq)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::uuid[],
                $7::timestamptz[], $8::timestamptz[], $9::text[], $10::int8[])
            ON CONFLICT (scheduled) DO NOTHING";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(accounts)
            .bind(spaces)
            .bind(rooms);
        let query = query.bind(bodies).bind(replies).bind(times).bind(made);
        let query = query.bind(refused).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn update(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut new_body, mut bodies, mut times) = (vec![], vec![], vec![], vec![]);
        let (mut new_standing, mut refused, mut seqs) = (vec![], vec![], vec![]);
        let waiting = |change: &Change<'_>| change.added.is_none() && !change.over;
        for (scheduled, change) in self.0.iter().filter(|(_, change)| waiting(change)) {
            ids.push(*scheduled);
            new_body.push(change.body.is_some());
            bodies.push(change.body.and_then(|new| new.0).map(text));
            times.push(change.at);
            new_standing.push(change.refused.is_some());
            refused.push(change.refused.and_then(|new| new.0));
            seqs.push(change.seq);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "UPDATE {s}.scheduled AS s SET
                body = CASE WHEN u.new_body THEN u.body ELSE s.body END,
                at = COALESCE(u.at, s.at),
                refused = CASE WHEN u.new_standing THEN u.refused ELSE s.refused END,
                seq = u.seq
            FROM unnest($1::uuid[], $2::bool[], $3::text[], $4::timestamptz[], $5::bool[], $6::text[], $7::int8[])
                AS u (scheduled, new_body, body, at, new_standing, refused, seq)
            WHERE s.scheduled = u.scheduled AND s.seq < u.seq";
        let query = schema.query(sql).bind(ids).bind(new_body).bind(bodies);
        let query = query.bind(times).bind(new_standing).bind(refused).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn delete(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let over = self.0.iter().filter(|(_, change)| change.over);
        let over: Vec<Uuid> = over.map(|(scheduled, _)| *scheduled).collect();
        if over.is_empty() {
            return Ok(0);
        }
        let query = schema.query("DELETE FROM {s}.scheduled WHERE scheduled = ANY($1)");
        Ok(query.bind(over).execute(connection).await?.rows_affected())
    }
}

//! Table `held`: what waits for a moderator.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use uuid::Uuid;
use veza_events::held::{HeldEvent, MessageHeld};
use veza_events::{MessageId, Sealed};

use super::{Moment, Schema, SqlError, text};

#[derive(Default)]
pub(super) struct HeldMessages<'a> {
    held: BTreeMap<Uuid, (Moment, &'a MessageHeld)>,
    decided: Vec<Uuid>,
}

impl<'a> HeldMessages<'a> {
    pub(super) fn take(&mut self, moment: Moment, event: &'a HeldEvent) {
        match event {
            HeldEvent::MessageHeld(event) => {
                self.held.insert(event.message.uuid(), (moment, event));
            }
            HeldEvent::MessageApproved(event) => self.decided(event.message),
            HeldEvent::MessageRejected(event) => self.decided(event.message),
        }
    }

    fn decided(&mut self, message: MessageId) {
        self.held.remove(&message.uuid());
        self.decided.push(message.uuid());
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.held.is_empty() {
            rows += self.insert(connection, schema).await?;
        }
        if !self.decided.is_empty() {
            let query = schema.query("DELETE FROM {s}.held WHERE message = ANY($1)");
            let done = query.bind(self.decided.clone()).execute(connection).await?;
            rows += done.rows_affected();
        }
        Ok(rows)
    }

    async fn insert(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut spaces, mut rooms, mut gates) = (vec![], vec![], vec![], vec![]);
        let (mut authors, mut bodies, mut replies, mut rules) = (vec![], vec![], vec![], vec![]);
        let (mut names, mut times, mut seqs) = (vec![], vec![], vec![]);
        for (message, (moment, event)) in &self.held {
            ids.push(*message);
            spaces.push(event.space.uuid());
            rooms.push(event.room.uuid());
            gates.push(event.gate().uuid());
            authors.push(event.author.uuid());
            bodies.push(event.body.clear().map(text));
            names.push(event.shown_as.as_ref().and_then(Sealed::clear).map(text));
            replies.push(event.reply_to.map(MessageId::uuid));
            rules.push(text(&event.rule));
            times.push(moment.at);
            seqs.push(moment.seq);
        }
        let sql = "INSERT INTO {s}.held (message, space, room, gate, author, body, reply_to, rule, held_at, seq,
                shown_as)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::uuid[],
                $8::text[], $9::timestamptz[], $10::int8[], $11::text[])
            ON CONFLICT (message) DO NOTHING";
        let query = schema.query(sql).bind(ids).bind(spaces).bind(rooms).bind(gates);
        let query = query.bind(authors).bind(bodies).bind(replies).bind(rules);
        let query = query.bind(times).bind(seqs).bind(names);
        Ok(query.execute(connection).await?.rows_affected())
    }
}

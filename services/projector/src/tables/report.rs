//! Table `report`: what people reported, with what the message said then, whatever became of it.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use uuid::Uuid;
use veza_events::Sealed;
use veza_events::report::{Filed, ReportEvent, Resolved};

use super::{Moment, Schema, SqlError, text, wire_name};

#[derive(Default)]
pub(super) struct Reports<'a> {
    filed: BTreeMap<Uuid, (Moment, &'a Filed)>,
    resolved: BTreeMap<Uuid, (Moment, &'a Resolved)>,
}

impl<'a> Reports<'a> {
    pub(super) fn take(&mut self, moment: Moment, event: &'a ReportEvent) {
        match event {
            ReportEvent::Filed(event) => {
                self.filed.entry(event.report.uuid()).or_insert((moment, event));
            }
            ReportEvent::Resolved(event) => {
                self.resolved
                    .entry(event.report.uuid())
                    .or_insert((moment, event));
            }
        }
    }

    /// To be called when the texts of the batch are in the tables, and before those that were taken back are gone.
    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.filed.is_empty() {
            rows += self.insert(connection, schema).await?;
        }
        if !self.resolved.is_empty() {
            rows += self.resolve(connection, schema).await?;
        }
        Ok(rows)
    }

    async fn insert(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut spaces, mut rooms, mut gates) = (vec![], vec![], vec![], vec![]);
        let (mut messages, mut posted, mut authors, mut reporters) = (vec![], vec![], vec![], vec![]);
        let (mut reasons, mut notes, mut times, mut seqs) = (vec![], vec![], vec![], vec![]);
        for (report, (moment, event)) in &self.filed {
            ids.push(*report);
            spaces.push(event.space.uuid());
            rooms.push(event.room.uuid());
            gates.push(event.gate.uuid());
            messages.push(event.message.uuid());
            posted.push(event.posted.cast_signed());
            authors.push(event.author.uuid());
            reporters.push(event.by.uuid());
            reasons.push(wire_name(&event.reason));
            notes.push(event.note.as_ref().and_then(Sealed::clear).map(text));
            times.push(moment.at);
            seqs.push(moment.seq);
        }
        // A message that was edited has all its texts, one that was not has one.
        let sql = "INSERT INTO {s}.report (report, space, room, gate, message, posted, author, reporter, reason, note,
                filed_at, seq, said)
            SELECT u.*, COALESCE((SELECT e.body FROM {s}.message_edit e
                    WHERE e.message = u.message AND e.seq < u.seq ORDER BY e.seq DESC LIMIT 1), m.body)
            FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::int8[], $7::uuid[],
                    $8::uuid[], $9::text[], $10::text[], $11::timestamptz[], $12::int8[])
                AS u (report, space, room, gate, message, posted, author, reporter, reason, note, at, seq)
            LEFT JOIN {s}.message m ON m.message = u.message
            ON CONFLICT (report) DO NOTHING";
        let query = schema.query(sql).bind(ids).bind(spaces).bind(rooms).bind(gates);
        let query = query.bind(messages).bind(posted).bind(authors).bind(reporters);
        let query = query.bind(reasons).bind(notes).bind(times).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn resolve(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut who, mut actions, mut notes) = (vec![], vec![], vec![], vec![]);
        let (mut times, mut seqs) = (vec![], vec![]);
        for (report, (moment, event)) in &self.resolved {
            ids.push(*report);
            who.push(event.by.uuid());
            actions.push(wire_name(&event.action));
            notes.push(event.note.as_ref().and_then(Sealed::clear).map(text));
            times.push(moment.at);
            seqs.push(moment.seq);
        }
        let sql = "UPDATE {s}.report r SET resolved_by = u.who, action = u.action, resolution_note = u.note,
                resolved_at = u.at, seq = u.seq
            FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::int8[])
                AS u (report, who, action, note, at, seq)
            WHERE r.report = u.report AND r.resolved_at IS NULL";
        let query = schema.query(sql).bind(ids).bind(who).bind(actions).bind(notes);
        Ok(query
            .bind(times)
            .bind(seqs)
            .execute(connection)
            .await?
            .rows_affected())
    }
}

//! Tables `message` and `timeline`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use uuid::Uuid;
use veza_events::room::{MessagePosted, RoomEvent};
use veza_events::{MessageId, RoomId};
use veza_readmodel::cache::{CachedMessage, RoomChange};

use super::{Moment, RowsWritten, Schema, SqlError, text};
use crate::language;

#[derive(Default)]
pub(super) struct Rooms<'a> {
    heads: BTreeMap<Uuid, i64>,
    messages: Vec<(Moment, &'a MessagePosted)>,
}

impl<'a> Rooms<'a> {
    /// A timeline went on, by an event of whatever type.
    pub(super) fn moved(&mut self, room: RoomId, seq: i64) {
        self.heads.insert(room.uuid(), seq);
    }

    pub(super) fn take(&mut self, moment: Moment, event: &'a RoomEvent) {
        match event {
            RoomEvent::MessagePosted(event) => self.messages.push((moment, event)),
            // The room itself is a fact of its space.
            RoomEvent::Opened(_) => {}
        }
    }

    pub(super) fn cache_changes(&self) -> Vec<RoomChange> {
        let change = |(room, head): (&Uuid, &i64)| {
            (
                *room,
                RoomChange {
                    room: *room,
                    head: head.cast_unsigned(),
                    messages: Vec::new(),
                },
            )
        };
        let mut rooms: BTreeMap<Uuid, RoomChange> = self.heads.iter().map(change).collect();
        for (moment, event) in &self.messages {
            if let Some(room) = rooms.get_mut(&event.room.uuid()) {
                room.messages.push(CachedMessage {
                    message: event.message.uuid(),
                    seq: moment.seq.cast_unsigned(),
                    author: event.author.uuid(),
                    body: event.body.clear().map(text).map(Cow::into_owned),
                    reply_to: event.reply_to.map(MessageId::uuid),
                    posted_at: moment.at,
                    files: u16::try_from(event.attachments.len()).unwrap_or(u16::MAX),
                });
            }
        }
        rooms.into_values().collect()
    }

    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        schema: Schema,
    ) -> Result<RowsWritten, SqlError> {
        let mut written = RowsWritten::default();
        if !self.messages.is_empty() {
            let inserted = self.insert_messages(connection, schema).await?;
            written.rows += inserted;
            written.repeated_messages = self.messages.len() as u64 - inserted;
        }
        if !self.heads.is_empty() {
            written.rows += self.move_heads(connection, schema).await?;
        }
        Ok(written)
    }

    async fn insert_messages(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let count = self.messages.len();
        let (mut ids, mut rooms, mut spaces) = (
            Vec::with_capacity(count),
            Vec::with_capacity(count),
            Vec::with_capacity(count),
        );
        let (mut authors, mut bodies, mut replies) = (
            Vec::with_capacity(count),
            Vec::with_capacity(count),
            Vec::with_capacity(count),
        );
        let (mut times, mut seqs) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut languages, mut files) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for (moment, event) in &self.messages {
            ids.push(event.message.uuid());
            rooms.push(event.room.uuid());
            spaces.push(event.space.uuid());
            authors.push(event.author.uuid());
            let body = event.body.clear().map(text);
            languages.push(language::configuration(body.as_deref().unwrap_or_default()));
            bodies.push(body);
            replies.push(event.reply_to.map(MessageId::uuid));
            times.push(moment.at);
            seqs.push(moment.seq);
            files.push(i32::try_from(event.attachments.len()).unwrap_or(i32::MAX));
        }
        let sql =
            "INSERT INTO {s}.message (message, room, space, author, body, reply_to, posted_at, seq, language,
                attachments)
            SELECT m, r, s, a, b, reply, at, seq, l::regconfig, f FROM unnest($1::uuid[], $2::uuid[], $3::uuid[],
                $4::uuid[], $5::text[], $6::uuid[], $7::timestamptz[], $8::int8[], $9::text[],
                $10::int4[]) AS new (m, r, s, a, b, reply, at, seq, l, f)
            ON CONFLICT (message) DO NOTHING";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(rooms)
            .bind(spaces)
            .bind(authors)
            .bind(bodies);
        Ok(query
            .bind(replies)
            .bind(times)
            .bind(seqs)
            .bind(languages)
            .bind(files)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn move_heads(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let rooms: Vec<Uuid> = self.heads.keys().copied().collect();
        let heads: Vec<i64> = self.heads.values().copied().collect();
        let sql = "INSERT INTO {s}.timeline (room, head) SELECT * FROM unnest($1::uuid[], $2::int8[])
            ON CONFLICT (room) DO UPDATE SET head = excluded.head WHERE {s}.timeline.head < excluded.head";
        Ok(schema
            .query(sql)
            .bind(rooms)
            .bind(heads)
            .execute(connection)
            .await?
            .rows_affected())
    }
}

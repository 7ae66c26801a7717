//! Tables `message`, `thread` and `timeline`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use sea_orm::sqlx::{PgConnection, Row};
use sea_orm::{DbErr, QueryResult};
use uuid::Uuid;
use veza_events::room::{Imported, Mentions, MessagePosted, Opened, RoomEvent};
use veza_events::{MessageId, RoomId};
use veza_readmodel::cache::{CachedMessage, Fate, RoomChange};
use veza_readmodel::messages::{self, COLUMNS, joins};

use super::message::{Messages, mentions_json};
use super::report::Reports;
use super::{Moment, RowsWritten, Schema, SqlError, text};
use crate::language;

#[derive(Default)]
pub(super) struct Rooms<'a> {
    heads: BTreeMap<Uuid, i64>,
    posted: Vec<(Moment, &'a MessagePosted)>,
    threads: Vec<(Moment, &'a Opened)>,
    messages: Messages<'a>,
}

impl<'a> Rooms<'a> {
    /// A timeline went on, by an event of whatever type.
    pub(super) fn moved(&mut self, room: RoomId, seq: i64) {
        self.heads.insert(room.uuid(), seq);
    }

    pub(super) fn take(&mut self, moment: Moment, event: &'a RoomEvent) {
        match event {
            RoomEvent::MessagePosted(event) => self.posted.push((moment, event)),
            // A room itself is a fact of its space; a thread is a fact of its own.
            RoomEvent::Opened(event) if event.about.is_some() => self.threads.push((moment, event)),
            RoomEvent::Opened(_)
            | RoomEvent::MessageEdited(_)
            | RoomEvent::MessageDeleted(_)
            | RoomEvent::ReactionAdded(_)
            | RoomEvent::ReactionRemoved(_)
            | RoomEvent::MessagePinned(_)
            | RoomEvent::MessageUnpinned(_) => {}
        }
        self.messages.take(moment, event);
    }

    /// Messages that are not what they were, or of which the thread is not, apart from those that are new and
    /// stayed as they were posted. Read where the batch is written, so that caches get rows as tables have them.
    pub(super) async fn changed_rows(
        &self,
        connection: &mut PgConnection,
        schema: Schema,
    ) -> Result<Vec<(Uuid, CachedMessage)>, SqlError> {
        let (changed, mut threads) = (self.messages.changed(), self.messages.threads());
        threads.extend(self.threads.iter().map(|(_, event)| event.room.uuid()));
        if changed.is_empty() && threads.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM (
                SELECT * FROM {{s}}.message WHERE message = ANY($1)
                    OR message IN (SELECT t.message FROM {{s}}.thread t WHERE t.thread = ANY($2))
            ) m {}",
            joins(schema.name())
        );
        let query = schema.query(&sql).bind(changed).bind(threads);
        let rows = query.fetch_all(connection).await?;
        let row = |row| {
            let row = QueryResult::from(row);
            let decoded = |error: DbErr| SqlError::Decode(error.into());
            let room: Uuid = row.try_get("", "room").map_err(decoded)?;
            Ok((room, CachedMessage::from(&messages::read(&row).map_err(decoded)?)))
        };
        rows.into_iter().map(row).collect()
    }

    /// `changed` is what [`Self::changed_rows`] found, at the position of the batch.
    pub(super) fn cache_changes(
        &self,
        position: u64,
        changed: Vec<(Uuid, CachedMessage)>,
    ) -> Vec<RoomChange> {
        let change = |room, head| RoomChange {
            room,
            head,
            messages: Vec::new(),
            changed: Vec::new(),
            changed_at: 0,
        };
        let moved = |(room, head): (&Uuid, &i64)| (*room, change(*room, head.cast_unsigned()));
        let mut rooms: BTreeMap<Uuid, RoomChange> = self.heads.iter().map(moved).collect();
        let as_they_are: HashSet<Uuid> = changed.iter().map(|(_, row)| row.message).collect();
        for (room, row) in changed {
            let room = rooms.entry(room).or_insert_with(|| change(room, 0));
            room.changed_at = position;
            room.changed.push(row);
        }
        for (moment, event) in &self.posted {
            if as_they_are.contains(&event.message.uuid()) {
                continue;
            }
            if let Some(room) = rooms.get_mut(&event.room.uuid()) {
                room.messages.push(CachedMessage {
                    message: event.message.uuid(),
                    seq: moment.seq.cast_unsigned(),
                    author: event.author.uuid(),
                    body: event.body.clear().map(text).map(Cow::into_owned),
                    reply_to: event.reply_to.map(MessageId::uuid),
                    posted_at: moment.at,
                    files: u16::try_from(event.attachments.len()).unwrap_or(u16::MAX),
                    imported: event.imported.as_ref().and_then(|sealed| sealed.clear()).cloned(),
                    shown_as: shown_as(event).map(Cow::into_owned),
                    fate: Fate {
                        mentions: mentions_of(event).cloned().unwrap_or_default(),
                        ..Fate::default()
                    },
                });
            }
        }
        rooms.into_values().collect()
    }

    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        schema: Schema,
        reports: &Reports<'_>,
    ) -> Result<RowsWritten, SqlError> {
        let mut written = RowsWritten::default();
        if !self.threads.is_empty() {
            written.rows += self.open_threads(connection, schema).await?;
        }
        if !self.posted.is_empty() {
            let inserted = self.insert_messages(connection, schema).await?;
            written.rows += inserted;
            written.repeated_messages = self.posted.len() as u64 - inserted;
        }
        written.rows += self.messages.write(connection, schema, reports).await?;
        if !self.heads.is_empty() {
            written.rows += self.move_heads(connection, schema).await?;
        }
        Ok(written)
    }

    async fn insert_messages(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let count = self.posted.len();
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
        let (mut times, mut seqs, mut mentions) = (
            Vec::with_capacity(count),
            Vec::with_capacity(count),
            Vec::with_capacity(count),
        );
        let (mut languages, mut files, mut imported, mut names) = (
            Vec::with_capacity(count),
            Vec::with_capacity(count),
            Vec::with_capacity(count),
            Vec::with_capacity(count),
        );
        for (moment, event) in &self.posted {
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
            mentions.push(mentions_json(mentions_of(event)));
            names.push(shown_as(event));
            imported.push(
                event
                    .imported
                    .as_ref()
                    .and_then(|sealed| sealed.clear())
                    .map(json_text),
            );
        }
        let insert =
            "INSERT INTO {s}.message (message, room, space, author, body, reply_to, posted_at, seq, mentions,
                language, attachments, imported, shown_as)
            SELECT u.message, u.room, u.space, u.author, u.body, u.reply_to, u.at, u.seq, u.mentions::jsonb,
                u.language::regconfig, u.files, u.imported::jsonb, u.shown_as
            FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::uuid[],
                $7::timestamptz[], $8::int8[], $9::text[], $10::text[], $11::int4[], $12::text[], $13::text[])
                AS u (message, room, space, author, body, reply_to, at, seq, mentions, language, files, imported, shown_as)
            ON CONFLICT (message) DO NOTHING";
        let in_threads = self.posted.iter().any(|(_, event)| event.parent.is_some());
        let sql = if in_threads {
            &format!(
                "WITH inserted AS ({insert} RETURNING room, posted_at), counted AS (
                    UPDATE {{s}}.thread t SET replies = t.replies + n.count,
                        last_reply_at = GREATEST(t.last_reply_at, n.newest)
                    FROM (SELECT room, count(*) AS count, max(posted_at) AS newest
                        FROM inserted GROUP BY room) n
                    WHERE t.thread = n.room)
                SELECT count(*) FROM inserted"
            )
        } else {
            insert
        };
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(rooms)
            .bind(spaces)
            .bind(authors)
            .bind(bodies);
        let query = query
            .bind(replies)
            .bind(times)
            .bind(seqs)
            .bind(mentions)
            .bind(languages)
            .bind(files)
            .bind(imported)
            .bind(names);
        if in_threads {
            let row = query.fetch_one(connection).await?;
            return Ok(row.try_get::<i64, _>(0)?.cast_unsigned());
        }
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn open_threads(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut threads, mut messages, mut rooms, mut spaces) = (vec![], vec![], vec![], vec![]);
        let (mut times, mut seqs) = (vec![], vec![]);
        for (moment, event) in &self.threads {
            if let (Some(room), Some(message)) = (event.parent, event.about) {
                threads.push(event.room.uuid());
                messages.push(message.uuid());
                rooms.push(room.uuid());
                spaces.push(event.space.uuid());
                times.push(moment.at);
                seqs.push(moment.seq);
            }
        }
        let sql = "INSERT INTO {s}.thread (thread, message, room, space, opened_at, replies, seq)
            SELECT u.thread, u.message, u.room, u.space, u.at, 0, u.seq
            FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::int8[])
                AS u (thread, message, room, space, at, seq)
            ON CONFLICT DO NOTHING";
        let query = schema
            .query(sql)
            .bind(threads)
            .bind(messages)
            .bind(rooms)
            .bind(spaces);
        let query = query.bind(times).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
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

fn mentions_of(event: &MessagePosted) -> Option<&Mentions> {
    event.mentions.as_ref().and_then(|mentions| mentions.clear())
}

fn shown_as(event: &MessagePosted) -> Option<Cow<'_, str>> {
    let name = event.shown_as.as_ref().and_then(|name| name.clear());
    name.map(text)
}

/// As it lies in a column of JSON, which takes no NUL.
fn json_text(imported: &Imported) -> String {
    let json = serde_json::to_string(imported).expect("sealed values are plain data");
    json.replace("\\u0000", "")
}

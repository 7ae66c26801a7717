//! What became of messages: tables `message_edit`, `reaction`, `mention`, and columns of `message`.
//!
//! A deletion is final. Within a batch nothing behind it is taken in, and every statement here passes over
//! messages that are deleted already, so late edits and reactions change nothing wherever batches end.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sqlx::PgConnection;
use uuid::Uuid;
use veza_events::RoleId;
use veza_events::room::{Mentions, MessageDeleted, MessageEdited, MessagePosted, RoomEvent};

use super::report::Reports;
use super::{Moment, Schema, SqlError, text};
use crate::language;

#[derive(Default)]
pub(super) struct Messages<'a> {
    changes: BTreeMap<Uuid, Change<'a>>,
    /// Messages that may mention somebody, with what they say at the end of the batch.
    mentions: BTreeMap<Uuid, &'a Mentions>,
    /// All whom messages of the batch name, by any of their texts, with the sequence of that.
    named: Vec<(i64, Uuid, &'a Mentions)>,
    /// Changes within threads move what the message above says of its thread.
    threads: BTreeSet<Uuid>,
}

/// What a batch does to one message.
#[derive(Default)]
struct Change<'a> {
    edits: Vec<(Moment, &'a MessageEdited)>,
    reactions: BTreeMap<(&'a str, Uuid), Reaction>,
    pin: Option<Pin>,
    deleted: Option<(Moment, Uuid)>,
    /// Sequence of the last event that counted.
    last: i64,
}

/// What a batch does to one reaction: first it is taken away, if so, then it is there again, if so.
#[derive(Default)]
struct Reaction {
    removed: bool,
    added: Option<i64>,
}

/// Where and by whom a message is pinned at the end of a batch, if it is.
type Pin = Option<(i64, Uuid)>;

impl<'a> Messages<'a> {
    pub(super) fn take(&mut self, moment: Moment, event: &'a RoomEvent) {
        match event {
            RoomEvent::Opened(_) => {}
            RoomEvent::MessagePosted(event) => self.posted(moment, event),
            RoomEvent::MessageEdited(event) => {
                if let Some(change) = self.change(event.message.uuid(), moment) {
                    change.edits.push((moment, event));
                    self.speaks(
                        moment,
                        event.message.uuid(),
                        event.mentions.as_ref().and_then(|sealed| sealed.clear()),
                    );
                }
            }
            RoomEvent::MessageDeleted(event) => self.deleted(moment, event),
            RoomEvent::ReactionAdded(event) => {
                if let Some(change) = self.change(event.message.uuid(), moment) {
                    let reaction = change
                        .reactions
                        .entry((event.emoji.as_str(), event.account.uuid()))
                        .or_default();
                    reaction.added = reaction.added.or(Some(moment.seq));
                }
            }
            RoomEvent::ReactionRemoved(event) => {
                if let Some(change) = self.change(event.message.uuid(), moment) {
                    let gone = Reaction {
                        removed: true,
                        added: None,
                    };
                    let key = (event.emoji.as_str(), event.account.uuid());
                    change.reactions.insert(key, gone);
                }
            }
            RoomEvent::MessagePinned(event) => {
                if let Some(change) = self.change(event.message.uuid(), moment) {
                    change.pin = Some(Some((moment.seq, event.by.uuid())));
                }
            }
            RoomEvent::MessageUnpinned(event) => {
                if let Some(change) = self.change(event.message.uuid(), moment) {
                    change.pin = Some(None);
                }
            }
        }
    }

    /// Messages whose rows are not what they were, beside those that were posted.
    pub(super) fn changed(&self) -> Vec<Uuid> {
        self.changes.keys().copied().collect()
    }

    /// Threads of which something was posted or taken back.
    pub(super) fn threads(&self) -> Vec<Uuid> {
        self.threads.iter().copied().collect()
    }

    fn posted(&mut self, moment: Moment, event: &'a MessagePosted) {
        if event.parent.is_some() {
            self.threads.insert(event.room.uuid());
        }
        if let Some(mentions) = event.mentions.as_ref().and_then(|sealed| sealed.clear()) {
            self.speaks(moment, event.message.uuid(), Some(mentions));
        }
    }

    fn deleted(&mut self, moment: Moment, event: &MessageDeleted) {
        let message = event.message.uuid();
        if event.parent.is_some() {
            self.threads.insert(event.room.uuid());
        }
        if self.change(message, moment).is_some() {
            self.mentions.remove(&message);
            self.named.retain(|(_, named, _)| *named != message);
            let gone = Change {
                deleted: Some((moment, event.by.uuid())),
                last: moment.seq,
                ..Change::default()
            };
            self.changes.insert(message, gone);
        }
    }

    /// The change of a message; `None` once it is deleted.
    fn change(&mut self, message: Uuid, moment: Moment) -> Option<&mut Change<'a>> {
        let change = self.changes.entry(message).or_default();
        if change.deleted.is_some() {
            return None;
        }
        change.last = moment.seq;
        Some(change)
    }

    fn speaks(&mut self, moment: Moment, message: Uuid, mentions: Option<&'a Mentions>) {
        match mentions {
            Some(mentions) => {
                self.named.push((moment.seq, message, mentions));
                self.mentions.insert(message, mentions)
            }
            None => self.mentions.remove(&message),
        };
    }

    /// To be called when what was posted is in the tables.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        schema: Schema,
        reports: &Reports<'_>,
    ) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.changes.is_empty() {
            rows += self.keep_texts(connection, schema).await?;
            rows += self.edit(connection, schema).await?;
            rows += self.remove_reactions(connection, schema).await?;
            rows += self.add_reactions(connection, schema).await?;
            rows += self.pin(connection, schema).await?;
            rows += self.mark(connection, schema).await?;
        }
        // They keep what was said before it is taken back.
        rows += reports.write(connection, schema).await?;
        if !self.changes.is_empty() {
            rows += self.delete(connection, schema).await?;
        }
        if !self.named.is_empty() {
            rows += self.mention(connection, schema).await?;
        }
        Ok(rows)
    }

    fn edits(&self) -> impl Iterator<Item = &(Moment, &'a MessageEdited)> {
        self.changes.values().flat_map(|change| &change.edits)
    }

    /// Keeps every text that an edited message had, the first one too.
    async fn keep_texts(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut seqs, mut bodies, mut times) = (vec![], vec![], vec![], vec![]);
        for (moment, event) in self.edits() {
            ids.push(event.message.uuid());
            seqs.push(moment.seq);
            bodies.push(event.body.clear().map(text));
            times.push(moment.at);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "INSERT INTO {s}.message_edit (message, seq, body, written_at)
            SELECT m.message, m.seq, m.body, m.posted_at FROM {s}.message m
            WHERE m.message = ANY($1) AND m.edited_at IS NULL AND m.deleted_at IS NULL
            UNION ALL
            SELECT u.message, u.seq, u.body, u.at
            FROM unnest($1::uuid[], $2::int8[], $3::text[], $4::timestamptz[]) AS u (message, seq, body, at)
            JOIN {s}.message m ON m.message = u.message AND m.deleted_at IS NULL
            ON CONFLICT (message, seq) DO NOTHING";
        let query = schema.query(sql).bind(ids).bind(seqs).bind(bodies).bind(times);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn edit(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut bodies, mut times, mut mentions) = (vec![], vec![], vec![], vec![]);
        let mut languages = vec![];
        for (message, change) in &self.changes {
            if let Some((moment, event)) = change.edits.last() {
                ids.push(*message);
                let body = event.body.clear().map(text);
                languages.push(language::configuration(body.as_deref().unwrap_or_default()));
                bodies.push(body);
                times.push(moment.at);
                mentions.push(mentions_json(
                    event.mentions.as_ref().and_then(|sealed| sealed.clear()),
                ));
            }
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "UPDATE {s}.mention SET dropped = true WHERE message = ANY($1) AND NOT dropped";
        schema
            .query(sql)
            .bind(ids.clone())
            .execute(&mut *connection)
            .await?;
        let sql = "UPDATE {s}.message m SET body = u.body, edited_at = u.at, mentions = u.mentions::jsonb,
                language = u.language::regconfig
            FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::text[])
                AS u (message, body, at, mentions, language)
            WHERE m.message = u.message AND m.deleted_at IS NULL";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(bodies)
            .bind(times)
            .bind(mentions)
            .bind(languages);
        Ok(query.execute(connection).await?.rows_affected())
    }

    fn reactions(&self) -> impl Iterator<Item = (Uuid, &(&'a str, Uuid), &Reaction)> {
        self.changes.iter().flat_map(|(message, change)| {
            let of = |(key, reaction)| (*message, key, reaction);
            change.reactions.iter().map(of)
        })
    }

    async fn remove_reactions(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut emoji, mut accounts) = (vec![], vec![], vec![]);
        for (message, key, _) in self.reactions().filter(|(.., reaction)| reaction.removed) {
            ids.push(message);
            emoji.push(text(key.0));
            accounts.push(key.1);
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "DELETE FROM {s}.reaction r USING unnest($1::uuid[], $2::text[], $3::uuid[])
                AS u (message, emoji, account)
            WHERE r.message = u.message AND r.emoji = u.emoji AND r.account = u.account";
        let query = schema.query(sql).bind(ids).bind(emoji).bind(accounts);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn add_reactions(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut emoji, mut accounts, mut seqs) = (vec![], vec![], vec![], vec![]);
        for (message, key, reaction) in self.reactions() {
            if let Some(seq) = reaction.added {
                ids.push(message);
                emoji.push(text(key.0));
                accounts.push(key.1);
                seqs.push(seq);
            }
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "INSERT INTO {s}.reaction (message, emoji, account, seq)
            SELECT u.message, u.emoji, u.account, u.seq
            FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::int8[]) AS u (message, emoji, account, seq)
            JOIN {s}.message m ON m.message = u.message AND m.deleted_at IS NULL
            ON CONFLICT (message, emoji, account) DO NOTHING";
        let query = schema.query(sql).bind(ids).bind(emoji).bind(accounts).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn pin(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut seqs, mut by) = (vec![], vec![], vec![]);
        for (message, change) in &self.changes {
            if let Some(pin) = change.pin {
                ids.push(*message);
                seqs.push(pin.map(|(seq, _)| seq));
                by.push(pin.map(|(_, by)| by));
            }
        }
        if ids.is_empty() {
            return Ok(0);
        }
        let sql = "UPDATE {s}.message m SET pinned = u.seq, pinned_by = u.by
            FROM unnest($1::uuid[], $2::int8[], $3::uuid[]) AS u (message, seq, by)
            WHERE m.message = u.message AND m.deleted_at IS NULL";
        let query = schema.query(sql).bind(ids).bind(seqs).bind(by);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn mark(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let ids: Vec<Uuid> = self.changes.keys().copied().collect();
        let seqs: Vec<i64> = self.changes.values().map(|change| change.last).collect();
        let sql = "UPDATE {s}.message m SET changed = u.seq
            FROM unnest($1::uuid[], $2::int8[]) AS u (message, seq)
            WHERE m.message = u.message AND m.deleted_at IS NULL AND m.changed < u.seq";
        let query = schema.query(sql).bind(ids).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    /// Leaves nothing of a deleted message but that it was there.
    async fn delete(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut times, mut by) = (vec![], vec![], vec![]);
        for (message, change) in &self.changes {
            if let Some((moment, who)) = change.deleted {
                ids.push(*message);
                times.push(moment.at);
                by.push(who);
            }
        }
        if ids.is_empty() {
            return Ok(0);
        }
        for table in ["message_edit", "reaction", "mention"] {
            let sql = format!("DELETE FROM {{s}}.{table} WHERE message = ANY($1)");
            let query = schema.query(&sql).bind(ids.clone());
            query.execute(&mut *connection).await?;
        }
        // The files of a message go with it; their bytes are removed behind this.
        let seqs: Vec<i64> = ids.iter().map(|id| self.changes[id].last).collect();
        let sql = "UPDATE {s}.attachment a SET removed = u.seq, about = NULL
            FROM unnest($1::uuid[], $2::int8[]) AS u (message, seq)
            WHERE a.message = u.message AND a.removed IS NULL";
        let query = schema.query(sql).bind(ids.clone()).bind(seqs);
        query.execute(&mut *connection).await?;
        // A reply that is gone counts no more for its thread.
        let sql = "WITH gone AS (
                UPDATE {s}.message m SET body = NULL, mentions = NULL, imported = NULL, shown_as = NULL, attachments = 0, edited_at = NULL, pinned = NULL,
                    pinned_by = NULL, language = 'veza.any_words', deleted_at = u.at, deleted_by = u.by
                FROM unnest($1::uuid[], $2::timestamptz[], $3::uuid[]) AS u (message, at, by)
                WHERE m.message = u.message AND m.deleted_at IS NULL RETURNING m.room
            )
            UPDATE {s}.thread t SET replies = t.replies - g.count
            FROM (SELECT room, count(*) AS count FROM gone GROUP BY room) g WHERE t.thread = g.room";
        let count = ids.len() as u64;
        let query = schema.query(sql).bind(ids).bind(times).bind(by);
        query.execute(connection).await?;
        Ok(count)
    }

    /// Notes whom messages name, and by which text first. What a batch has of one message is noted at once.
    async fn mention(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let mut first = BTreeMap::new();
        for (seq, message, mentions) in &self.named {
            for target in targets(mentions) {
                first.entry((*message, target)).or_insert(*seq);
            }
        }
        let (mut ids, mut whom, mut kinds) = (vec![], vec![], vec![]);
        let (mut since, mut dropped) = (vec![], vec![]);
        for ((message, target), seq) in first {
            let last = self.mentions.get(&message);
            dropped.push(!last.is_some_and(|last| targets(last).any(|named| named == target)));
            ids.push(message);
            whom.push(target.0);
            kinds.push(target.1.to_owned());
            since.push(seq);
        }
        let sql = "INSERT INTO {s}.mention AS n
                (message, target, kind, room, space, author, posted_at, seq, since, dropped)
            SELECT m.message, COALESCE(u.target, m.space), u.kind, m.room, m.space, m.author, m.posted_at, m.seq,
                u.since, u.dropped
            FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int8[], $5::bool[])
                AS u (message, target, kind, since, dropped)
            JOIN {s}.message m ON m.message = u.message AND m.deleted_at IS NULL
            ON CONFLICT (message, target, kind) DO UPDATE SET dropped = excluded.dropped";
        let query = schema.query(sql).bind(ids).bind(whom).bind(kinds);
        let query = query.bind(since).bind(dropped);
        Ok(query.execute(connection).await?.rows_affected())
    }
}

/// Whom a text names: an id, absent for everybody in the space, and as what.
fn targets(mentions: &Mentions) -> impl Iterator<Item = (Option<Uuid>, &'static str)> {
    let accounts = mentions.accounts.iter().map(|id| (Some(id.uuid()), "account"));
    let roles = mentions.roles.iter().copied().map(RoleId::uuid);
    let roles = roles.map(|role| (Some(role), "role"));
    let all = [(mentions.everyone, "everyone"), (mentions.here, "here")];
    let all = all.into_iter().filter(|(spoken, _)| *spoken);
    accounts.chain(roles).chain(all.map(|(_, kind)| (None, kind)))
}

/// Mentions as a column holds them; nothing for none.
pub(super) fn mentions_json(mentions: Option<&Mentions>) -> Option<String> {
    let mentions = mentions.filter(|mentions| !mentions.is_empty())?;
    Some(serde_json::to_string(mentions).expect("mentions are plain data"))
}

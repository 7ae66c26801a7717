//! Tables `webhook` and `slash_command`.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use uuid::Uuid;
use veza_events::SpaceId;
use veza_events::space::{SlashCommandDefined, SpaceEvent, WebhookCreated};

use super::{Moment, Schema, SqlError, text};

#[derive(Default)]
pub(super) struct Integrations<'a> {
    /// `None`: taken away.
    webhooks: BTreeMap<Uuid, Option<(Uuid, &'a WebhookCreated, Moment)>>,
    slashes: BTreeMap<(Uuid, &'a str), Option<(&'a SlashCommandDefined, i64)>>,
}

impl<'a> Integrations<'a> {
    pub(super) fn take(&mut self, space: SpaceId, moment: Moment, event: &'a SpaceEvent) {
        let space = space.uuid();
        if let SpaceEvent::WebhookCreated(event) = event {
            self.webhooks
                .insert(event.webhook.uuid(), Some((space, event, moment)));
        }
        if let SpaceEvent::WebhookRemoved(event) = event {
            self.webhooks.insert(event.webhook.uuid(), None);
        }
        if let SpaceEvent::SlashCommandDefined(event) = event {
            let key = (space, event.name.as_str());
            self.slashes.insert(key, Some((event, moment.seq)));
        }
        if let SpaceEvent::SlashCommandRemoved(event) = event {
            self.slashes.insert((space, event.name.as_str()), None);
        }
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.webhooks.is_empty() {
            rows += self.insert_webhooks(connection, schema).await?;
            rows += self.delete_webhooks(connection, schema).await?;
        }
        if !self.slashes.is_empty() {
            rows += self.insert_slashes(connection, schema).await?;
            rows += self.delete_slashes(connection, schema).await?;
        }
        Ok(rows)
    }

    async fn insert_webhooks(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut spaces, mut rooms, mut makers) = (vec![], vec![], vec![], vec![]);
        let (mut times, mut seqs) = (vec![], vec![]);
        for (id, created) in &self.webhooks {
            if let Some((space, event, moment)) = created {
                ids.push(*id);
                spaces.push(*space);
                rooms.push(event.room.uuid());
                makers.push(event.by.uuid());
                times.push(moment.at);
                seqs.push(moment.seq);
            }
        }
        let sql = "INSERT INTO {s}.webhook (webhook, space, room, created_by, created_at, seq)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::int8[])
            ON CONFLICT (webhook) DO NOTHING";
        let query = schema.query(sql).bind(ids).bind(spaces).bind(rooms).bind(makers);
        let query = query.bind(times).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn delete_webhooks(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let gone = self.webhooks.iter().filter(|(_, created)| created.is_none());
        let gone: Vec<Uuid> = gone.map(|(id, _)| *id).collect();
        let query = schema.query("DELETE FROM {s}.webhook WHERE webhook = ANY($1)");
        Ok(query.bind(gone).execute(connection).await?.rows_affected())
    }

    async fn insert_slashes(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut spaces, mut names, mut bots) = (vec![], vec![], vec![]);
        let (mut descriptions, mut options, mut seqs) = (vec![], vec![], vec![]);
        for ((space, name), defined) in &self.slashes {
            if let Some((event, seq)) = defined {
                spaces.push(*space);
                names.push(*name);
                bots.push(event.bot.uuid());
                descriptions.push(text(&event.description));
                options.push(serde_json::to_string(&event.options).expect("options are plain data"));
                seqs.push(*seq);
            }
        }
        let sql = "INSERT INTO {s}.slash_command (space, name, bot, description, options, seq)
            SELECT u.space, u.name, u.bot, u.description, u.options::jsonb, u.seq
            FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::text[], $6::int8[])
                AS u (space, name, bot, description, options, seq)
            ON CONFLICT (space, name) DO UPDATE SET bot = excluded.bot, description = excluded.description,
                options = excluded.options, seq = excluded.seq
            WHERE {s}.slash_command.seq < excluded.seq";
        let query = schema.query(sql).bind(spaces).bind(names).bind(bots);
        let query = query.bind(descriptions).bind(options).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn delete_slashes(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let gone = self.slashes.iter().filter(|(_, defined)| defined.is_none());
        let (spaces, names): (Vec<Uuid>, Vec<&str>) = gone.map(|(key, _)| *key).unzip();
        let sql = "DELETE FROM {s}.slash_command AS c USING unnest($1::uuid[], $2::text[]) AS u (space, name)
            WHERE c.space = u.space AND c.name = u.name";
        let query = schema.query(sql).bind(spaces).bind(names);
        Ok(query.execute(connection).await?.rows_affected())
    }
}

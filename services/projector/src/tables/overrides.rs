//! Tables `category` and `permission_override`.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sqlx::PgConnection;
use uuid::Uuid;
use veza_events::Permissions;
use veza_events::space::{CategoryCreated, OverrideSet, Place, SpaceEvent, Whom};

use super::{Schema, SqlError, array_literal, text, wire_name};

#[derive(Default)]
pub(super) struct Overrides<'a> {
    categories: BTreeMap<Uuid, CategoryChange<'a>>,
    /// By place and whom it is for; `None`: removed.
    rows: BTreeMap<(Uuid, &'static str, Uuid), Option<Row<'a>>>,
    /// Roles of spaces that are gone, and what was overridden for them with them.
    roles: BTreeSet<(Uuid, Uuid)>,
}

#[derive(Default)]
struct CategoryChange<'a> {
    created: Option<(&'a CategoryCreated, Uuid)>,
    name: Option<&'a str>,
    position: Option<u16>,
    removed: bool,
    seq: i64,
}

struct Row<'a> {
    space: Uuid,
    event: &'a OverrideSet,
    seq: i64,
}

fn place(place: Place) -> Uuid {
    match place {
        Place::Room(room) => room.uuid(),
        Place::Category(category) => category.uuid(),
    }
}

fn whom(whom: Whom) -> (&'static str, Uuid) {
    match whom {
        Whom::Role(role) => ("role", role.uuid()),
        Whom::Account(account) => ("account", account.uuid()),
    }
}

fn names(permissions: Permissions) -> String {
    array_literal(permissions.iter().map(|one| wire_name(&one)))
}

impl<'a> Overrides<'a> {
    pub(super) fn take(&mut self, space: Uuid, seq: i64, event: &'a SpaceEvent) {
        match event {
            SpaceEvent::CategoryCreated(event) => {
                self.category(event.category.uuid(), seq).created = Some((event, space));
            }
            SpaceEvent::CategoryChanged(event) => {
                let change = self.category(event.category.uuid(), seq);
                change.name = event.name.as_deref().or(change.name);
                change.position = event.position.or(change.position);
            }
            SpaceEvent::CategoryRemoved(event) => {
                let id = event.category.uuid();
                self.category(id, seq).removed = true;
                self.rows.retain(|(place, ..), _| *place != id);
            }
            SpaceEvent::OverrideSet(event) => {
                let (kind, who) = whom(event.whom);
                let row = Row { space, event, seq };
                self.rows.insert((place(event.place), kind, who), Some(row));
            }
            SpaceEvent::OverrideRemoved(event) => {
                let (kind, who) = whom(event.whom);
                self.rows.insert((place(event.place), kind, who), None);
            }
            SpaceEvent::RoleRemoved(event) => {
                let role = event.role.uuid();
                self.roles.insert((space, role));
                self.rows.retain(|(_, kind, who), row| {
                    let theirs = row.as_ref().is_none_or(|row| row.space == space);
                    !(theirs && *kind == "role" && *who == role)
                });
            }
            SpaceEvent::Created(_)
            | SpaceEvent::DirectOpened(_)
            | SpaceEvent::DirectAdded(_)
            | SpaceEvent::Changed(_)
            | SpaceEvent::RoleDefined(_)
            | SpaceEvent::RoomCreated(_)
            | SpaceEvent::RoomChanged(_)
            | SpaceEvent::RoomArchived(_)
            | SpaceEvent::RoomPlaced(_)
            | SpaceEvent::FiltersSet(_)
            | SpaceEvent::RaidBrakeSet(_)
            | SpaceEvent::Arrived(_)
            | SpaceEvent::RaidBegun(_)
            | SpaceEvent::RaidEnded(_)
            | SpaceEvent::InviteCreated(_)
            | SpaceEvent::InviteUsed(_)
            | SpaceEvent::InviteRevoked(_)
            | SpaceEvent::WebhookCreated(_)
            | SpaceEvent::WebhookSecretChanged(_)
            | SpaceEvent::WebhookRemoved(_)
            | SpaceEvent::SlashCommandDefined(_)
            | SpaceEvent::SlashCommandRemoved(_) => {}
        }
    }

    fn category(&mut self, category: Uuid, seq: i64) -> &mut CategoryChange<'a> {
        let change = self.categories.entry(category).or_default();
        change.seq = seq;
        change
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.categories.is_empty() {
            rows += self.insert_categories(connection, schema).await?;
            rows += self.update_categories(connection, schema).await?;
            rows += self.delete_categories(connection, schema).await?;
        }
        if !self.roles.is_empty() {
            rows += self.delete_of_roles(connection, schema).await?;
        }
        if !self.rows.is_empty() {
            rows += self.upsert(connection, schema).await?;
            rows += self.delete(connection, schema).await?;
        }
        Ok(rows)
    }

    async fn insert_categories(
        &self,
        connection: &mut PgConnection,
        schema: Schema,
    ) -> Result<u64, SqlError> {
        let (mut ids, mut spaces, mut names, mut positions, mut seqs) =
            (vec![], vec![], vec![], vec![], vec![]);
        for (category, change) in self.categories.iter().filter(|(_, change)| !change.removed) {
            if let Some((event, space)) = change.created {
                ids.push(*category);
                spaces.push(space);
                names.push(text(change.name.unwrap_or(&event.name)));
                positions.push(i32::from(change.position.unwrap_or(event.position)));
                seqs.push(change.seq);
            }
        }
        let sql = "INSERT INTO {s}.category (category, space, name, position, seq)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::int4[], $5::int8[])
            ON CONFLICT (category) DO NOTHING";
        let query = schema.query(sql).bind(ids).bind(spaces).bind(names);
        let query = query.bind(positions).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn update_categories(
        &self,
        connection: &mut PgConnection,
        schema: Schema,
    ) -> Result<u64, SqlError> {
        let (mut ids, mut names, mut positions, mut seqs) = (vec![], vec![], vec![], vec![]);
        for (category, change) in &self.categories {
            if change.created.is_none() && !change.removed {
                ids.push(*category);
                names.push(change.name.map(text));
                positions.push(change.position.map(i32::from));
                seqs.push(change.seq);
            }
        }
        let sql = "UPDATE {s}.category AS c SET name = COALESCE(u.name, c.name),
                position = COALESCE(u.position, c.position), seq = u.seq
            FROM unnest($1::uuid[], $2::text[], $3::int4[], $4::int8[]) AS u (category, name, position, seq)
            WHERE c.category = u.category AND c.seq < u.seq";
        let query = schema.query(sql).bind(ids).bind(names);
        let query = query.bind(positions).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn delete_categories(
        &self,
        connection: &mut PgConnection,
        schema: Schema,
    ) -> Result<u64, SqlError> {
        let removed = self.categories.iter().filter(|(_, change)| change.removed);
        let removed: Vec<Uuid> = removed.map(|(category, _)| *category).collect();
        if removed.is_empty() {
            return Ok(0);
        }
        let sql = "WITH gone AS (DELETE FROM {s}.permission_override WHERE place = ANY($1))
            DELETE FROM {s}.category WHERE category = ANY($1)";
        Ok(schema
            .query(sql)
            .bind(removed)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn delete_of_roles(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (spaces, roles): (Vec<Uuid>, Vec<Uuid>) = self.roles.iter().copied().unzip();
        let sql =
            "DELETE FROM {s}.permission_override AS o USING unnest($1::uuid[], $2::uuid[]) AS u (space, role)
            WHERE o.space = u.space AND o.whom = u.role AND o.whom_kind = 'role'";
        let query = schema.query(sql).bind(spaces).bind(roles);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn upsert(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut places, mut kinds, mut whoms, mut spaces) = (vec![], vec![], vec![], vec![]);
        let (mut allow, mut deny, mut seqs) = (vec![], vec![], vec![]);
        for ((place, kind, who), row) in &self.rows {
            if let Some(row) = row {
                places.push(*place);
                kinds.push(*kind);
                whoms.push(*who);
                spaces.push(row.space);
                allow.push(names(row.event.allow));
                deny.push(names(row.event.deny));
                seqs.push(row.seq);
            }
        }
        let sql = "INSERT INTO {s}.permission_override (place, whom_kind, whom, space, allow, deny, seq)
            SELECT u.place, u.kind, u.whom, u.space, u.allow::text[], u.deny::text[], u.seq
            FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::int8[])
                AS u (place, kind, whom, space, allow, deny, seq)
            ON CONFLICT (place, whom_kind, whom) DO UPDATE SET allow = excluded.allow, deny = excluded.deny,
                seq = excluded.seq
            WHERE {s}.permission_override.seq < excluded.seq";
        let query = schema
            .query(sql)
            .bind(places)
            .bind(kinds)
            .bind(whoms)
            .bind(spaces);
        let query = query.bind(allow).bind(deny).bind(seqs);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn delete(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut places, mut kinds, mut whoms) = (vec![], vec![], vec![]);
        for (place, kind, who) in self
            .rows
            .iter()
            .filter(|(_, row)| row.is_none())
            .map(|(key, _)| key)
        {
            places.push(*place);
            kinds.push(*kind);
            whoms.push(*who);
        }
        let sql = "DELETE FROM {s}.permission_override AS o
            USING unnest($1::uuid[], $2::text[], $3::uuid[]) AS u (place, kind, whom)
            WHERE o.place = u.place AND o.whom_kind = u.kind AND o.whom = u.whom";
        let query = schema.query(sql).bind(places).bind(kinds).bind(whoms);
        Ok(query.execute(connection).await?.rows_affected())
    }
}

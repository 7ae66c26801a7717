//! Tables `space`, `role`, `room` and `invite`.

use std::collections::BTreeMap;

use sea_orm::sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::space::{Created, History, InviteCreated, RoomCreated, RoomHistory, SpaceEvent};
use veza_events::{CategoryId, Permissions, RoleId, SpaceId};

use super::{Moment, Schema, SqlError, array_literal, text, to_micros, uuid_of, wire_name};

/// Name of the role that everybody holds, until it is given another.
const EVERYONE: &str = "everyone";

#[derive(Default)]
pub(super) struct Spaces<'a> {
    changed: BTreeMap<Uuid, SpaceChange<'a>>,
    /// By space and role; `None`: removed.
    roles: BTreeMap<(Uuid, Uuid), Option<Role<'a>>>,
    rooms: BTreeMap<Uuid, RoomChange<'a>>,
    invites: BTreeMap<Uuid, InviteChange<'a>>,
    /// Spaces on which a raid was ended, and when.
    released: BTreeMap<Uuid, OffsetDateTime>,
}

#[derive(Default)]
struct SpaceChange<'a> {
    created: Option<(&'a Created, OffsetDateTime)>,
    name: Option<&'a str>,
    history: Option<History>,
    previews: Option<bool>,
    seq: i64,
}

struct Role<'a> {
    name: &'a str,
    permissions: Permissions,
    rank: u16,
    seq: i64,
}

#[derive(Default)]
struct RoomChange<'a> {
    created: Option<(&'a RoomCreated, Uuid, OffsetDateTime)>,
    name: Option<&'a str>,
    topic: Option<&'a str>,
    /// Category and position.
    placed: Option<(Option<Uuid>, u16)>,
    slow_mode_s: Option<u32>,
    history: Option<RoomHistory>,
    archived: bool,
    seq: i64,
}

#[derive(Default)]
struct InviteChange<'a> {
    created: Option<(&'a InviteCreated, Uuid, OffsetDateTime)>,
    uses: i64,
    revoked: bool,
    seq: i64,
}

impl<'a> Spaces<'a> {
    pub(super) fn take(&mut self, space: SpaceId, moment: Moment, event: &'a SpaceEvent) {
        let Moment { seq, at } = moment;
        let id = space.uuid();
        match event {
            SpaceEvent::Created(event) => {
                let change = self.changed.entry(id).or_default();
                (change.created, change.seq) = (Some((event, at)), seq);
                let everyone = Role {
                    name: EVERYONE,
                    permissions: event.everyone,
                    rank: 0,
                    seq,
                };
                self.roles
                    .insert((id, RoleId::everyone(space).uuid()), Some(everyone));
            }
            SpaceEvent::Changed(event) => {
                let change = self.changed.entry(id).or_default();
                change.name = event.name.as_deref().or(change.name);
                change.history = event.history.or(change.history);
                change.previews = event.previews.or(change.previews);
                change.seq = seq;
            }
            SpaceEvent::RaidEnded(event) => {
                self.released.insert(id, to_micros(event.at.time()));
            }
            SpaceEvent::RoleDefined(event) => {
                let role = Role {
                    name: &event.name,
                    permissions: event.permissions,
                    rank: event.rank,
                    seq,
                };
                self.roles.insert((id, event.role.uuid()), Some(role));
            }
            SpaceEvent::RoleRemoved(event) => {
                self.roles.insert((id, event.role.uuid()), None);
            }
            SpaceEvent::RoomCreated(event) => {
                self.room(event.room.uuid(), seq).created = Some((event, id, at));
            }
            SpaceEvent::RoomChanged(event) => {
                let change = self.room(event.room.uuid(), seq);
                change.name = event.name.as_deref().or(change.name);
                change.topic = event.topic.as_deref().or(change.topic);
                change.slow_mode_s = event.slow_mode_s.or(change.slow_mode_s);
                change.history = event.history.or(change.history);
            }
            SpaceEvent::RoomPlaced(event) => {
                let category = event.category.map(CategoryId::uuid);
                self.room(event.room.uuid(), seq).placed = Some((category, event.position));
            }
            // Theirs is the next page.
            SpaceEvent::CategoryCreated(_)
            | SpaceEvent::CategoryChanged(_)
            | SpaceEvent::CategoryRemoved(_)
            | SpaceEvent::OverrideSet(_)
            | SpaceEvent::OverrideRemoved(_)
            | SpaceEvent::DirectOpened(_)
            | SpaceEvent::FiltersSet(_)
            | SpaceEvent::RaidBrakeSet(_)
            | SpaceEvent::Arrived(_)
            | SpaceEvent::RaidBegun(_)
            | SpaceEvent::DirectAdded(_)
            | SpaceEvent::WebhookCreated(_)
            | SpaceEvent::WebhookSecretChanged(_)
            | SpaceEvent::WebhookRemoved(_)
            | SpaceEvent::SlashCommandDefined(_)
            | SpaceEvent::SlashCommandRemoved(_) => {}
            SpaceEvent::RoomArchived(event) => self.room(event.room.uuid(), seq).archived = true,
            SpaceEvent::InviteCreated(event) => {
                self.invite(event.invite.uuid(), seq).created = Some((event, id, at));
            }
            SpaceEvent::InviteUsed(event) => self.invite(event.invite.uuid(), seq).uses += 1,
            SpaceEvent::InviteRevoked(event) => self.invite(event.invite.uuid(), seq).revoked = true,
        }
    }

    pub(super) async fn write(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let mut rows = 0;
        if !self.changed.is_empty() {
            rows += self.insert_spaces(connection, schema).await?;
            rows += self.update_spaces(connection, schema).await?;
        }
        if !self.released.is_empty() {
            rows += self.release(connection, schema).await?;
        }
        if !self.roles.is_empty() {
            rows += self.upsert_roles(connection, schema).await?;
            rows += self.delete_roles(connection, schema).await?;
        }
        if !self.rooms.is_empty() {
            rows += self.insert_rooms(connection, schema).await?;
            rows += self.update_rooms(connection, schema).await?;
        }
        if !self.invites.is_empty() {
            rows += self.insert_invites(connection, schema).await?;
            rows += self.update_invites(connection, schema).await?;
            rows += self.delete_invites(connection, schema).await?;
        }
        Ok(rows)
    }

    fn room(&mut self, room: Uuid, seq: i64) -> &mut RoomChange<'a> {
        let change = self.rooms.entry(room).or_default();
        change.seq = seq;
        change
    }

    fn invite(&mut self, invite: Uuid, seq: i64) -> &mut InviteChange<'a> {
        let change = self.invites.entry(invite).or_default();
        change.seq = seq;
        change
    }

    async fn insert_spaces(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut names, mut owners, mut times, mut seqs) = (vec![], vec![], vec![], vec![], vec![]);
        let (mut histories, mut previews) = (vec![], vec![]);
        for (space, change) in &self.changed {
            if let Some((event, at)) = change.created {
                ids.push(*space);
                names.push(text(change.name.unwrap_or(&event.name)));
                owners.push(uuid_of(event.owner));
                times.push(at);
                seqs.push(change.seq);
                histories.push(wire_name(&change.history.unwrap_or_default()));
                previews.push(change.previews.unwrap_or(true));
            }
        }
        let sql = "INSERT INTO {s}.space (space, name, owner, created_at, seq, history, previews)
            SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::timestamptz[], $5::int8[], $6::text[], $7::bool[])
            ON CONFLICT (space) DO NOTHING";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(names)
            .bind(owners)
            .bind(times)
            .bind(seqs)
            .bind(histories)
            .bind(previews);
        Ok(query.execute(connection).await?.rows_affected())
    }

    /// Beside what the space is: it is no change of it.
    async fn release(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (ids, times): (Vec<Uuid>, Vec<OffsetDateTime>) = self.released.iter().unzip();
        let sql = "UPDATE {s}.space AS s SET raid_released_at = u.at
            FROM unnest($1::uuid[], $2::timestamptz[]) AS u (space, at)
            WHERE s.space = u.space AND (s.raid_released_at IS NULL OR s.raid_released_at < u.at)";
        let query = schema.query(sql).bind(ids).bind(times);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn update_spaces(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut names, mut histories, mut seqs) = (vec![], vec![], vec![], vec![]);
        let mut previews = vec![];
        for (space, change) in self.changed.iter().filter(|(_, change)| change.created.is_none()) {
            ids.push(*space);
            names.push(change.name.map(text));
            histories.push(change.history.as_ref().map(wire_name));
            previews.push(change.previews);
            seqs.push(change.seq);
        }
        let sql = "UPDATE {s}.space AS s SET name = COALESCE(u.name, s.name), seq = u.seq,
                history = COALESCE(u.history, s.history), previews = COALESCE(u.previews, s.previews)
            FROM unnest($1::uuid[], $2::text[], $3::int8[], $4::text[], $5::bool[])
                AS u (space, name, seq, history, previews)
            WHERE s.space = u.space AND s.seq < u.seq";
        Ok(schema
            .query(sql)
            .bind(ids)
            .bind(names)
            .bind(seqs)
            .bind(histories)
            .bind(previews)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn upsert_roles(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut spaces, mut ids, mut names) = (vec![], vec![], vec![]);
        let (mut permissions, mut ranks, mut seqs) = (vec![], vec![], vec![]);
        for ((space, role), change) in &self.roles {
            if let Some(change) = change {
                spaces.push(*space);
                ids.push(*role);
                names.push(text(change.name));
                permissions.push(array_literal(
                    change.permissions.iter().map(|one| wire_name(&one)),
                ));
                ranks.push(i32::from(change.rank));
                seqs.push(change.seq);
            }
        }
        let sql = "INSERT INTO {s}.role (space, role, name, permissions, rank, seq)
            SELECT u.space, u.role, u.name, u.permissions::text[], u.rank, u.seq
            FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::int4[], $6::int8[])
                AS u (space, role, name, permissions, rank, seq)
            ON CONFLICT (space, role) DO UPDATE SET name = excluded.name, permissions = excluded.permissions,
                rank = excluded.rank, seq = excluded.seq
            WHERE {s}.role.seq < excluded.seq";
        let query = schema
            .query(sql)
            .bind(spaces)
            .bind(ids)
            .bind(names)
            .bind(permissions)
            .bind(ranks);
        Ok(query.bind(seqs).execute(connection).await?.rows_affected())
    }

    async fn delete_roles(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let removed = self.roles.iter().filter(|(_, change)| change.is_none());
        let (spaces, ids): (Vec<Uuid>, Vec<Uuid>) = removed.map(|(key, _)| *key).unzip();
        let sql = "DELETE FROM {s}.role AS r USING unnest($1::uuid[], $2::uuid[]) AS u (space, role)
            WHERE r.space = u.space AND r.role = u.role";
        Ok(schema
            .query(sql)
            .bind(spaces)
            .bind(ids)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn insert_rooms(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut spaces, mut names, mut topics) = (vec![], vec![], vec![], vec![]);
        let (mut kinds, mut archived, mut times, mut seqs) = (vec![], vec![], vec![], vec![]);
        let (mut categories, mut positions, mut waits) = (vec![], vec![], vec![]);
        let mut histories = vec![];
        for (room, change) in &self.rooms {
            if let Some((event, space, at)) = change.created {
                ids.push(*room);
                spaces.push(space);
                names.push(text(change.name.unwrap_or(&event.name)));
                topics.push(text(change.topic.unwrap_or_default()));
                kinds.push(wire_name(&event.kind));
                archived.push(change.archived);
                times.push(at);
                seqs.push(change.seq);
                let (category, position) = change.placed.unwrap_or_default();
                categories.push(category);
                positions.push(i32::from(position));
                waits.push(change.slow_mode_s.map_or(0, u32::cast_signed));
                histories.push(wire_name(&change.history.unwrap_or_default()));
            }
        }
        let sql = "INSERT INTO {s}.room (room, space, name, topic, kind, archived, created_at, seq, category,
                position, slow_mode_s, history)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bool[],
                $7::timestamptz[], $8::int8[], $9::uuid[], $10::int4[], $11::int4[], $12::text[])
            ON CONFLICT (room) DO NOTHING";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(spaces)
            .bind(names)
            .bind(topics)
            .bind(kinds);
        Ok(query
            .bind(archived)
            .bind(times)
            .bind(seqs)
            .bind(categories)
            .bind(positions)
            .bind(waits)
            .bind(histories)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn update_rooms(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut names, mut topics, mut archived, mut seqs) =
            (vec![], vec![], vec![], vec![], vec![]);
        let (mut categories, mut positions, mut waits) = (vec![], vec![], vec![]);
        let mut histories = vec![];
        for (room, change) in self.rooms.iter().filter(|(_, change)| change.created.is_none()) {
            ids.push(*room);
            names.push(change.name.map(text));
            topics.push(change.topic.map(text));
            archived.push(change.archived);
            seqs.push(change.seq);
            categories.push(change.placed.and_then(|(category, _)| category));
            positions.push(change.placed.map(|(_, position)| i32::from(position)));
            waits.push(change.slow_mode_s.map(u32::cast_signed));
            histories.push(change.history.as_ref().map(wire_name));
        }
        let sql =
            "UPDATE {s}.room AS r SET name = COALESCE(u.name, r.name), topic = COALESCE(u.topic, r.topic),
                archived = r.archived OR u.archived, seq = u.seq,
                category = CASE WHEN u.position IS NULL THEN r.category ELSE u.category END,
                position = COALESCE(u.position, r.position), slow_mode_s = COALESCE(u.wait, r.slow_mode_s),
                history = COALESCE(u.history, r.history)
            FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bool[], $5::int8[], $6::uuid[], $7::int4[],
                $8::int4[], $9::text[]) AS u (room, name, topic, archived, seq, category, position, wait, history)
            WHERE r.room = u.room AND r.seq < u.seq";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(names)
            .bind(topics)
            .bind(archived)
            .bind(seqs)
            .bind(categories)
            .bind(positions)
            .bind(waits)
            .bind(histories);
        Ok(query.execute(connection).await?.rows_affected())
    }

    async fn insert_invites(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut spaces, mut makers, mut most) = (vec![], vec![], vec![], vec![]);
        let (mut uses, mut ends, mut times, mut seqs) = (vec![], vec![], vec![], vec![]);
        for (invite, change) in self.invites.iter().filter(|(_, change)| !change.revoked) {
            if let Some((event, space, at)) = change.created {
                ids.push(*invite);
                spaces.push(space);
                makers.push(uuid_of(event.by));
                most.push(event.max_uses.map(i64::from));
                uses.push(change.uses);
                ends.push(event.expires_at.map(veza_events::Timestamp::time));
                times.push(at);
                seqs.push(change.seq);
            }
        }
        let sql = "INSERT INTO {s}.invite (invite, space, created_by, max_uses, uses, expires_at, created_at, seq)
            SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int8[], $5::int8[], $6::timestamptz[],
                $7::timestamptz[], $8::int8[])
            ON CONFLICT (invite) DO NOTHING";
        let query = schema
            .query(sql)
            .bind(ids)
            .bind(spaces)
            .bind(makers)
            .bind(most)
            .bind(uses);
        Ok(query
            .bind(ends)
            .bind(times)
            .bind(seqs)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn update_invites(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let (mut ids, mut uses, mut seqs) = (vec![], vec![], vec![]);
        for (invite, change) in &self.invites {
            if change.created.is_none() && !change.revoked {
                ids.push(*invite);
                uses.push(change.uses);
                seqs.push(change.seq);
            }
        }
        let sql = "UPDATE {s}.invite AS i SET uses = i.uses + u.uses, seq = u.seq
            FROM unnest($1::uuid[], $2::int8[], $3::int8[]) AS u (invite, uses, seq)
            WHERE i.invite = u.invite AND i.seq < u.seq";
        Ok(schema
            .query(sql)
            .bind(ids)
            .bind(uses)
            .bind(seqs)
            .execute(connection)
            .await?
            .rows_affected())
    }

    async fn delete_invites(&self, connection: &mut PgConnection, schema: Schema) -> Result<u64, SqlError> {
        let revoked = self.invites.iter().filter(|(_, change)| change.revoked);
        let revoked: Vec<Uuid> = revoked.map(|(invite, _)| *invite).collect();
        let sql = "DELETE FROM {s}.invite WHERE invite = ANY($1)";
        Ok(schema
            .query(sql)
            .bind(revoked)
            .execute(connection)
            .await?
            .rows_affected())
    }
}

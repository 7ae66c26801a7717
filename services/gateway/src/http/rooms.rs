//! `/v1/rooms`, and the rooms of a space.

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::Permissions;
use veza_platform::contract::chat::{ChangeRoom, CreateRoom, PlaceRoom};
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::page::Items;
use super::permissions::{self, Permission};
use super::problem::Failure;
use super::reply::{Changed, Created, Found};
use super::seen::Seen;
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::access::no_such_room;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on rooms.
pub(super) struct Rooms(pub(super) Arc<Gateway>);

/// What a room is for.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "veza_events::space::RoomKind", rename_all = "snake_case")]
enum RoomKind {
    /// Messages.
    Text,
    /// Live audio and video, with messages beside.
    Voice,
}

/// How much of a room those see who come later.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "veza_events::space::RoomHistory", rename_all = "snake_case")]
enum RoomHistory {
    /// As the space says.
    AsSpace,
    /// Everything.
    All,
    /// What was said after they came in.
    SinceJoined,
}

/// A new room.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewRoom {
    /// What it is called.
    name: String,
    /// What it is for; `text` when absent.
    kind: Option<RoomKind>,
    /// In which category; in none when absent.
    category: Option<Uuid>,
    /// `true`: seen by its maker and the owner alone, until others are let in.
    #[serde(default)]
    #[oai(default)]
    private: bool,
}

/// Where a room is to stand in the list.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct RoomPlace {
    /// In which category; in none when absent.
    category: Option<Uuid>,
    /// Lower ones stand first.
    position: u16,
}

/// A room exists.
#[derive(Object)]
struct RoomMade {
    /// The room.
    id: Uuid,
    /// Where it was written.
    seq: u64,
}

/// What is to change; absent fields stay.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct RoomChange {
    /// The new name.
    name: Option<String>,
    /// The new topic; empty for none.
    topic: Option<String>,
    /// Slow mode: how many seconds one waits between two messages, at most 21,600; 0 for none.
    slow_mode_s: Option<u32>,
    /// How much of it those see who come later. Who may `manage_messages` in it sees everything.
    history: Option<RoomHistory>,
    /// `true`: take nothing new from now on. Cannot be undone.
    #[serde(default)]
    #[oai(default)]
    archived: bool,
}

/// A room.
#[derive(Object)]
struct Room {
    /// The room.
    id: Uuid,
    /// In which space.
    space: Uuid,
    /// What it is called.
    name: String,
    /// What it is about; empty for nothing.
    topic: String,
    /// What it is for.
    kind: RoomKind,
    /// Whether it takes nothing new.
    archived: bool,
    /// When it was made.
    created_at: OffsetDateTime,
    /// Last event of its timeline; 0 before the first.
    head: u64,
    /// What the caller may do in it.
    permissions: Vec<Permission>,
    /// In which category it is listed.
    #[oai(skip_serializing_if_is_none)]
    category: Option<Uuid>,
    /// Lower ones stand first.
    position: u16,
    /// How many seconds one waits between two messages; 0 for none.
    slow_mode_s: u32,
    /// How much of it those see who come later.
    history: RoomHistory,
    /// Last change of the room itself.
    seq: u64,
}

impl Room {
    fn shown(row: rows::Room, permissions: Permissions) -> Self {
        Self {
            id: row.id.uuid(),
            space: row.space.uuid(),
            name: row.name,
            topic: row.topic,
            kind: row.kind.into(),
            archived: row.archived,
            created_at: row.created_at.time(),
            head: row.head,
            permissions: permissions::shown(permissions),
            category: row.category.map(veza_events::CategoryId::uuid),
            position: row.position,
            slow_mode_s: row.slow_mode_s,
            history: row.history.into(),
            seq: row.seq,
        }
    }
}

#[OpenApi(tag = "Chapter::Rooms")]
impl Rooms {
    /// Add a room to a space.
    #[oai(
        path = "/v1/spaces/:space/rooms",
        method = "post",
        operation_id = "create_room"
    )]
    async fn create(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        Json(body): Json<NewRoom>,
    ) -> Result<Created<RoomMade>, Failure> {
        let command = CreateRoom {
            space: (*space).into(),
            name: body.name,
            kind: body.kind.unwrap_or(RoomKind::Text).into(),
            category: body.category.map(Into::into),
            private: body.private,
        };
        let made = self
            .0
            .chat(&once.caller(&self.0, &session).await?, &command)
            .await?;
        let (id, seq) = (made.room.uuid(), made.position.seq);
        Ok(Created::written(RoomMade { id, seq }, made.position))
    }

    /// The rooms of a space that one may see.
    #[oai(path = "/v1/spaces/:space/rooms", method = "get", operation_id = "list_rooms")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
    ) -> Result<Found<Items<Room>>, Failure> {
        let access = self.0.access.joined(session.account(), (*space).into()).await?;
        let rows = self.0.read.rooms((*space).into()).await.map_err(of_read_model)?;
        let visible = rows.into_iter().filter_map(|row| {
            let (_, permissions) = access.rooms.iter().find(|(room, _)| *room == row.id)?;
            Some(Room::shown(row, *permissions))
        });
        Ok(Found::new(Items::all(visible, |room| room)))
    }

    /// One room.
    #[oai(path = "/v1/rooms/:room", method = "get", operation_id = "get_room")]
    async fn get(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        room: Path<Uuid>,
    ) -> Result<Found<Room>, Failure> {
        let room = (*room).into();
        let place = self.0.rooms.place(room).await?;
        let permissions = self
            .0
            .access
            .in_room(session.account(), place.space, place.gate)
            .await?;
        let row = self.0.read.room(room).await.map_err(of_read_model)?;
        let row = row.ok_or_else(no_such_room)?;
        let seq = row.seq;
        Ok(Found::viewed(Room::shown(row, permissions), seq))
    }

    /// Put a room somewhere else in the list.
    #[oai(path = "/v1/rooms/:room/place", method = "put", operation_id = "place_room")]
    async fn place(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        Json(body): Json<RoomPlace>,
    ) -> Result<Changed, Failure> {
        let room = (*room).into();
        let command = PlaceRoom {
            space: self.0.rooms.place(room).await?.space,
            room,
            category: body.category.map(Into::into),
            position: body.position,
        };
        once.change(&self.0, &session, &command).await
    }

    /// Change a room.
    #[oai(path = "/v1/rooms/:room", method = "patch", operation_id = "change_room")]
    async fn change(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "If-Match")] seen: Seen,
        room: Path<Uuid>,
        Json(body): Json<RoomChange>,
    ) -> Result<Changed, Failure> {
        let room = (*room).into();
        let command = ChangeRoom {
            space: self.0.rooms.place(room).await?.space,
            room,
            name: body.name,
            topic: body.topic,
            slow_mode_s: body.slow_mode_s,
            history: body.history.map(Into::into),
            archive: body.archived,
        };
        once.change_seen(&self.0, &session, seen, &command).await
    }
}

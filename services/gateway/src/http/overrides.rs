//! `/v1/rooms/{room}/overrides`, and those of a category.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use uuid::Uuid;
use veza_events::space::{Place, Whom};
use veza_events::{CategoryId, RoomId, SpaceId};
use veza_platform::contract::Problem;
use veza_platform::contract::chat::{RemoveOverride, SetOverride};
use veza_readmodel::rows;

use super::body::Json;
use super::categories::visible;
use super::fresh::Fresh;
use super::page::Items;
use super::permissions::{self, Permission};
use super::problem::Failure;
use super::reply::{Changed, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on what differs from room to room.
pub(super) struct OverridesOf(pub(super) Arc<Gateway>);

/// Of which kind the id is that an override is for.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(rename_all = "snake_case")]
enum WhomKind {
    /// A role; the id of the space for everyone's.
    Role,
    /// An account.
    Account,
}

impl WhomKind {
    fn with(self, id: Uuid) -> Whom {
        match self {
            Self::Role => Whom::Role(id.into()),
            Self::Account => Whom::Account(id.into()),
        }
    }
}

/// What is to differ.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct OverrideDefinition {
    /// Allowed here beside what roles allow.
    #[serde(default)]
    #[oai(default)]
    allow: Vec<Permission>,
    /// Denied here although roles allow it.
    #[serde(default)]
    #[oai(default)]
    deny: Vec<Permission>,
}

/// What differs for somebody.
#[derive(Object)]
struct Override {
    /// Of which kind the id is.
    kind: WhomKind,
    /// For whom: a role (the id of the space for everyone's) or an account.
    id: Uuid,
    /// Allowed here beside what roles allow.
    allow: Vec<Permission>,
    /// Denied here although roles allow it.
    deny: Vec<Permission>,
}

impl From<rows::Override> for Override {
    fn from(row: rows::Override) -> Self {
        let (kind, id) = match row.whom {
            Whom::Role(role) => (WhomKind::Role, role.uuid()),
            Whom::Account(account) => (WhomKind::Account, account.uuid()),
        };
        Self {
            kind,
            id,
            allow: permissions::shown(row.allow),
            deny: permissions::shown(row.deny),
        }
    }
}

#[OpenApi(tag = "Chapter::Rooms")]
impl OverridesOf {
    /// What differs in a room itself. While nothing does, what its category says counts.
    #[oai(
        path = "/v1/rooms/:room/overrides",
        method = "get",
        operation_id = "list_room_overrides"
    )]
    async fn in_room(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        room: Path<Uuid>,
    ) -> Result<Found<Items<Override>>, Failure> {
        let room: RoomId = (*room).into();
        let place = self.0.rooms.place(room).await?;
        let access = &self.0.access;
        let allowed = access.in_room(session.account(), place.space, room).await?;
        managing(allowed)?;
        self.list(Place::Room(room)).await
    }

    /// Allow or deny a role or an account something in a room.
    #[oai(
        path = "/v1/rooms/:room/overrides/:whom",
        method = "put",
        operation_id = "set_room_override"
    )]
    async fn set_in_room(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        whom: Path<Uuid>,
        /// Whether the id is that of a role or of an account.
        kind: Query<WhomKind>,
        Json(body): Json<OverrideDefinition>,
    ) -> Result<Changed, Failure> {
        let room: RoomId = (*room).into();
        let space = self.0.rooms.place(room).await?.space;
        self.set(&session, &once, space, Place::Room(room), kind.with(*whom), body)
            .await
    }

    /// Let a role or an account be allowed the same in a room as elsewhere.
    #[oai(
        path = "/v1/rooms/:room/overrides/:whom",
        method = "delete",
        operation_id = "remove_room_override"
    )]
    async fn remove_in_room(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        whom: Path<Uuid>,
        /// Whether the id is that of a role or of an account.
        kind: Query<WhomKind>,
    ) -> Result<Changed, Failure> {
        let room: RoomId = (*room).into();
        let space = self.0.rooms.place(room).await?.space;
        self.remove(&session, &once, space, Place::Room(room), kind.with(*whom))
            .await
    }

    /// What differs in those rooms of a category that have no overrides of their own.
    #[oai(
        path = "/v1/spaces/:space/categories/:category/overrides",
        method = "get",
        operation_id = "list_category_overrides"
    )]
    async fn in_category(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
        category: Path<Uuid>,
    ) -> Result<Found<Items<Override>>, Failure> {
        let category: CategoryId = (*category).into();
        let access = self.0.access.joined(session.account(), (*space).into()).await?;
        managing(visible(&access, category)?)?;
        self.list(Place::Category(category)).await
    }

    /// Allow or deny a role or an account something in the rooms of a category.
    #[oai(
        path = "/v1/spaces/:space/categories/:category/overrides/:whom",
        method = "put",
        operation_id = "set_category_override"
    )]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn set_in_category(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        category: Path<Uuid>,
        whom: Path<Uuid>,
        /// Whether the id is that of a role or of an account.
        kind: Query<WhomKind>,
        Json(body): Json<OverrideDefinition>,
    ) -> Result<Changed, Failure> {
        let (space, place) = ((*space).into(), Place::Category((*category).into()));
        self.set(&session, &once, space, place, kind.with(*whom), body)
            .await
    }

    /// Let a role or an account be allowed the same in the rooms of a category as elsewhere.
    #[oai(
        path = "/v1/spaces/:space/categories/:category/overrides/:whom",
        method = "delete",
        operation_id = "remove_category_override"
    )]
    async fn remove_in_category(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        category: Path<Uuid>,
        whom: Path<Uuid>,
        /// Whether the id is that of a role or of an account.
        kind: Query<WhomKind>,
    ) -> Result<Changed, Failure> {
        let (space, place) = ((*space).into(), Place::Category((*category).into()));
        self.remove(&session, &once, space, place, kind.with(*whom)).await
    }
}

impl OverridesOf {
    async fn list(&self, place: Place) -> Result<Found<Items<Override>>, Failure> {
        let rows = self.0.read.overrides(place).await.map_err(of_read_model)?;
        Ok(Found::new(Items::all(rows, Override::from)))
    }

    async fn set(
        &self,
        session: &Session,
        once: &Once,
        space: SpaceId,
        place: Place,
        whom: Whom,
        body: OverrideDefinition,
    ) -> Result<Changed, Failure> {
        let command = SetOverride {
            space,
            place,
            whom,
            allow: permissions::set(body.allow),
            deny: permissions::set(body.deny),
        };
        let done = self
            .0
            .chat(&once.caller(&self.0, session).await?, &command)
            .await?;
        Ok(Changed::at(done.position))
    }

    async fn remove(
        &self,
        session: &Session,
        once: &Once,
        space: SpaceId,
        place: Place,
        whom: Whom,
    ) -> Result<Changed, Failure> {
        let command = RemoveOverride { space, place, whom };
        let done = self
            .0
            .chat(&once.caller(&self.0, session).await?, &command)
            .await?;
        Ok(Changed::at(done.position))
    }
}

/// Only those who may change what differs learn what does.
fn managing(allowed: veza_events::Permissions) -> Result<(), Problem> {
    crate::access::requires(allowed, veza_events::Permission::ManageRoles)
}

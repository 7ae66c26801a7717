//! `/v1/notifications`: of which messages one is told.

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::Timestamp;
use veza_readmodel::Choice;

use super::body::Json;
use super::problem::Failure;
use super::reply::Found;
use super::session::Session;
use super::tags::Chapter;
use crate::choices::Scope;
use crate::state::Gateway;

/// Operations on notification levels.
pub(super) struct Notifications(pub(super) Arc<Gateway>);

/// Of which messages one is told.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(
    remote = "veza_readmodel::notice::NotificationLevel",
    rename_all = "snake_case"
)]
enum NotificationLevel {
    /// Of all.
    All,
    /// Of those that mention one.
    Mentions,
    /// Of none.
    Nothing,
}

/// A choice; it replaces the one before.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NotificationChoice {
    /// Of which messages; absent: as the space says, or of all. While one is away one is told of all only where one has
    /// chosen so, else of mentions, answers and conversations between a few.
    level: Option<NotificationLevel>,
    /// Of none until then.
    #[serde(default, with = "time::serde::rfc3339::option")]
    mute_until: Option<OffsetDateTime>,
}

/// What was chosen for a space or a room.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Chosen {
    /// The space or room.
    id: Uuid,
    /// Of which messages; absent for what holds by default.
    level: Option<NotificationLevel>,
    /// Of none until then.
    mute_until: Option<OffsetDateTime>,
}

/// All choices of an account.
#[derive(Object)]
struct AllChosen {
    /// For spaces.
    spaces: Vec<Chosen>,
    /// For rooms; these count before their space's.
    rooms: Vec<Chosen>,
}

impl Chosen {
    fn shown(id: Uuid, choice: Choice) -> Self {
        Self {
            id,
            level: choice.level.map(Into::into),
            mute_until: choice.mute_until.map(Timestamp::time),
        }
    }
}

#[OpenApi(tag = "Chapter::Accounts")]
impl Notifications {
    /// What one has chosen to be told of.
    #[oai(
        path = "/v1/notifications",
        method = "get",
        operation_id = "get_notifications"
    )]
    async fn get(&self, session: Session) -> Result<Found<AllChosen>, Failure> {
        let all = self.0.choices.of(session.account()).await?;
        let spaces = all
            .spaces
            .iter()
            .map(|(id, choice)| Chosen::shown(id.uuid(), *choice));
        let rooms = all
            .rooms
            .iter()
            .map(|(id, choice)| Chosen::shown(id.uuid(), *choice));
        Ok(Found::new(AllChosen {
            spaces: spaces.collect(),
            rooms: rooms.collect(),
        }))
    }

    /// Choose what one is told of in a space.
    #[oai(
        path = "/v1/spaces/:space/notifications",
        method = "put",
        operation_id = "choose_space_notifications"
    )]
    async fn choose_for_space(
        &self,
        session: Session,
        space: Path<Uuid>,
        Json(body): Json<NotificationChoice>,
    ) -> Result<Found<Chosen>, Failure> {
        let id = (*space).into();
        self.0.access.joined(session.account(), id).await?;
        self.choose(&session, *space, Scope::Space(id), body).await
    }

    /// Choose what one is told of in a room.
    #[oai(
        path = "/v1/rooms/:room/notifications",
        method = "put",
        operation_id = "choose_room_notifications"
    )]
    async fn choose_for_room(
        &self,
        session: Session,
        room: Path<Uuid>,
        Json(body): Json<NotificationChoice>,
    ) -> Result<Found<Chosen>, Failure> {
        let id = (*room).into();
        let place = self.0.rooms.place(id).await?;
        let space = place.space;
        self.0
            .access
            .in_room(session.account(), space, place.gate)
            .await?;
        self.choose(&session, *room, Scope::Room(space, id), body).await
    }
}

impl Notifications {
    async fn choose(
        &self,
        session: &Session,
        id: Uuid,
        scope: Scope,
        body: NotificationChoice,
    ) -> Result<Found<Chosen>, Failure> {
        let choice = Choice {
            level: body.level.map(Into::into),
            mute_until: body.mute_until.map(Into::into),
        };
        self.0.choices.choose(session.account(), scope, choice).await?;
        Ok(Found::new(Chosen::shown(id, choice)))
    }
}

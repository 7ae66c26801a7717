//! `/v1/drafts` and `/v1/rooms/{room}/draft`: what one has begun to write.

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::{MessageId, RoomId, SpaceId};
use veza_platform::contract::Problem;

use super::body::Json;
use super::page::Items;
use super::problem::Failure;
use super::reply::Found;
use super::session::Session;
use super::tags::Chapter;
use crate::drafts::{self, Words};
use crate::state::Gateway;

/// Operations on drafts.
pub(super) struct Drafts(pub(super) Arc<Gateway>);

/// What to keep.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct DraftWords {
    /// The text so far.
    body: String,
    /// Which message it is to answer.
    reply_to: Option<Uuid>,
}

/// Something begun.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Draft {
    /// For which room, or thread.
    room: Uuid,
    /// In which space.
    space: Uuid,
    /// The text so far.
    body: String,
    /// Which message it is to answer.
    reply_to: Option<Uuid>,
    /// When it was last changed.
    updated_at: OffsetDateTime,
}

/// Nothing is kept any more.
#[derive(Object)]
struct DraftForgotten {
    /// For which room.
    room: Uuid,
}

impl Draft {
    fn shown(room: RoomId, draft: drafts::Draft) -> Self {
        Self {
            room: room.uuid(),
            space: draft.space.uuid(),
            body: draft.words.body,
            reply_to: draft.words.reply_to.map(MessageId::uuid),
            updated_at: draft.updated_at.time(),
        }
    }
}

#[OpenApi(tag = "Chapter::Rooms")]
impl Drafts {
    /// What one has begun to write, in all rooms. Nobody else sees it.
    #[oai(path = "/v1/drafts", method = "get", operation_id = "list_drafts")]
    async fn list(&self, session: Session) -> Result<Found<Items<Draft>>, Failure> {
        let drafts = self.0.drafts.all(session.account()).await?;
        Ok(Found::new(Items::all(drafts, |(room, draft)| {
            Draft::shown(room, draft)
        })))
    }

    /// Keep what one has begun to write for a room that one may see, in the place of what was kept before. The account's
    /// other devices hear of it; it is kept for 90 days.
    #[oai(path = "/v1/rooms/:room/draft", method = "put", operation_id = "keep_draft")]
    async fn keep(
        &self,
        session: Session,
        room: Path<Uuid>,
        Json(body): Json<DraftWords>,
    ) -> Result<Found<Draft>, Failure> {
        let place = self.place(&session, *room).await?;
        let words = Words {
            body: body.body,
            reply_to: body.reply_to.map(Into::into),
        };
        let draft = self.0.drafts.keep(session.account(), place, words).await?;
        Ok(Found::new(Draft::shown(place.1, draft)))
    }

    /// What one has begun to write for a room that one may see.
    #[oai(path = "/v1/rooms/:room/draft", method = "get", operation_id = "get_draft")]
    async fn get(&self, session: Session, room: Path<Uuid>) -> Result<Found<Draft>, Failure> {
        let (_, room) = self.place(&session, *room).await?;
        let draft = self.0.drafts.of(session.account(), room).await?;
        Ok(Found::new(Draft::shown(room, draft)))
    }

    /// Forget what one has begun to write for a room that one may see; also when there is nothing.
    #[oai(
        path = "/v1/rooms/:room/draft",
        method = "delete",
        operation_id = "forget_draft"
    )]
    async fn forget(&self, session: Session, room: Path<Uuid>) -> Result<Found<DraftForgotten>, Failure> {
        let place = self.place(&session, *room).await?;
        self.0.drafts.forget(session.account(), place).await?;
        Ok(Found::new(DraftForgotten { room: *room }))
    }
}

impl Drafts {
    async fn place(&self, session: &Session, room: Uuid) -> Result<(SpaceId, RoomId), Problem> {
        let room = room.into();
        let place = self.0.rooms.place(room).await?;
        let access = &self.0.access;
        access.in_room(session.account(), place.space, place.gate).await?;
        Ok((place.space, room))
    }
}

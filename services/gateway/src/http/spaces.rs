//! `/v1/spaces`

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_platform::contract::chat::{ChangeSpace, CreateSpace};
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::page::{self, Items};
use super::permissions::{self, Permission};
use super::problem::Failure;
use super::reply::{Changed, Created, Found};
use super::seen::Seen;
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::access::no_such_space;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on spaces.
pub(super) struct Spaces(pub(super) Arc<Gateway>);

/// What members of a new space may do at first.
#[derive(Clone, Copy, Default, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "veza_platform::contract::chat::Preset", rename_all = "snake_case")]
enum Preset {
    /// Everyone posts and invites.
    Open,
    /// Everyone posts; leaders invite.
    #[default]
    Team,
    /// Everyone reads and reacts; leaders post.
    Announcement,
    /// Nobody sees anything without a role.
    Private,
}

/// How much of a space's rooms those see who come later.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "veza_events::space::History", rename_all = "snake_case")]
enum History {
    /// Everything.
    All,
    /// What was said after they came in.
    SinceJoined,
}

/// A new space.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewSpace {
    /// What it is called.
    name: String,
    /// What its members may do at first; `team` when absent.
    preset: Option<Preset>,
}

/// A space exists, with a first room.
#[derive(Object)]
struct SpaceMade {
    /// The space.
    id: Uuid,
    /// Its first room.
    room: Uuid,
    /// Where it was written.
    seq: u64,
}

/// What is to change; absent fields stay.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct SpaceChange {
    /// The new name.
    name: Option<String>,
    /// How much of its rooms those see who come later, where a room does not say otherwise.
    history: Option<History>,
    /// Whether pages that messages link to are shown beside them (`/v1/messages/{message}/previews`).
    previews: Option<bool>,
}

/// A space.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Space {
    /// The space.
    id: Uuid,
    /// What it is called.
    name: String,
    /// Who made it, and may do everything.
    owner: Uuid,
    /// When.
    created_at: OffsetDateTime,
    /// What the caller may do in it; only where one space is asked for.
    permissions: Option<Vec<Permission>>,
    /// How much of its rooms those see who come later, where a room does not say otherwise.
    history: History,
    /// Whether pages that messages link to are shown beside them.
    previews: bool,
    /// Last change.
    seq: u64,
}

impl From<rows::Space> for Space {
    fn from(row: rows::Space) -> Self {
        Self {
            id: row.id.uuid(),
            name: row.name,
            owner: row.owner.uuid(),
            created_at: row.created_at.time(),
            permissions: None,
            history: row.history.into(),
            previews: row.previews,
            seq: row.seq,
        }
    }
}

#[OpenApi(tag = "Chapter::Spaces")]
impl Spaces {
    /// Make a space, with a first room called `general`.
    #[oai(path = "/v1/spaces", method = "post", operation_id = "create_space")]
    async fn create(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<NewSpace>,
    ) -> Result<Created<SpaceMade>, Failure> {
        let caller = once.caller(&self.0, &session).await?;
        let command = CreateSpace {
            space: caller.command.derive(session.account().uuid(), "space"),
            name: body.name,
            preset: body.preset.unwrap_or_default().into(),
        };
        let made = self.0.chat(&caller, &command).await?;
        let (id, room, seq) = (made.space.uuid(), made.room.uuid(), made.position.seq);
        Ok(Created::written(SpaceMade { id, room, seq }, made.position))
    }

    /// The spaces one is in.
    #[oai(path = "/v1/spaces", method = "get", operation_id = "list_spaces")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        cursor: Query<Option<String>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u16>>,
    ) -> Result<Found<Items<Space>>, Failure> {
        let page = page::part(cursor.0, limit.0);
        let list = self
            .0
            .read
            .spaces_of(session.account(), &page)
            .await
            .map_err(of_read_model)?;
        Ok(Found::new(Items::part(list, |row| row.space.into())))
    }

    /// One space.
    #[oai(path = "/v1/spaces/:space", method = "get", operation_id = "get_space")]
    async fn get(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
    ) -> Result<Found<Space>, Failure> {
        let access = self.0.access.joined(session.account(), (*space).into()).await?;
        let row = self.0.read.space((*space).into()).await.map_err(of_read_model)?;
        let space = Space {
            permissions: Some(permissions::shown(access.permissions)),
            ..row.ok_or_else(no_such_space)?.into()
        };
        let seq = space.seq;
        Ok(Found::viewed(space, seq))
    }

    /// Change a space. Needs `manage_space`.
    #[oai(path = "/v1/spaces/:space", method = "patch", operation_id = "change_space")]
    async fn change(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "If-Match")] seen: Seen,
        space: Path<Uuid>,
        Json(body): Json<SpaceChange>,
    ) -> Result<Changed, Failure> {
        let command = ChangeSpace {
            space: (*space).into(),
            name: body.name,
            history: body.history.map(Into::into),
            previews: body.previews,
        };
        once.change_seen(&self.0, &session, seen, &command).await
    }
}

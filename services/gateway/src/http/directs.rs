//! `/v1/directs`

use std::collections::BTreeSet;
use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::{AccountId, SpaceId};
use veza_platform::contract::chat::{AddToDirect, OpenDirect, RemoveMember};
use veza_readmodel::rows;

use super::accounts::Profile;
use super::body::Json;
use super::fresh::Fresh;
use super::page::{self, Items};
use super::problem::Failure;
use super::reply::{Changed, Created, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on conversations between a few.
pub(super) struct Directs(pub(super) Arc<Gateway>);

/// With whom to talk.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct Talk {
    /// 1 to 9 others; oneself may be named or not.
    accounts: Vec<Uuid>,
}

/// A conversation is there.
#[derive(Object)]
struct DirectFound {
    /// The conversation; it is a space of its own.
    id: Uuid,
    /// Its one room.
    room: Uuid,
    /// Where it was written, or where it stands if it was there before.
    seq: u64,
}

/// Between two, or among more.
#[derive(Clone, Copy, Enum)]
#[oai(remote = "veza_events::space::DirectKind", rename_all = "snake_case")]
enum DirectKind {
    /// Between two.
    Direct,
    /// Among more.
    Group,
}

/// A conversation.
#[derive(Object)]
struct Direct {
    /// The conversation; it is a space of its own.
    id: Uuid,
    /// Its one room.
    room: Uuid,
    /// Between two, or among more.
    kind: DirectKind,
    /// Who is in, oneself among them.
    accounts: Vec<Profile>,
    /// Last event of its timeline; 0 before the first.
    head: u64,
    /// When it was begun.
    opened_at: OffsetDateTime,
}

impl From<rows::Direct> for Direct {
    fn from(row: rows::Direct) -> Self {
        Self {
            id: row.id.uuid(),
            room: row.room.uuid(),
            kind: row.kind.into(),
            accounts: row.accounts.into_iter().map(Profile::from).collect(),
            head: row.head,
            opened_at: row.opened_at.time(),
        }
    }
}

#[OpenApi(tag = "Chapter::Rooms")]
impl Directs {
    /// Find the conversation of these people, or begin it.
    #[oai(path = "/v1/directs", method = "post", operation_id = "open_direct")]
    async fn open(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<Talk>,
    ) -> Result<Created<DirectFound>, Failure> {
        let mut accounts: BTreeSet<AccountId> = body.accounts.into_iter().map(Into::into).collect();
        accounts.insert(session.account());
        let command = OpenDirect {
            space: SpaceId::of_direct(&accounts),
            accounts,
        };
        let found = self
            .0
            .chat(&once.caller(&self.0, &session).await?, &command)
            .await?;
        let made = DirectFound {
            id: found.space.uuid(),
            room: found.room.uuid(),
            seq: found.position.seq,
        };
        Ok(Created::written(made, found.position))
    }

    /// The conversations that one is in.
    #[oai(path = "/v1/directs", method = "get", operation_id = "list_directs")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        cursor: Query<Option<String>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u16>>,
    ) -> Result<Found<Items<Direct>>, Failure> {
        let page = page::part(cursor.0, limit.0);
        let list = self
            .0
            .read
            .directs_of(session.account(), &page)
            .await
            .map_err(of_read_model)?;
        Ok(Found::new(Items::part(list, Direct::from)))
    }

    /// Bring somebody into a group. It stays the same conversation.
    #[oai(
        path = "/v1/directs/:direct/members/:account",
        method = "put",
        operation_id = "add_to_direct"
    )]
    async fn add(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        direct: Path<Uuid>,
        account: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = AddToDirect {
            space: (*direct).into(),
            account: (*account).into(),
        };
        once.change(&self.0, &session, &command).await
    }

    /// Leave a group.
    #[oai(
        path = "/v1/directs/:direct/members/me",
        method = "delete",
        operation_id = "leave_direct"
    )]
    async fn leave(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        direct: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = RemoveMember {
            space: (*direct).into(),
            account: session.account(),
            reason: None,
        };
        once.change(&self.0, &session, &command).await
    }
}

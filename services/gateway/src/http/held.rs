//! `/v1/held`: messages that a rule of their space holds back until a moderator has seen them.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::MessageId;
use veza_platform::contract::chat::DecideHeld;
use veza_readmodel::rows;

use super::fresh::Fresh;
use super::page::{self, Items};
use super::problem::Failure;
use super::reply::{Changed, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on messages that are held back.
pub(super) struct HeldMessages(pub(super) Arc<Gateway>);

/// A message that waits for a moderator. Only they and its author see it.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct HeldMessage {
    /// The message; it keeps this id when it is approved.
    id: Uuid,
    /// In which space.
    space: Uuid,
    /// In which room, or thread.
    room: Uuid,
    /// Who wrote it.
    author: Uuid,
    /// The author's handle; absent for an erased account.
    author_handle: Option<String>,
    /// What it says.
    body: Option<String>,
    /// The name that a webhook went by.
    shown_as: Option<String>,
    /// Which message it answers.
    reply_to: Option<Uuid>,
    /// What the rule is called that holds it back.
    rule: String,
    /// When it was written.
    held_at: OffsetDateTime,
    /// Where that stands in the log.
    seq: u64,
}

impl From<rows::HeldMessage> for HeldMessage {
    fn from(row: rows::HeldMessage) -> Self {
        Self {
            id: row.id.uuid(),
            space: row.space.uuid(),
            room: row.room.uuid(),
            author: row.author.uuid(),
            author_handle: row.author_handle,
            body: row.body,
            shown_as: row.shown_as,
            reply_to: row.reply_to.map(MessageId::uuid),
            rule: row.rule,
            held_at: row.held_at.time(),
            seq: row.seq,
        }
    }
}

#[OpenApi(tag = "Chapter::Moderation")]
impl HeldMessages {
    /// What one has said that waits for a moderator, oldest first.
    #[oai(path = "/v1/held", method = "get", operation_id = "list_own_held")]
    async fn own(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        /// `next` of the part before.
        cursor: Query<Option<String>>,
        /// At most so many; 50 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u16>>,
    ) -> Result<Found<Items<HeldMessage>>, Failure> {
        let page = page::part(cursor.0, limit.0);
        let list = self.0.read.held_of(session.account(), &page).await;
        Ok(Found::new(Items::part(
            list.map_err(of_read_model)?,
            HeldMessage::from,
        )))
    }

    /// What waits in a space, oldest first, as far as the caller may `manage_messages` there.
    #[oai(path = "/v1/spaces/:space/held", method = "get", operation_id = "list_held")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
        /// `next` of the part before.
        cursor: Query<Option<String>>,
        /// At most so many; 50 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u16>>,
    ) -> Result<Found<Items<HeldMessage>>, Failure> {
        let gates = self.0.access.managed(session.account(), (*space).into()).await?;
        let list = self.0.read.held_in(&gates, &page::part(cursor.0, limit.0)).await;
        Ok(Found::new(Items::part(
            list.map_err(of_read_model)?,
            HeldMessage::from,
        )))
    }

    /// Let a message be said that waits. It enters the timeline now. Needs `manage_messages` in its room.
    #[oai(
        path = "/v1/spaces/:space/held/:held/approval",
        method = "post",
        operation_id = "approve_held"
    )]
    async fn approve(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        held: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        self.decide(&session, &once, (*space, *held), true).await
    }

    /// Decide that a message that waits is not to be said. Needs `manage_messages` in its room.
    #[oai(
        path = "/v1/spaces/:space/held/:held/rejection",
        method = "post",
        operation_id = "reject_held"
    )]
    async fn reject(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        held: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        self.decide(&session, &once, (*space, *held), false).await
    }
}

impl HeldMessages {
    async fn decide(
        &self,
        session: &Session,
        once: &Once,
        (space, message): (Uuid, Uuid),
        approve: bool,
    ) -> Result<Changed, Failure> {
        let command = DecideHeld {
            space: space.into(),
            message: message.into(),
            approve,
        };
        once.change(&self.0, session, &command).await
    }
}

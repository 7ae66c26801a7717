//! `/v1/scheduled` and `/v1/rooms/{room}/scheduled`: what one wants to say later.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::MessageId;
use veza_events::room::Mentions;
use veza_platform::contract::chat::ScheduleMessage;
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::page::{self, Items};
use super::problem::Failure;
use super::reply::{Changed, Created, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on messages that wait for their time.
pub(super) struct ScheduledMessages(pub(super) Arc<Gateway>);

/// Something to say later.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewScheduled {
    /// What.
    body: String,
    /// When, within the next year.
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    /// Which message it answers.
    reply_to: Option<Uuid>,
    /// `UUIDv7` of one's own making; the same id stores once. In place of an `Idempotency-Key`.
    command_id: Option<Uuid>,
}

/// What is to be another.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct ScheduledChange {
    /// The whole new text.
    body: Option<String>,
    /// The new time; one that was refused is tried again then.
    #[serde(default, with = "time::serde::rfc3339::option")]
    at: Option<OffsetDateTime>,
}

/// A message waits for its time.
#[derive(Object)]
struct MessageScheduled {
    /// Which one; the message gets an id of its own.
    id: Uuid,
    /// Where it was written.
    seq: u64,
}

/// A message that waits for its time, or was not allowed when it came.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Scheduled {
    /// Which one.
    id: Uuid,
    /// In which space.
    space: Uuid,
    /// In which room, or thread.
    room: Uuid,
    /// What it says.
    body: Option<String>,
    /// Which message it answers.
    reply_to: Option<Uuid>,
    /// When it is to be said.
    at: OffsetDateTime,
    /// When it was written.
    created_at: OffsetDateTime,
    /// Code of the refusal, if its time came and it was not allowed: give it another time, or delete it.
    refused: Option<String>,
    /// Last change.
    seq: u64,
}

impl From<rows::Scheduled> for Scheduled {
    fn from(row: rows::Scheduled) -> Self {
        Self {
            id: row.id.uuid(),
            space: row.space.uuid(),
            room: row.room.uuid(),
            body: row.body,
            reply_to: row.reply_to.map(MessageId::uuid),
            at: row.at.time(),
            created_at: row.created_at.time(),
            refused: row.refused,
            seq: row.seq,
        }
    }
}

#[OpenApi(tag = "Chapter::Rooms")]
impl ScheduledMessages {
    /// Say something in a room later. Needs `post` there, now and when its time comes.
    ///
    /// If it is not allowed then, the author's devices are told (`schedule.message_refused.v1`), and it stays in the list.
    #[oai(
        path = "/v1/rooms/:room/scheduled",
        method = "post",
        operation_id = "schedule_message"
    )]
    async fn add(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        Json(body): Json<NewScheduled>,
    ) -> Result<Created<MessageScheduled>, Failure> {
        let room = (*room).into();
        let command = ScheduleMessage {
            space: self.0.rooms.place(room).await?.space,
            room,
            mentions: Mentions::default(),
            body: body.body,
            reply_to: body.reply_to.map(Into::into),
            at: body.at.into(),
        };
        let caller = once.caller_as(&self.0, &session, body.command_id).await?;
        let done = self.0.schedule(&caller, command).await?;
        let (id, seq) = (done.scheduled.uuid(), done.position.seq);
        Ok(Created::written(MessageScheduled { id, seq }, done.position))
    }

    /// What one wants to say later, soonest first. Nobody else sees it.
    #[oai(path = "/v1/scheduled", method = "get", operation_id = "list_scheduled")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        /// Only in this room.
        room: Query<Option<Uuid>>,
        /// `next` of the part before.
        cursor: Query<Option<String>>,
        /// At most so many; 50 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u16>>,
    ) -> Result<Found<Items<Scheduled>>, Failure> {
        let page = page::part(cursor.0, limit.0);
        let room = room.0.map(Into::into);
        let list = self.0.read.scheduled(session.account(), room, &page).await;
        Ok(Found::new(Items::part(
            list.map_err(of_read_model)?,
            Scheduled::from,
        )))
    }

    /// Say something else, or at another time. Only its author can; absent fields stay.
    #[oai(
        path = "/v1/scheduled/:scheduled",
        method = "patch",
        operation_id = "change_scheduled"
    )]
    async fn change(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        scheduled: Path<Uuid>,
        Json(change): Json<ScheduledChange>,
    ) -> Result<Changed, Failure> {
        let (author, id) = (session.account(), (*scheduled).into());
        let command = self
            .0
            .scheduled_change(author, id, change.body, change.at)
            .await?;
        once.change(&self.0, &session, &command).await
    }

    /// Do not say it. Only its author can.
    #[oai(
        path = "/v1/scheduled/:scheduled",
        method = "delete",
        operation_id = "cancel_scheduled"
    )]
    async fn cancel(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        scheduled: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let author = session.account();
        let command = self.0.scheduled_cancel(author, (*scheduled).into()).await?;
        once.change(&self.0, &session, &command).await
    }
}

//! `/v1/rooms/{room}/messages`

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use uuid::Uuid;
use veza_events::room::Mentions;
use veza_platform::contract::chat::Post;
use veza_platform::event_log::{Position, StreamName};
use veza_readmodel::{Range, with_one_more};

use super::body::Json;
use super::fresh::Fresh;
use super::message_rows::{Format, Message, formatted, shown};
use super::page::DEFAULT_LIMIT;
use super::problem::Failure;
use super::reply::{Created, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on messages.
pub(super) struct Messages(pub(super) Arc<Gateway>);

/// Something to say.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewMessage {
    /// What.
    body: String,
    /// `UUIDv7` of one's own making; the same id stores once. In place of an `Idempotency-Key`.
    command_id: Option<Uuid>,
    /// Which message it answers.
    reply_to: Option<Uuid>,
    /// Files that were uploaded for this room; with some, the body may be empty.
    #[serde(default)]
    #[oai(default)]
    attachments: Vec<Uuid>,
}

/// A message is stored.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct MessagePosted {
    /// The message.
    id: Uuid,
    /// Where it stands in the timeline, or in the log while it is held.
    seq: u64,
    /// `true`: a rule of the space holds it back; it is in the timeline once a moderator has let it (`/v1/held`).
    held: Option<bool>,
}

/// A stretch of a timeline.
#[derive(Object)]
struct Timeline {
    /// In ascending order of sequence.
    items: Vec<Message>,
    /// Whether there are more: newer ones with `after`, older ones otherwise.
    more: bool,
    /// Last event of the whole timeline: where a WebSocket goes on from.
    head: u64,
    /// The position that the answer is based on, at least: `<stream>/<sequence>`.
    as_of: String,
}

#[OpenApi(tag = "Chapter::Rooms")]
impl Messages {
    /// Say something in a room.
    #[oai(
        path = "/v1/rooms/:room/messages",
        method = "post",
        operation_id = "post_message"
    )]
    async fn post(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        Json(body): Json<NewMessage>,
    ) -> Result<Created<MessagePosted>, Failure> {
        let room = (*room).into();
        let command = Post {
            space: self.0.rooms.place(room).await?.space,
            room,
            body: body.body,
            reply_to: body.reply_to.map(Into::into),
            attachments: body.attachments.into_iter().map(Into::into).collect(),
            mentions: Mentions::default(),
        };
        let caller = once.caller_as(&self.0, &session, body.command_id).await?;
        let posted = self.0.say(&caller, command).await?;
        let (id, seq) = (posted.message.uuid(), posted.position.seq);
        let held = posted.held.then_some(true);
        Ok(Created::written(MessagePosted { id, seq, held }, posted.position))
    }

    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the address")]
    /// What was said in a room: the newest messages, or those before or after a sequence.
    #[oai(
        path = "/v1/rooms/:room/messages",
        method = "get",
        operation_id = "list_messages"
    )]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] fresh: Fresh,
        room: Path<Uuid>,
        /// Only messages with a smaller sequence, newest of them.
        before: Query<Option<u64>>,
        /// Only messages with a greater sequence, oldest of them.
        after: Query<Option<u64>>,
        /// At most so many; 50 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u16>>,
        /// In which form texts are wanted beside their Markdown.
        format: Query<Option<Format>>,
    ) -> Result<Found<Timeline>, Failure> {
        let (room, range) = ((*room).into(), range(before.0, after.0)?);
        let place = self.0.rooms.place(room).await?;
        let hidden = self
            .0
            .access
            .hidden_in_room(session.account(), place.space, place.gate)
            .await?;
        let range = range.behind(hidden);
        let (stream, limit) = (StreamName::spaces(place.shard), limit.unwrap_or(DEFAULT_LIMIT));
        let at_least = fresh.seq_in(stream.as_str());
        let found = self
            .0
            .read
            .timeline(place.space, room, range, with_one_more(limit, hidden), at_least)
            .await;
        let found = found.map_err(of_read_model)?.behind(hidden, range, limit);
        let mut items = shown(&self.0, session.account(), found.messages).await?;
        formatted(&self.0, place.space, format.0, &mut items).await;
        let as_of = Position {
            stream,
            seq: found.as_of,
        };
        Ok(Found::new(Timeline {
            items,
            more: found.more,
            head: found.head,
            as_of: as_of.to_string(),
        }))
    }
}

fn range(before: Option<u64>, after: Option<u64>) -> Result<Range, Failure> {
    match (before, after) {
        (None, None) => Ok(Range::Latest),
        (Some(seq), None) => Ok(Range::Before(seq)),
        (None, Some(seq)) => Ok(Range::After(seq)),
        (Some(_), Some(_)) => {
            let detail = "`before` and `after` do not go together";
            Err(Failure::unreadable("request.parameter", "after", detail))
        }
    }
}

//! `/v1/messages/{message}`: what can be done about a message that is there.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::room::Mentions;
use veza_platform::contract::chat::MessageChange;
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::message_rows::{Format, Message, formatted, shown};
use super::page::{Items, part};
use super::problem::Failure;
use super::reply::{Changed, Created, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::changes::About;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on one message.
pub(super) struct OneMessage(pub(super) Arc<Gateway>);

/// Another text.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct MessageEdit {
    /// The whole new text.
    body: String,
    /// `UUIDv7` of one's own making; the same id changes once. In place of an `Idempotency-Key`.
    command_id: Option<Uuid>,
}

/// Messages to take back.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct MessagesToDelete {
    /// 1 to 100 messages of the room.
    messages: Vec<Uuid>,
}

/// A message and where it is.
#[derive(Object)]
struct PlacedMessage {
    /// In which space.
    space: Uuid,
    /// In which room, or thread.
    room: Uuid,
    /// The message.
    message: Message,
}

/// One of the texts that a message had.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct MessageText {
    /// The event that gave it.
    seq: u64,
    /// What it said; absent once the author's account is erased.
    body: Option<String>,
    /// Since when.
    written_at: OffsetDateTime,
}

/// Somebody who reacted.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Reactor {
    /// Who.
    account: Uuid,
    /// The name others call it by.
    handle: Option<String>,
    /// The name shown.
    display_name: Option<String>,
}

/// A thread is there.
#[derive(Object)]
struct ThreadOpened {
    /// Its timeline: to be read, watched and written to as any room.
    room: Uuid,
    /// Its last event.
    seq: u64,
}

impl From<rows::MessageText> for MessageText {
    fn from(row: rows::MessageText) -> Self {
        Self {
            seq: row.seq,
            body: row.body,
            written_at: row.written_at.time(),
        }
    }
}

impl From<rows::Reactor> for Reactor {
    fn from(row: rows::Reactor) -> Self {
        Self {
            account: row.account.uuid(),
            handle: row.handle,
            display_name: row.display_name,
        }
    }
}

impl OneMessage {
    async fn change(
        &self,
        session: &Session,
        once: &Once,
        command: Option<Uuid>,
        message: Uuid,
        change: MessageChange,
    ) -> Result<Changed, Failure> {
        let caller = once.caller_as(&self.0, session, command).await?;
        let about = About {
            message: message.into(),
            seen_at: None,
        };
        let stored = self.0.change_message(&caller, about, change).await?;
        Ok(Changed::at(stored.position))
    }
}

#[OpenApi(tag = "Chapter::Rooms")]
impl OneMessage {
    /// One message, wherever it is.
    #[oai(path = "/v1/messages/:message", method = "get", operation_id = "get_message")]
    async fn get(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
        /// In which form its text is wanted beside its Markdown.
        format: Query<Option<Format>>,
    ) -> Result<Found<PlacedMessage>, Failure> {
        let rows::PlacedMessage {
            space, room, message, ..
        } = self.0.message(session.account(), (*message).into()).await?;
        let mut shown = shown(&self.0, session.account(), vec![message]).await?;
        formatted(&self.0, space, format.0, &mut shown).await;
        let message = shown.into_iter().next().expect("one row is shown as one message");
        Ok(Found::new(PlacedMessage {
            space: space.uuid(),
            room: room.uuid(),
            message,
        }))
    }

    /// Give a message of one's own another text. What was said before can still be read at `/edits`.
    #[oai(
        path = "/v1/messages/:message",
        method = "patch",
        operation_id = "edit_message"
    )]
    async fn edit(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
        Json(edit): Json<MessageEdit>,
    ) -> Result<Changed, Failure> {
        let change = MessageChange::Edit {
            body: edit.body,
            mentions: Mentions::default(),
        };
        self.change(&session, &once, edit.command_id, *message, change)
            .await
    }

    /// Take a message back, for good: one's own, or by right that of somebody else.
    #[oai(
        path = "/v1/messages/:message",
        method = "delete",
        operation_id = "delete_message"
    )]
    async fn delete(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        self.change(&session, &once, None, *message, MessageChange::Delete)
            .await
    }

    /// Take many messages of a room back at once, for good: all of them, or none. Those that are gone already, or in
    /// another room, are passed over. Needs `manage_messages` in the room.
    #[oai(
        path = "/v1/rooms/:room/messages/delete",
        method = "post",
        operation_id = "delete_messages"
    )]
    async fn delete_many(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        room: Path<Uuid>,
        Json(body): Json<MessagesToDelete>,
    ) -> Result<Changed, Failure> {
        let caller = once.caller(&self.0, &session).await?;
        let messages: Vec<_> = body.messages.into_iter().map(Into::into).collect();
        let done = self.0.delete_messages(&caller, (*room).into(), &messages).await?;
        Ok(Changed::at(done))
    }

    /// All texts that a message had, oldest first; none if it was never edited.
    #[oai(
        path = "/v1/messages/:message/edits",
        method = "get",
        operation_id = "list_message_edits"
    )]
    async fn edits(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
        /// `next` of the part before.
        cursor: Query<Option<String>>,
        /// At most so many; 50 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u16>>,
    ) -> Result<Found<Items<MessageText>>, Failure> {
        let message = (*message).into();
        self.0.message(session.account(), message).await?;
        let texts = self.0.read.texts(message, &part(cursor.0, limit.0)).await;
        Ok(Found::new(Items::part(
            texts.map_err(of_read_model)?,
            MessageText::from,
        )))
    }

    /// React to a message. Once is as good as twice.
    #[oai(
        path = "/v1/messages/:message/reactions/:emoji",
        method = "put",
        operation_id = "add_reaction"
    )]
    async fn react(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
        /// One emoji, or the `:name:` of a custom one.
        emoji: Path<String>,
    ) -> Result<Changed, Failure> {
        let change = MessageChange::React { emoji: emoji.0 };
        self.change(&session, &once, None, *message, change).await
    }

    /// Take one's own reaction back.
    #[oai(
        path = "/v1/messages/:message/reactions/:emoji",
        method = "delete",
        operation_id = "remove_reaction"
    )]
    async fn unreact(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
        /// Which reaction.
        emoji: Path<String>,
    ) -> Result<Changed, Failure> {
        let change = MessageChange::Unreact { emoji: emoji.0 };
        self.change(&session, &once, None, *message, change).await
    }

    /// Who reacted to a message by one emoji.
    #[oai(
        path = "/v1/messages/:message/reactions/:emoji",
        method = "get",
        operation_id = "list_reactions"
    )]
    async fn reactors(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
        /// Which reaction.
        emoji: Path<String>,
        /// `next` of the part before.
        cursor: Query<Option<String>>,
        /// At most so many; 50 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u16>>,
    ) -> Result<Found<Items<Reactor>>, Failure> {
        let message = (*message).into();
        self.0.message(session.account(), message).await?;
        let page = part(cursor.0, limit.0);
        let reactors = self.0.read.reactors(message, &emoji, &page).await;
        Ok(Found::new(Items::part(
            reactors.map_err(of_read_model)?,
            Reactor::from,
        )))
    }

    /// Pin a message in its room.
    #[oai(
        path = "/v1/messages/:message/pin",
        method = "put",
        operation_id = "pin_message"
    )]
    async fn pin(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        self.change(&session, &once, None, *message, MessageChange::Pin)
            .await
    }

    /// Pin a message no more.
    #[oai(
        path = "/v1/messages/:message/pin",
        method = "delete",
        operation_id = "unpin_message"
    )]
    async fn unpin(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        self.change(&session, &once, None, *message, MessageChange::Unpin)
            .await
    }

    /// The pinned messages of a room, newest pin first.
    #[oai(path = "/v1/rooms/:room/pins", method = "get", operation_id = "list_pins")]
    async fn pins(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        room: Path<Uuid>,
        /// `next` of the part before.
        cursor: Query<Option<String>>,
        /// At most so many; 50 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u16>>,
        /// In which form texts are wanted beside their Markdown.
        format: Query<Option<Format>>,
    ) -> Result<Found<Items<Message>>, Failure> {
        let room = (*room).into();
        let place = self.0.rooms.place(room).await?;
        let account = session.account();
        let hidden = self
            .0
            .access
            .hidden_in_room(account, place.space, place.gate)
            .await?;
        let pins = self.0.read.pins(room, hidden, &part(cursor.0, limit.0)).await;
        let pins = pins.map_err(of_read_model)?;
        let mut items = shown(&self.0, account, pins.items).await?;
        formatted(&self.0, place.space, format.0, &mut items).await;
        let list = veza_readmodel::List {
            items,
            next: pins.next,
        };
        Ok(Found::new(Items::part(list, |message| message)))
    }

    /// Open the thread about a message, or find the one there is. It is a timeline of its own, as open as the
    /// room.
    #[oai(
        path = "/v1/messages/:message/thread",
        method = "post",
        operation_id = "open_thread"
    )]
    async fn thread(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
    ) -> Result<Created<ThreadOpened>, Failure> {
        let caller = once.caller(&self.0, &session).await?;
        let opened = self.0.open_thread(&caller, (*message).into()).await?;
        let (room, seq) = (opened.room.uuid(), opened.position.seq);
        Ok(Created::written(ThreadOpened { room, seq }, opened.position))
    }
}

//! What is done about messages that are there: finds the message, and gives the command.

use veza_events::{AccountId, MessageId, RoomId};
use veza_platform::contract::chat::{
    ChangeMessage, MessageChange, OpenThread, Posted, RoomCreated, SeenMessage,
};
use veza_platform::contract::{Caller, Problem, ProblemKind};
use veza_readmodel::ReadError;
use veza_readmodel::rows::PlacedMessage;

use crate::problems;
use crate::state::Gateway;

/// A message, and where it stands as far as a client has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Which one.
    pub message: MessageId,
    /// The room and the sequence at which the client saw it. Makes do while the read model is behind or away; the
    /// worker looks in the log whether it is so.
    pub seen_at: Option<(RoomId, u64)>,
}

impl Gateway {
    /// A message, for those who may read its room.
    ///
    /// # Errors
    /// `message.not_found`; `platform.unavailable`.
    pub(crate) async fn message(
        &self,
        account: AccountId,
        message: MessageId,
    ) -> Result<PlacedMessage, Problem> {
        let found = self.read.message(message).await;
        self.readable(account, found).await
    }

    async fn readable(
        &self,
        account: AccountId,
        found: Result<Option<PlacedMessage>, ReadError>,
    ) -> Result<PlacedMessage, Problem> {
        let placed = found
            .map_err(problems::of_read_model)?
            .ok_or_else(no_such_message)?;
        let hidden = self
            .access
            .hidden_in_room(account, placed.space, placed.gate)
            .await;
        match hidden {
            Ok(hidden) if placed.message.seq > hidden => Ok(placed),
            Ok(_) => Err(no_such_message()),
            Err(problem) if problem.kind == ProblemKind::NotFound => Err(no_such_message()),
            Err(problem) => Err(problem),
        }
    }

    /// Does something about a message.
    ///
    /// # Errors
    /// `message.not_found`, the worker's refusal, `platform.unavailable`.
    pub(crate) async fn change_message(
        &self,
        caller: &Caller,
        about: About,
        change: MessageChange,
    ) -> Result<Posted, Problem> {
        let (message, author) = (about.message, caller.account()?);
        let found = self.read.message(message).await;
        let command = match (found, about.seen_at) {
            (Ok(None) | Err(ReadError::Unavailable { .. }), Some((room, posted))) => ChangeMessage {
                space: self.rooms.place(room).await?.space,
                room,
                message,
                posted,
                change: self.with_mentions(author, room, change).await,
                seen: SeenMessage::default(),
            },
            (found, _) => {
                let placed = self.readable(author, found).await?;
                let change = self.with_mentions(author, placed.room, change).await;
                self.known_change(placed, change).await?
            }
        };
        self.chat(caller, &command).await
    }

    async fn known_change(
        &self,
        placed: PlacedMessage,
        change: MessageChange,
    ) -> Result<ChangeMessage, Problem> {
        let PlacedMessage {
            space,
            room,
            message: row,
            ..
        } = placed;
        let pins = match change {
            MessageChange::Pin => self.read.count_pins(room, row.id).await,
            MessageChange::Edit { .. }
            | MessageChange::Delete
            | MessageChange::React { .. }
            | MessageChange::Unreact { .. }
            | MessageChange::Unpin => Ok(0),
        };
        let reactions = row.reactions.into_iter().map(|reaction| reaction.emoji);
        Ok(ChangeMessage {
            space,
            room,
            message: row.id,
            posted: row.seq,
            change,
            seen: SeenMessage {
                deleted: row.deleted_at.is_some(),
                reactions: reactions.collect(),
                pins: pins.map_err(problems::of_read_model)?,
            },
        })
    }

    /// Opens the thread about a message, or finds it.
    ///
    /// # Errors
    /// As [`Self::change_message`].
    pub(crate) async fn open_thread(
        &self,
        caller: &Caller,
        message: MessageId,
    ) -> Result<RoomCreated, Problem> {
        let placed = self.message(caller.account()?, message).await?;
        if placed.message.deleted_at.is_some() && placed.message.thread.is_none() {
            return Err(Problem::new(
                ProblemKind::Gone,
                "message.deleted",
                "the message was deleted",
            ));
        }
        let command = OpenThread {
            space: placed.space,
            room: placed.room,
            message,
            posted: placed.message.seq,
        };
        self.chat(caller, &command).await
    }
}

/// The one answer for messages that are not there and messages that the caller may not know of.
fn no_such_message() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "message.not_found",
        "there is no such message, or not for you; if it has just been posted, pass its `Veza-Seq` as `Veza-Min-Seq`",
    )
}

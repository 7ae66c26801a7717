//! Facts about one message that a rule of its space holds back until a moderator has seen it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, MessageId, RoomId, Sealed, SpaceId, catalogue::events, room::Mentions};

events! {
    /// What can happen to a message that is held back.
    pub enum HeldEvent {
        "held.message_held.v1" => MessageHeld seals [body, mentions, shown_as],
        "held.message_approved.v1" => MessageApproved,
        "held.message_rejected.v1" => MessageRejected,
    }
}

/// Somebody said something that a rule wants a moderator to see first. Nobody else sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageHeld {
    /// The message that it will be.
    pub message: MessageId,
    /// In which space.
    pub space: SpaceId,
    /// In which room, or thread.
    pub room: RoomId,
    /// The room that a thread hangs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RoomId>,
    /// Who wrote it.
    pub author: AccountId,
    /// What it says.
    pub body: Sealed<String>,
    /// Which message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<MessageId>,
    /// Of whom and what it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentions: Option<Sealed<Mentions>>,
    /// The name that a webhook went by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown_as: Option<Sealed<String>>,
    /// What the rule is called.
    pub rule: String,
}

impl MessageHeld {
    /// The room whose rights count.
    pub fn gate(&self) -> RoomId {
        self.parent.unwrap_or(self.room)
    }
}

/// A moderator let it be said. Stored in one batch with the message in the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageApproved {
    /// Which one.
    pub message: MessageId,
    /// In which space.
    pub space: SpaceId,
    /// In which room, or thread.
    pub room: RoomId,
    /// Who wrote it.
    pub author: AccountId,
    /// Who let it be said.
    pub by: AccountId,
}

/// A moderator decided that it is not to be said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageRejected {
    /// Which one.
    pub message: MessageId,
    /// In which space.
    pub space: SpaceId,
    /// In which room, or thread.
    pub room: RoomId,
    /// Who wrote it.
    pub author: AccountId,
    /// Who decided.
    pub by: AccountId,
}

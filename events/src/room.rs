//! Facts in the timeline of one room, in one exact order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, MessageId, RoomId, Sealed, SpaceId, attachment::Attachment, catalogue::events};

events! {
    /// What can happen in a timeline.
    pub enum RoomEvent {
        "room.opened.v1" => Opened,
        "room.message_posted.v1" => MessagePosted seals [body, attachments],
    }
}

impl RoomEvent {
    /// The space that the room belongs to: every event of a timeline names it, so that the last one is
    /// enough to know where a room is.
    pub fn space(&self) -> SpaceId {
        match self {
            Self::Opened(event) => event.space,
            Self::MessagePosted(event) => event.space,
        }
    }

    /// The room.
    pub fn room(&self) -> RoomId {
        match self {
            Self::Opened(event) => event.room,
            Self::MessagePosted(event) => event.room,
        }
    }
}

/// The timeline begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Opened {
    /// In which space.
    pub space: SpaceId,
    /// The room.
    pub room: RoomId,
}

/// A message entered the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessagePosted {
    /// In which space.
    pub space: SpaceId,
    /// In which room.
    pub room: RoomId,
    /// The new message.
    pub message: MessageId,
    /// Who wrote it.
    pub author: AccountId,
    /// What it says.
    pub body: Sealed<String>,
    /// Which message it answers.
    pub reply_to: Option<MessageId>,
    /// Files that come with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
}

//! Messages that wait for their time.

use serde::{Deserialize, Serialize};
use veza_events::{MessageId, RoomId, ScheduledId, SpaceId, Timestamp, room::Mentions};

use crate::event_log::Position;

/// Say something later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScheduleMessage {
    /// Where the room is.
    pub space: SpaceId,
    /// In which room.
    pub room: RoomId,
    /// What.
    pub body: String,
    /// Which message it answers.
    #[serde(default)]
    pub reply_to: Option<MessageId>,
    /// Of whom and what it speaks, as the door found it in the body.
    #[serde(default, skip_serializing_if = "Mentions::is_empty")]
    pub mentions: Mentions,
    /// When.
    pub at: Timestamp,
}

/// A message waits for its time.
#[derive(Debug, Serialize, Deserialize)]
pub struct MessageScheduled {
    /// Which one.
    pub scheduled: ScheduledId,
    /// Where it was written.
    pub position: Position,
}

/// Say something else, or at another time; absent fields stay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeScheduled {
    /// Where the room is.
    pub space: SpaceId,
    /// Which one.
    pub scheduled: ScheduledId,
    /// The whole new text.
    #[serde(default)]
    pub body: Option<String>,
    /// Of whom and what it speaks, as the door found it in the new body.
    #[serde(default, skip_serializing_if = "Mentions::is_empty")]
    pub mentions: Mentions,
    /// The new time.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// Do not say it.
#[derive(Debug, Serialize, Deserialize)]
pub struct CancelScheduled {
    /// Where the room is.
    pub space: SpaceId,
    /// Which one.
    pub scheduled: ScheduledId,
}

/// Its time came, and it must not be said: of a worker to itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct RefuseScheduled {
    /// Where the room is.
    pub space: SpaceId,
    /// Which one.
    pub scheduled: ScheduledId,
    /// Why.
    pub code: String,
}

//! Rooms and threads.

use serde::{Deserialize, Serialize};
use veza_events::{
    CategoryId, MessageId, RoomId, SpaceId,
    space::{RoomHistory, RoomKind},
};

use crate::event_log::Position;

/// Add a room.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreateRoom {
    /// Where.
    pub space: SpaceId,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub kind: RoomKind,
    /// In which category; in none when absent.
    #[serde(default)]
    pub category: Option<CategoryId>,
    /// Seen by who makes it alone, at first.
    #[serde(default)]
    pub private: bool,
}

/// A room exists.
#[derive(Debug, Serialize, Deserialize)]
pub struct RoomCreated {
    /// The room.
    pub room: RoomId,
    /// Where it was written.
    pub position: Position,
}

/// Change a room; absent fields stay.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeRoom {
    /// Where.
    pub space: SpaceId,
    /// Which one.
    pub room: RoomId,
    /// The new name.
    pub name: Option<String>,
    /// The new topic.
    pub topic: Option<String>,
    /// Seconds that one waits between two messages; 0 for none.
    #[serde(default)]
    pub slow_mode_s: Option<u32>,
    /// How much of it those see who come later.
    #[serde(default)]
    pub history: Option<RoomHistory>,
    /// Take nothing new from now on. Cannot be undone.
    pub archive: bool,
}

/// Put a room somewhere else in the list.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlaceRoom {
    /// Where.
    pub space: SpaceId,
    /// Which one.
    pub room: RoomId,
    /// Into which category; into none when absent.
    pub category: Option<CategoryId>,
    /// Lower ones stand first.
    pub position: u16,
}

/// Open the thread about a message, or find the one there is.
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenThread {
    /// Where the room is.
    pub space: SpaceId,
    /// The room that the message is in.
    pub room: RoomId,
    /// Which message.
    pub message: MessageId,
    /// Where it stands in the space's stream.
    pub posted: u64,
}

//! Conversations of a few.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, RoomId, SpaceId};

use crate::event_log::Position;

/// Find the conversation of a few accounts, or begin it.
#[derive(Debug, Serialize, Deserialize)]
pub struct OpenDirect {
    /// Derived from the accounts: `SpaceId::of_direct`.
    pub space: SpaceId,
    /// Who talks, who asks among them.
    pub accounts: BTreeSet<AccountId>,
}

/// A conversation is there.
#[derive(Debug, Serialize, Deserialize)]
pub struct DirectOpened {
    /// The conversation.
    pub space: SpaceId,
    /// Its room.
    pub room: RoomId,
    /// Where it was written, or where it stands.
    pub position: Position,
}

/// Bring somebody into a group.
#[derive(Debug, Serialize, Deserialize)]
pub struct AddToDirect {
    /// Into which.
    pub space: SpaceId,
    /// Whom.
    pub account: AccountId,
}

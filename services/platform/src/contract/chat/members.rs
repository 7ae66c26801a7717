//! Invitations, memberships and what they allow.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, CategoryId, InviteId, Permissions, RoleId, RoomId, SpaceId, Timestamp};

use crate::event_log::Position;

/// Make an invitation.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreateInvite {
    /// Into which space.
    pub space: SpaceId,
    /// How many may come.
    pub max_uses: Option<u32>,
    /// Until when.
    pub expires_at: Option<Timestamp>,
}

/// An invitation exists.
#[derive(Debug, Serialize, Deserialize)]
pub struct InviteCreated {
    /// The invitation.
    pub invite: InviteId,
    /// What people pass on: see [`crate::invite_code`].
    pub code: String,
    /// Where it was written.
    pub position: Position,
}

/// Void an invitation.
#[derive(Debug, Serialize, Deserialize)]
pub struct RevokeInvite {
    /// Of which space.
    pub space: SpaceId,
    /// Which one.
    pub invite: InviteId,
}

/// Come in by an invitation.
#[derive(Debug, Serialize, Deserialize)]
pub struct AcceptInvite {
    /// The space that the code names.
    pub space: SpaceId,
    /// SHA-256 of the code's secret part, hex.
    pub digest: String,
}

/// Bring a bot in.
#[derive(Debug, Serialize, Deserialize)]
pub struct BringBot {
    /// Where.
    pub space: SpaceId,
    /// Which one.
    pub bot: AccountId,
}

/// Change a membership; absent fields stay.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeMember {
    /// Where.
    pub space: SpaceId,
    /// Whose.
    pub account: AccountId,
    /// All roles beside everyone's.
    pub roles: Option<BTreeSet<RoleId>>,
    /// May read but not post.
    pub muted: Option<bool>,
    /// Must stay out; `false` lifts a ban.
    pub banned: Option<bool>,
    /// May only read for so many seconds from now on; 0 lifts that.
    #[serde(default)]
    pub time_out_s: Option<u32>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Take a member out: oneself, or by right.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveMember {
    /// Where.
    pub space: SpaceId,
    /// Who.
    pub account: AccountId,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Ask what the caller may do in a space; writes nothing. The one place where doors learn it.
#[derive(Debug, Serialize, Deserialize)]
pub struct GetAccess {
    /// Where.
    pub space: SpaceId,
}

/// What an account may do in a space.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Access {
    /// Whether the account is in.
    pub joined: bool,
    /// Allowed in the space as a whole; nothing when not in.
    pub permissions: Permissions,
    /// Rooms that the account may read, with what it may do in each.
    pub rooms: Vec<(RoomId, Permissions)>,
    /// Categories that the account may know of, with what it may do in them.
    #[serde(default)]
    pub categories: Vec<(CategoryId, Permissions)>,
    /// Rooms of which the account sees nothing up to a sequence of the space's stream, and that sequence.
    #[serde(default)]
    pub hidden: Vec<(RoomId, u64)>,
    /// Sequence of the space's last event that this is based on.
    pub space_seq: u64,
    /// Sequence of the membership's last event that this is based on; 0 if there is none.
    pub member_seq: u64,
}

impl Access {
    /// Up to which sequence the account sees nothing of a room; 0 when it may see all of it. Threads go by the
    /// room that they hang on.
    #[must_use]
    pub fn hidden_up_to(&self, room: RoomId) -> u64 {
        let mut hidden = self.hidden.iter();
        hidden.find(|(id, _)| *id == room).map_or(0, |(_, seq)| *seq)
    }
}

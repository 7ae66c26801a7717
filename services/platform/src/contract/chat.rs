//! What the chat workers take, on `cmd.chat.<shard>.<space>`: the space is always in the command.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use veza_events::{
    AccountId, AttachmentId, CategoryId, InviteId, MessageId, Permissions, RoleId, RoomId, SpaceId,
    Timestamp,
    room::Mentions,
    space::{Place, RoomKind, Whom},
};

use super::commands;
use crate::event_log::Position;

/// A command for a chat worker names its space, by which it is routed.
pub trait InSpace {
    /// The space.
    fn space(&self) -> SpaceId;
}

/// What members of a new space may do at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Everyone posts and invites.
    Open,
    /// Everyone posts; leaders invite.
    #[default]
    Team,
    /// Everyone reads and reacts; leaders post.
    Announcement,
    /// Nobody sees anything without a role.
    Private,
}

/// Make a space, with a first room called `general`.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreateSpace {
    /// Derived from the command: `command.derive(actor, "space")`.
    pub space: SpaceId,
    /// What it is called.
    pub name: String,
    /// What its members may do at first.
    pub preset: Preset,
}

/// A space exists.
#[derive(Debug, Serialize, Deserialize)]
pub struct SpaceCreated {
    /// The space.
    pub space: SpaceId,
    /// Its first room.
    pub room: RoomId,
    /// Where it was written.
    pub position: Position,
}

/// Change a space; absent fields stay.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeSpace {
    /// Which one.
    pub space: SpaceId,
    /// The new name.
    pub name: Option<String>,
}

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
    /// Take nothing new from now on. Cannot be undone.
    pub archive: bool,
}

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

/// Make a group of rooms.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreateCategory {
    /// Where.
    pub space: SpaceId,
    /// What it is called.
    pub name: String,
    /// Lower ones stand first.
    pub position: u16,
}

/// A category exists.
#[derive(Debug, Serialize, Deserialize)]
pub struct CategoryCreated {
    /// The category.
    pub category: CategoryId,
    /// Where it was written.
    pub position: Position,
}

/// Change a category; absent fields stay.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeCategory {
    /// Where.
    pub space: SpaceId,
    /// Which one.
    pub category: CategoryId,
    /// The new name.
    pub name: Option<String>,
    /// Lower ones stand first.
    pub position: Option<u16>,
}

/// Remove a category that has no rooms.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveCategory {
    /// Where.
    pub space: SpaceId,
    /// Which one.
    pub category: CategoryId,
}

/// Allow or deny somebody more in a place than in the rest of the space.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetOverride {
    /// In which space.
    pub space: SpaceId,
    /// Where in it.
    pub place: Place,
    /// For whom.
    pub whom: Whom,
    /// Allowed beside what roles allow.
    pub allow: Permissions,
    /// Denied although roles allow it.
    pub deny: Permissions,
}

/// Let the rest of the space be the rule again.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveOverride {
    /// In which space.
    pub space: SpaceId,
    /// Where in it.
    pub place: Place,
    /// For whom.
    pub whom: Whom,
}

/// Make a role, or make it anew.
#[derive(Debug, Serialize, Deserialize)]
pub struct DefineRole {
    /// Where.
    pub space: SpaceId,
    /// Which one: chosen by the caller, or the space's own id for everyone's.
    pub role: RoleId,
    /// What it is called.
    pub name: String,
    /// What it allows.
    pub permissions: Permissions,
    /// Higher ranks act on lower ones.
    pub rank: u16,
}

/// Take a role away from everybody.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveRole {
    /// Where.
    pub space: SpaceId,
    /// Which one.
    pub role: RoleId,
}

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

/// Say something.
#[derive(Debug, Serialize, Deserialize)]
pub struct Post {
    /// Where the room is.
    pub space: SpaceId,
    /// In which room.
    pub room: RoomId,
    /// What.
    pub body: String,
    /// Which message it answers.
    pub reply_to: Option<MessageId>,
    /// Uploaded files that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentId>,
    /// Of whom and what it speaks, as the door found it in the body.
    #[serde(default, skip_serializing_if = "Mentions::is_empty")]
    pub mentions: Mentions,
}

/// What to do about a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageChange {
    /// Give it another text.
    Edit {
        /// The whole new text.
        body: String,
        /// Of whom and what it speaks, as the door found it in the body.
        #[serde(default, skip_serializing_if = "Mentions::is_empty")]
        mentions: Mentions,
    },
    /// Take it back.
    Delete,
    /// React to it.
    React {
        /// By one emoji, or the `:name:` of a custom one.
        emoji: String,
    },
    /// Take one's own reaction back.
    Unreact {
        /// Which one.
        emoji: String,
    },
    /// Put it where everybody finds it.
    Pin,
    /// The opposite.
    Unpin,
}

/// What the read model says of a message: possibly behind, never trusted with rights, and no part of what
/// makes a command the same when it is repeated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenMessage {
    /// It was taken back.
    pub deleted: bool,
    /// Different reactions that it has.
    pub reactions: Vec<String>,
    /// Pinned messages of the room, this one not counted.
    pub pins: usize,
}

/// Do something about a message. Who wrote it and where the worker reads in the log, at the sequence given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChangeMessage {
    /// Where the room is.
    pub space: SpaceId,
    /// In which room.
    pub room: RoomId,
    /// Which message.
    pub message: MessageId,
    /// Where it stands in the space's stream.
    pub posted: u64,
    /// What to do.
    pub change: MessageChange,
    /// What the door knew of it.
    #[serde(default)]
    pub seen: SeenMessage,
}

impl ChangeMessage {
    /// The command without what may be another when it is repeated.
    #[must_use]
    pub fn essence(&self) -> Self {
        let mut essence = Self {
            seen: SeenMessage::default(),
            ..self.clone()
        };
        if let MessageChange::Edit { mentions, .. } = &mut essence.change {
            *mentions = Mentions::default();
        }
        essence
    }
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

/// A message is stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct Posted {
    /// The message.
    pub message: MessageId,
    /// Where it was written.
    pub position: Position,
    /// Whether it had been stored before, by an earlier try of the same command.
    pub duplicate: bool,
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
    /// Sequence of the space's last event that this is based on.
    pub space_seq: u64,
    /// Sequence of the membership's last event that this is based on; 0 if there is none.
    pub member_seq: u64,
}

/// Done; where it was written.
#[derive(Debug, Serialize, Deserialize)]
pub struct Changed {
    /// The last event.
    pub position: Position,
}

commands! {
    "create_space": CreateSpace => SpaceCreated,
    "change_space": ChangeSpace => Changed,
    "create_room": CreateRoom => RoomCreated,
    "change_room": ChangeRoom => Changed,
    "open_direct": OpenDirect => DirectOpened,
    "add_to_direct": AddToDirect => Changed,
    "place_room": PlaceRoom => Changed,
    "create_category": CreateCategory => CategoryCreated,
    "change_category": ChangeCategory => Changed,
    "remove_category": RemoveCategory => Changed,
    "set_override": SetOverride => Changed,
    "remove_override": RemoveOverride => Changed,
    "define_role": DefineRole => Changed,
    "remove_role": RemoveRole => Changed,
    "create_invite": CreateInvite => InviteCreated,
    "revoke_invite": RevokeInvite => Changed,
    "accept_invite": AcceptInvite => Changed,
    "change_member": ChangeMember => Changed,
    "remove_member": RemoveMember => Changed,
    "post": Post => Posted,
    "change_message": ChangeMessage => Posted,
    "open_thread": OpenThread => RoomCreated,
    "get_access": GetAccess => Access,
}

macro_rules! in_space {
    ($($command:ty),+ $(,)?) => {$(
        impl InSpace for $command {
            fn space(&self) -> SpaceId {
                self.space
            }
        }
    )+};
}

in_space!(
    CreateSpace,
    ChangeSpace,
    CreateRoom,
    ChangeRoom,
    OpenDirect,
    AddToDirect,
    PlaceRoom,
    CreateCategory,
    ChangeCategory,
    RemoveCategory,
    SetOverride,
    RemoveOverride,
    DefineRole,
    RemoveRole,
    CreateInvite,
    RevokeInvite,
    AcceptInvite,
    ChangeMember,
    RemoveMember,
    Post,
    ChangeMessage,
    OpenThread,
    GetAccess,
);

//! What the queries answer: plain data in the types of the events. `seq` is the sequence of the last event
//! that changed a row, within the row's stream.

mod bots;

use serde::{Deserialize, Serialize};
use veza_events::attachment::{AboutAttachment, AttachmentKind};
use veza_events::{
    AccountId, AttachmentId, CategoryId, InviteId, MessageId, Permissions, RoleId, RoomId, SessionId,
    SpaceId, Timestamp,
    account::InstallationRole,
    member::Standing,
    room::{Imported, Mentions},
    space::{DirectKind, History, RoomHistory, RoomKind, Whom},
};

pub use crate::held::HeldMessage;
pub use crate::purge::MessagePlace;
pub use crate::reports::{Report, Resolution};
pub use crate::scheduled::Scheduled;

pub use bots::{Bot, BotKey, SlashCommand, Webhook};

/// What anybody may know of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The account.
    pub id: AccountId,
    /// The name others call it by; absent once the person's data key is gone.
    pub handle: Option<String>,
    /// The name shown; absent once the person's data key is gone.
    pub display_name: Option<String>,
    /// Whether a program acts for it.
    #[serde(default)]
    pub bot: bool,
    /// Last change.
    pub seq: u64,
}

/// What only its owner may know of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateAccount {
    /// What anybody may know.
    #[serde(flatten)]
    pub account: Account,
    /// Where it gets mail.
    pub email: Option<String>,
    /// Whether somebody has said that they read there.
    #[serde(default)]
    pub email_confirmed: bool,
    /// Roles in the installation.
    pub roles: Vec<InstallationRole>,
    /// When it was made.
    pub registered_at: Timestamp,
}

/// A signed-in device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session.
    pub id: SessionId,
    /// How the device called itself.
    pub device: Option<String>,
    /// When it signed in.
    pub started_at: Timestamp,
    /// When it ends by itself; sessions past it are still listed until their end is recorded.
    pub expires_at: Timestamp,
    /// Last change.
    pub seq: u64,
}

/// A space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The space.
    pub id: SpaceId,
    /// What it is called.
    pub name: String,
    /// Who made it.
    pub owner: AccountId,
    /// When.
    pub created_at: Timestamp,
    /// How much of its rooms those see who come later.
    pub history: History,
    /// Whether pages that messages link to are shown beside them.
    pub previews: bool,
    /// Last change.
    pub seq: u64,
}

/// A space that an account is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinedSpace {
    /// The space.
    #[serde(flatten)]
    pub space: Space,
    /// The account's roles beside everyone's.
    pub roles: Vec<RoleId>,
    /// Whether it may only read.
    pub muted: bool,
    /// Since when it is in.
    pub joined_at: Timestamp,
}

/// A role of a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The role; the id of the space for everyone's.
    pub id: RoleId,
    /// What it is called.
    pub name: String,
    /// What it allows.
    pub permissions: Permissions,
    /// Higher ranks act on lower ones.
    pub rank: u16,
    /// Last change.
    pub seq: u64,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Room {
    /// The room.
    pub id: RoomId,
    /// In which space.
    pub space: SpaceId,
    /// What it is called.
    pub name: String,
    /// What it is about; empty for nothing.
    pub topic: String,
    /// What it is for.
    pub kind: RoomKind,
    /// Whether it takes nothing new.
    pub archived: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change of the room itself.
    pub seq: u64,
    /// Last event of its timeline; 0 before the first.
    pub head: u64,
    /// In which category it is listed.
    pub category: Option<CategoryId>,
    /// Lower ones stand first.
    pub position: u16,
    /// Seconds that one waits between two messages; 0 for none.
    pub slow_mode_s: u32,
    /// How much of it those see who come later.
    pub history: RoomHistory,
}

/// A conversation between a few.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direct {
    /// The conversation.
    pub id: SpaceId,
    /// Its one room.
    pub room: RoomId,
    /// Between two, or among more.
    pub kind: DirectKind,
    /// Who is in.
    pub accounts: Vec<Account>,
    /// Last event of its timeline; 0 before the first.
    pub head: u64,
    /// When it was begun.
    pub opened_at: Timestamp,
}

/// A group of rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// The category.
    pub id: CategoryId,
    /// What it is called.
    pub name: String,
    /// Lower ones stand first.
    pub position: u16,
    /// Last change.
    pub seq: u64,
}

/// What differs for somebody in a room or a category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// For whom.
    pub whom: Whom,
    /// Allowed beside what roles allow.
    pub allow: Permissions,
    /// Denied although roles allow it.
    pub deny: Permissions,
    /// Last change.
    pub seq: u64,
}

/// A membership.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub account: AccountId,
    /// In or banned; who is out has no row.
    pub standing: Standing,
    /// Roles beside everyone's.
    pub roles: Vec<RoleId>,
    /// Whether it may only read.
    pub muted: bool,
    /// The same, until then.
    pub timed_out_until: Option<Timestamp>,
    /// The same for who came during a raid, unless that was ended or they were let go.
    #[serde(default)]
    pub held_until: Option<Timestamp>,
    /// Since when the account is in; for a ban, since when it is banned.
    pub joined_at: Timestamp,
    /// The name others call it by.
    pub handle: Option<String>,
    /// The name shown.
    pub display_name: Option<String>,
    /// Whether a program acts for it.
    #[serde(default)]
    pub bot: bool,
    /// Last change of the membership.
    pub seq: u64,
}

/// To what something was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditTarget {
    /// The space itself.
    Space,
    /// An account.
    Account,
    /// A role.
    Role,
    /// A room.
    Room,
    /// A category.
    Category,
    /// An invitation.
    Invite,
    /// A message.
    Message,
}

/// One deed in a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deed {
    /// Its sequence.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Option<AccountId>,
    /// The handle of who did it.
    pub actor_handle: Option<String>,
    /// What was done: the wire name of the event without its version.
    pub action: String,
    /// To what.
    pub target_kind: AuditTarget,
    /// To which one.
    pub target: uuid::Uuid,
    /// The handle of whom it was done to.
    pub target_handle: Option<String>,
    /// Why; absent once the data key of who did it is gone.
    pub reason: Option<String>,
    /// What the event says about it.
    pub detail: serde_json::Value,
}

/// Which members are asked for; absent fields leave nobody out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFilter {
    /// A part of the handle or the name shown, whatever its case.
    pub name: Option<String>,
    /// Holders of this role.
    pub role: Option<RoleId>,
}

/// An invitation that has not been revoked; it may be used up or over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// The invitation.
    pub id: InviteId,
    /// Who made it.
    pub by: AccountId,
    /// How many may come.
    pub max_uses: Option<u32>,
    /// How many of a limited number have come.
    pub uses: u32,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub seq: u64,
}

/// A message, with its author as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The message.
    pub id: MessageId,
    /// Where it stands in the timeline.
    pub seq: u64,
    /// Who wrote it.
    pub author: AccountId,
    /// The author's handle.
    pub author_handle: Option<String>,
    /// The author's shown name.
    pub author_display_name: Option<String>,
    /// Whether a program acts for the author.
    #[serde(default)]
    pub author_bot: bool,
    /// What it says; absent once the author's data key is gone.
    pub body: Option<String>,
    /// Which message it answers.
    pub reply_to: Option<MessageId>,
    /// When it was posted.
    pub posted_at: Timestamp,
    /// How many files came with it.
    pub files: u16,
    /// The files, in their order.
    pub attachments: Vec<Attachment>,
    /// Of whom and what it speaks.
    pub mentions: Mentions,
    /// How it was first said, if that was elsewhere.
    pub imported: Option<Imported>,
    /// The name that its author went by this once.
    #[serde(default)]
    pub shown_as: Option<String>,
    /// When it got its present text; absent while that is the first one.
    pub edited_at: Option<Timestamp>,
    /// When it was taken back: then nothing else of it is left.
    pub deleted_at: Option<Timestamp>,
    /// Whether it is pinned in its room.
    pub pinned: bool,
    /// Reactions, in the order in which each first came.
    pub reactions: Vec<Reaction>,
    /// The thread about it.
    pub thread: Option<ThreadSummary>,
}

impl Message {
    /// The name that is shown with it.
    pub fn author_name(&self) -> Option<&str> {
        self.shown_as.as_deref().or(self.author_display_name.as_deref())
    }
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The file.
    pub id: AttachmentId,
    /// How it is shown.
    pub kind: AttachmentKind,
    /// Its bytes.
    pub size: u64,
    /// What it is called and looks like; absent once the author's data key is gone.
    pub about: Option<AboutAttachment>,
}

impl From<veza_events::attachment::Attachment> for Attachment {
    fn from(file: veza_events::attachment::Attachment) -> Self {
        Self {
            id: file.attachment,
            kind: file.kind,
            size: file.size,
            about: file.about.into_clear(),
        }
    }
}

/// A file and where its message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedAttachment {
    /// The space of the room.
    pub space: SpaceId,
    /// The room of the message.
    pub room: RoomId,
    /// The message.
    pub message: MessageId,
    /// Where that stands in the timeline.
    pub posted: u64,
    /// The file.
    pub attachment: Attachment,
}

/// All reactions of one kind to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// Which one.
    #[serde(rename = "e")]
    pub emoji: String,
    /// How many.
    #[serde(rename = "c")]
    pub count: u64,
    /// Who, at most the first [`Reaction::NAMED`].
    #[serde(rename = "a")]
    pub accounts: Vec<AccountId>,
}

impl Reaction {
    /// Most accounts that come along with a reaction.
    pub const NAMED: usize = 32;

    /// Whether `account` is among them; `None` when there are more than are named here.
    pub fn has(&self, account: AccountId) -> Option<bool> {
        let named = self.accounts.contains(&account);
        (named || self.count <= self.accounts.len() as u64).then_some(named)
    }
}

/// The thread about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadSummary {
    /// Its timeline.
    #[serde(rename = "r")]
    pub room: RoomId,
    /// Messages in it that were not taken back.
    #[serde(rename = "n")]
    pub replies: u64,
    /// When the newest was posted.
    #[serde(rename = "l", default, skip_serializing_if = "Option::is_none")]
    pub last_reply_at: Option<Timestamp>,
}

/// A message and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedMessage {
    /// In which space.
    pub space: SpaceId,
    /// In which room; may be a thread.
    pub room: RoomId,
    /// The room whose rights count: its own, or the one that its thread hangs on.
    pub gate: RoomId,
    /// The message.
    pub message: Message,
}

/// One of the texts that a message had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageText {
    /// The event that gave it.
    pub seq: u64,
    /// What it said; absent once the author's data key is gone.
    pub body: Option<String>,
    /// Since when.
    pub written_at: Timestamp,
}

/// Somebody who reacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reactor {
    /// Who.
    pub account: AccountId,
    /// The name others call it by.
    pub handle: Option<String>,
    /// The name shown.
    pub display_name: Option<String>,
}

/// A message that speaks of somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mentioned {
    /// How: `account`, `role`, `everyone` or `here`.
    pub kind: String,
    /// The message and where it is.
    pub placed: PlacedMessage,
}

/// Which part of a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// The newest messages.
    Latest,
    /// The newest ones with a smaller sequence.
    Before(u64),
    /// The oldest ones with a greater sequence.
    After(u64),
}

/// A stretch of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    /// In ascending order of sequence.
    pub messages: Vec<Message>,
    /// Whether there are more in the direction of the range (older for `Latest` and `Before`).
    pub more: bool,
    /// Last event of the whole timeline as of this answer: where a watcher goes on from.
    pub head: u64,
    /// Position of the stream that the answer is based on, at least.
    pub as_of: u64,
}

/// Which part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageOf {
    /// `next` of the part before; `None` for the first.
    pub cursor: Option<String>,
    /// At most so many, 1 to [`PageOf::MAX`]; other values are brought into that range.
    pub limit: u16,
}

impl PageOf {
    /// Most items of one answer.
    pub const MAX: u16 = 200;
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct List<T> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// Asks for the following part; `None` at the end.
    pub next: Option<String>,
}

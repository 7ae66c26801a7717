//! Facts in the timeline of one room, in one exact order.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, MessageId, RoleId, RoomId, Sealed, SpaceId, Timestamp, attachment::Attachment,
    catalogue::events,
};

events! {
    /// What can happen in a timeline.
    pub enum RoomEvent {
        "room.opened.v1" => Opened,
        "room.message_posted.v1" => MessagePosted seals [body, attachments, mentions, imported, shown_as],
        "room.message_edited.v1" => MessageEdited seals [body, mentions],
        "room.message_deleted.v1" => MessageDeleted,
        "room.reaction_added.v1" => ReactionAdded,
        "room.reaction_removed.v1" => ReactionRemoved,
        "room.message_pinned.v1" => MessagePinned,
        "room.message_unpinned.v1" => MessageUnpinned,
    }
}

macro_rules! of_every_event {
    ($($event:ident),+) => {
        impl RoomEvent {
            /// The space that the room belongs to: every event of a timeline names it, so that the last one
            /// is enough to know where a room is.
            pub fn space(&self) -> SpaceId {
                match self { $(Self::$event(event) => event.space,)+ }
            }

            /// The room.
            pub fn room(&self) -> RoomId {
                match self { $(Self::$event(event) => event.room,)+ }
            }

            /// The room that a thread hangs on; every event of a thread names it.
            pub fn parent(&self) -> Option<RoomId> {
                match self { $(Self::$event(event) => event.parent,)+ }
            }
        }
    };
}

of_every_event!(
    Opened,
    MessagePosted,
    MessageEdited,
    MessageDeleted,
    ReactionAdded,
    ReactionRemoved,
    MessagePinned,
    MessageUnpinned
);

/// The timeline begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Opened {
    /// In which space.
    pub space: SpaceId,
    /// The room.
    pub room: RoomId,
    /// The room that it hangs on, when it is a thread: who may read and write there may here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RoomId>,
    /// The message that it is about, when it is a thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<MessageId>,
}

/// Who and what a message speaks of, found in its text when it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mentions {
    /// People.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub accounts: BTreeSet<AccountId>,
    /// Roles, all their holders.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<RoleId>,
    /// Rooms.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rooms: BTreeSet<RoomId>,
    /// Everybody who may read the room.
    #[serde(default)]
    pub everyone: bool,
    /// Everybody who is there just now.
    #[serde(default)]
    pub here: bool,
}

impl Mentions {
    /// Whether it speaks of nobody and nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What messages come from that were first said elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportSource {
    /// A bulk export of Mattermost.
    Mattermost,
    /// An export of Slack.
    Slack,
}

/// How a message was first said, elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Imported {
    /// Where.
    pub source: ImportSource,
    /// What its author was called there.
    pub author: String,
    /// When.
    pub at: Timestamp,
    /// How it was reacted to there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<ImportedReaction>,
}

/// How often a message was reacted to by one emoji.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedReaction {
    /// What the emoji was called there.
    pub emoji: String,
    /// How often.
    pub count: u64,
}

/// Declares one fact of a timeline: where, what, and the room that a thread hangs on.
macro_rules! facts {
    ($($(#[$doc:meta])+ $name:ident { $($(#[$field_doc:meta])+ $field:ident: $type:ty,)+ })+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// In which space.
            pub space: SpaceId,
            /// In which room.
            pub room: RoomId,
            $($(#[$field_doc])+ pub $field: $type,)+
            /// The room that a thread hangs on.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub parent: Option<RoomId>,
        }
    )+};
}

facts! {
    /// A message entered the timeline.
    MessagePosted {
        /// The new message.
        message: MessageId,
        /// Who wrote it.
        author: AccountId,
        /// What it says.
        body: Sealed<String>,
        /// Which message it answers.
        reply_to: Option<MessageId>,
        /// Files that come with it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Attachment>,
        /// Of whom and what it speaks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mentions: Option<Sealed<Mentions>>,
        /// Where it was first said, if that was not here; its author then is who brought it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        imported: Option<Sealed<Imported>>,
        /// The name that its author goes by this once; of webhooks alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shown_as: Option<Sealed<String>>,
    }
    /// Its author gave a message another text. What was said before stays in the log.
    MessageEdited {
        /// Which message.
        message: MessageId,
        /// Sequence at which it was posted.
        posted: u64,
        /// Who wrote it, and changed it.
        author: AccountId,
        /// What it says now.
        body: Sealed<String>,
        /// Of whom and what it speaks now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mentions: Option<Sealed<Mentions>>,
    }
    /// A message was taken back, for good: whatever else is said of it later counts for nothing.
    MessageDeleted {
        /// Which message.
        message: MessageId,
        /// Sequence at which it was posted.
        posted: u64,
        /// Who wrote it.
        author: AccountId,
        /// Who took it back; the author, or who may delete the messages of others.
        by: AccountId,
    }
    /// Somebody reacted to a message. Once is as good as twice.
    ReactionAdded {
        /// Which message.
        message: MessageId,
        /// Sequence at which it was posted.
        posted: u64,
        /// Who.
        account: AccountId,
        /// One emoji, or the `:name:` of a custom one.
        emoji: String,
    }
    /// Somebody took a reaction back.
    ReactionRemoved {
        /// Which message.
        message: MessageId,
        /// Sequence at which it was posted.
        posted: u64,
        /// Who.
        account: AccountId,
        /// Which reaction.
        emoji: String,
    }
    /// A message was put where everybody in the room finds it.
    MessagePinned {
        /// Which message.
        message: MessageId,
        /// Sequence at which it was posted.
        posted: u64,
        /// Who did it.
        by: AccountId,
    }
    /// A message is pinned no more.
    MessageUnpinned {
        /// Which message.
        message: MessageId,
        /// Sequence at which it was posted.
        posted: u64,
        /// Who did it.
        by: AccountId,
    }
}

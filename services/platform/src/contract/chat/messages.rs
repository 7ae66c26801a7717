//! Messages and what becomes of them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use veza_events::room::{ImportSource, Imported, Mentions};
use veza_events::{AttachmentId, MessageId, RoomId, SpaceId};

use crate::event_log::Position;

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

/// Bring what somebody else said, elsewhere and before.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportMessage {
    /// Where the room is.
    pub space: SpaceId,
    /// In which room.
    pub room: RoomId,
    /// What it was known by there; the message's id follows from it.
    pub key: String,
    /// What was said.
    pub body: String,
    /// Which message it answers.
    pub reply_to: Option<MessageId>,
    /// Uploaded files that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<AttachmentId>,
    /// Who said it, where, and when.
    pub imported: Imported,
}

impl ImportMessage {
    /// The id that a message gets: the same whenever and by whomever it is brought.
    pub fn id_of(space: SpaceId, source: ImportSource, key: &str) -> MessageId {
        let source = match source {
            ImportSource::Mattermost => "mattermost",
            ImportSource::Slack => "slack",
        };
        let name = format!("import {source} {key}");
        MessageId::new(Uuid::new_v5(&space.uuid(), name.as_bytes()))
    }
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

/// A message is stored.
#[derive(Debug, Serialize, Deserialize)]
pub struct Posted {
    /// The message.
    pub message: MessageId,
    /// Where it was written.
    pub position: Position,
    /// Whether it had been stored before, by an earlier try of the same command.
    pub duplicate: bool,
    /// A rule of the space holds it back: it is in no timeline until a moderator has seen it.
    #[serde(default)]
    pub held: bool,
}

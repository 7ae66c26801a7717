//! Why something is not done in a timeline.

use veza_events::{Permission, Timestamp, held::MessageHeld};

use super::{BodyLimit, MAX_DELETED_AT_ONCE};
use crate::{Reject, RejectionKind, names::NameFault};

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomRejection {
    /// There is no such space, or none that the author may know of.
    #[error("there is no such space")]
    SpaceNotFound,
    /// There is no such room, or none that the author may know of.
    #[error("there is no such room")]
    NotFound,
    /// The room takes nothing new.
    #[error("the room is archived, nothing can be posted any more")]
    Archived,
    /// The author must be silent.
    #[error("you are muted in this space")]
    Muted,
    /// The author must be silent for some time.
    #[error("you are timed out in this space until {until}")]
    TimedOut {
        /// Until then.
        until: Timestamp,
        /// How long that is.
        wait_ms: u64,
    },
    /// The author came during a raid.
    #[error("many are coming in just now: you may read, and write from {until} or when a moderator lets you")]
    Held {
        /// Until then.
        until: Timestamp,
        /// How long that is.
        wait_ms: u64,
    },
    /// The author said something a moment ago.
    #[error("this room is slow: wait {} s before the next message", wait_ms.div_ceil(1_000))]
    SlowMode {
        /// How long.
        wait_ms: u64,
    },
    /// One of the two has blocked the other.
    #[error("one of you has blocked the other")]
    Blocked,
    /// No role of the author allows it.
    #[error("this needs the permission `{0:?}` in this room")]
    NotAllowed(Permission),
    /// There is no such message in the room.
    #[error("there is no such message; if it has just been posted, pass its `Veza-Seq` as `Veza-Min-Seq`")]
    MessageNotFound,
    /// The message was taken back.
    #[error("the message was deleted")]
    MessageDeleted,
    /// None, or more than are taken back at once.
    #[error("name 1 to {MAX_DELETED_AT_ONCE} messages to delete")]
    TooManyDeleted,
    /// Somebody else wrote it.
    #[error("only its author can change a message")]
    NotTheAuthor,
    /// Not one emoji.
    #[error("a reaction is one emoji, or `:name:` with 2 to 32 of a-z, 0-9, `_`, `+` and `-`")]
    Emoji,
    /// Threads do not have threads.
    #[error("a thread cannot hang on a message of a thread; answer it with `reply_to`")]
    ThreadInThread,
    /// As many different reactions as fit.
    #[error("the message has {0} different reactions already; use one of them")]
    TooManyReactions(usize),
    /// As many pins as fit.
    #[error("the room has {0} pinned messages already; unpin one first")]
    TooManyPins(usize),
    /// It was not said yet.
    #[error("what is imported was said in the past")]
    ImportTime,
    /// The name of who said it cannot be one.
    #[error("the author's name {0}")]
    ImportAuthor(NameFault),
    /// The name that a webhook wants to go by cannot be one.
    #[error("the name {0}")]
    ShownAs(NameFault),
    /// Nothing that can be seen.
    #[error("the message is empty")]
    Empty,
    /// More than fits.
    #[error("the message is longer than {} characters or {} bytes", .0.chars, .0.bytes)]
    TooLong(BodyLimit),
    /// Too many files.
    #[error("a message has at most {0} files, each once")]
    TooManyAttachments(usize),
    /// No role of the author allows files.
    #[error("this needs the permission to attach files")]
    MayNotAttach,
    /// Not there, or of somebody else, or for another room.
    #[error("there is no such file, or not for you")]
    AttachmentNotFound,
    /// In another message.
    #[error("the file is in another message already; upload it again")]
    AttachmentUsed,
    /// A rule of the space does not let the text pass.
    #[error("the rule `{rule}` of this space does not let this pass; say it in other words")]
    Filtered {
        /// What the rule is called.
        rule: String,
        /// For how long who says it may only read.
        time_out_s: Option<u32>,
    },
    /// A rule of the space wants a moderator to see it first. Whoever decides on a post stores this instead.
    #[error("the rule `{}` of this space holds this back", .0.rule)]
    HeldBack(Box<MessageHeld>),
    /// Not plain text.
    #[error("the message has a control character in it")]
    Control,
}

impl Reject for RoomRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::SpaceNotFound => "space.not_found",
            Self::NotFound => "room.not_found",
            Self::Archived => "room.archived",
            Self::Muted => "room.muted",
            Self::TimedOut { .. } => "room.timed_out",
            Self::Held { .. } => "room.held",
            Self::SlowMode { .. } => "room.slow_mode",
            Self::Blocked => "room.blocked",
            Self::NotAllowed(_) => "room.not_allowed",
            Self::MessageNotFound => "message.not_found",
            Self::MessageDeleted => "message.deleted",
            Self::NotTheAuthor => "message.not_the_author",
            Self::TooManyDeleted => "message.too_many_deleted",
            Self::Emoji => "message.emoji_invalid",
            Self::ThreadInThread => "message.thread_in_thread",
            Self::TooManyReactions(_) => "message.too_many_reactions",
            Self::TooManyPins(_) => "room.too_many_pins",
            Self::ImportTime => "message.import_time",
            Self::ImportAuthor(_) => "message.import_author",
            Self::ShownAs(_) => "message.shown_as_invalid",
            Self::Empty => "room.message_empty",
            Self::TooLong(_) => "room.message_too_long",
            Self::Control => "room.message_unreadable",
            Self::Filtered { .. } | Self::HeldBack(_) => "message.filtered",
            Self::TooManyAttachments(_) => "attachment.too_many",
            Self::MayNotAttach => "attachment.not_allowed",
            Self::AttachmentNotFound => "attachment.not_found",
            Self::AttachmentUsed => "attachment.used",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::SpaceNotFound | Self::NotFound | Self::MessageNotFound | Self::AttachmentNotFound => {
                RejectionKind::NotFound
            }
            Self::Archived | Self::ThreadInThread | Self::AttachmentUsed => RejectionKind::Conflict,
            Self::MessageDeleted => RejectionKind::Gone,
            Self::Muted
            | Self::TimedOut { .. }
            | Self::Held { .. }
            | Self::Blocked
            | Self::NotAllowed(_)
            | Self::MayNotAttach
            | Self::Filtered { .. }
            | Self::HeldBack(_)
            | Self::NotTheAuthor => RejectionKind::Forbidden,
            Self::Empty
            | Self::TooLong(_)
            | Self::Control
            | Self::Emoji
            | Self::TooManyDeleted
            | Self::TooManyAttachments(_)
            | Self::ImportTime
            | Self::ImportAuthor(_)
            | Self::ShownAs(_) => RejectionKind::Invalid,
            Self::SlowMode { .. } | Self::TooManyReactions(_) | Self::TooManyPins(_) => RejectionKind::Limit,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::TooLong(_) | Self::Control | Self::Filtered { .. } | Self::HeldBack(_) => {
                Some("body")
            }
            Self::Emoji => Some("emoji"),
            Self::TooManyDeleted => Some("messages"),
            Self::ImportTime => Some("imported.at"),
            Self::ImportAuthor(_) => Some("imported.author"),
            Self::ShownAs(_) => Some("name"),
            Self::TooManyAttachments(_) | Self::AttachmentNotFound | Self::AttachmentUsed => {
                Some("attachments")
            }
            Self::SpaceNotFound
            | Self::NotFound
            | Self::Archived
            | Self::Muted
            | Self::TimedOut { .. }
            | Self::Held { .. }
            | Self::SlowMode { .. }
            | Self::MayNotAttach
            | Self::Blocked
            | Self::NotAllowed(_)
            | Self::MessageNotFound
            | Self::MessageDeleted
            | Self::NotTheAuthor
            | Self::ThreadInThread
            | Self::TooManyReactions(_)
            | Self::TooManyPins(_) => None,
        }
    }

    fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::TimedOut { wait_ms, .. } | Self::Held { wait_ms, .. } | Self::SlowMode { wait_ms } => {
                Some(*wait_ms)
            }
            Self::SpaceNotFound
            | Self::NotFound
            | Self::Archived
            | Self::Muted
            | Self::Blocked
            | Self::NotAllowed(_)
            | Self::MessageNotFound
            | Self::MessageDeleted
            | Self::NotTheAuthor
            | Self::Emoji
            | Self::ThreadInThread
            | Self::TooManyReactions(_)
            | Self::TooManyPins(_)
            | Self::ImportTime
            | Self::ImportAuthor(_)
            | Self::ShownAs(_)
            | Self::Empty
            | Self::TooLong(_)
            | Self::TooManyAttachments(_)
            | Self::MayNotAttach
            | Self::AttachmentNotFound
            | Self::AttachmentUsed
            | Self::Filtered { .. }
            | Self::HeldBack(_)
            | Self::TooManyDeleted
            | Self::Control => None,
        }
    }
}

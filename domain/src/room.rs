//! The timeline of a room. Whether something may be said hangs on the space and on the author alone, so
//! that nothing of the timeline has to be in memory to add to it.

use std::time::Duration;

use veza_events::{
    AccountId, MessageId, Permission, RoomId, SpaceId, Timestamp,
    attachment::Attachment,
    member::{Membership, Standing},
    room::{MessagePosted, Opened, RoomEvent},
};

use crate::{Decider, Reject, RejectionKind, names, space::SpaceState};

#[cfg(test)]
mod tests;

/// Decides about one timeline.
pub struct Room;

/// How much a message may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit {
    /// Most characters.
    pub chars: usize,
    /// Most bytes of UTF-8.
    pub bytes: usize,
    /// Most files with it.
    pub attachments: usize,
}

/// What else a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct RoomContext<'a> {
    /// The room.
    pub room: RoomId,
    /// The space that it belongs to.
    pub space: &'a SpaceState,
    /// Who asks.
    pub actor: AccountId,
    /// The membership of who asks.
    pub membership: &'a Membership,
    /// How long a message may be.
    pub limit: BodyLimit,
    /// The time.
    pub now: Timestamp,
    /// When who asks said something last in a room with slow mode; who waits for nobody need not be asked.
    pub last_words: Option<Timestamp>,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomCommand {
    /// Begin the timeline of a room that was just made in this space.
    Open {
        /// Which space.
        space: SpaceId,
    },
    /// Say something.
    Post {
        /// The new message.
        message: MessageId,
        /// What.
        body: String,
        /// Which message it answers. Whether there is one is for readers to see: the timeline is not looked at.
        reply_to: Option<MessageId>,
        /// Files that the author names.
        attachments: Vec<Offer>,
    },
}

/// A file that somebody wants to go with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// There is none of that id.
    Unknown,
    /// One that was uploaded.
    Upload {
        /// Who brought it.
        by: AccountId,
        /// For which room.
        room: RoomId,
        /// The message that has it.
        taken_by: Option<MessageId>,
        /// The file.
        file: Box<Attachment>,
    },
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
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
    /// The author said something a moment ago.
    #[error("this room is slow: wait {} s before the next message", wait_ms.div_ceil(1_000))]
    SlowMode {
        /// How long.
        wait_ms: u64,
    },
    /// No role of the author allows it.
    #[error("this needs the permission to post messages")]
    NotAllowed,
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
            Self::SlowMode { .. } => "room.slow_mode",
            Self::NotAllowed => "room.not_allowed",
            Self::Empty => "room.message_empty",
            Self::TooLong(_) => "room.message_too_long",
            Self::Control => "room.message_unreadable",
            Self::TooManyAttachments(_) => "attachment.too_many",
            Self::MayNotAttach => "attachment.not_allowed",
            Self::AttachmentNotFound => "attachment.not_found",
            Self::AttachmentUsed => "attachment.used",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::SpaceNotFound | Self::NotFound | Self::AttachmentNotFound => RejectionKind::NotFound,
            Self::Archived | Self::AttachmentUsed => RejectionKind::Conflict,
            Self::Muted | Self::TimedOut { .. } | Self::NotAllowed | Self::MayNotAttach => {
                RejectionKind::Forbidden
            }
            Self::SlowMode { .. } => RejectionKind::Limit,
            Self::Empty | Self::TooLong(_) | Self::Control | Self::TooManyAttachments(_) => {
                RejectionKind::Invalid
            }
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::TooLong(_) | Self::Control => Some("body"),
            Self::TooManyAttachments(_) | Self::AttachmentNotFound | Self::AttachmentUsed => {
                Some("attachments")
            }
            Self::SpaceNotFound
            | Self::NotFound
            | Self::Archived
            | Self::Muted
            | Self::TimedOut { .. }
            | Self::SlowMode { .. }
            | Self::MayNotAttach
            | Self::NotAllowed => None,
        }
    }

    fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::TimedOut { wait_ms, .. } | Self::SlowMode { wait_ms } => Some(*wait_ms),
            Self::SpaceNotFound
            | Self::NotFound
            | Self::Archived
            | Self::Muted
            | Self::NotAllowed
            | Self::Empty
            | Self::TooLong(_)
            | Self::TooManyAttachments(_)
            | Self::MayNotAttach
            | Self::AttachmentNotFound
            | Self::AttachmentUsed
            | Self::Control => None,
        }
    }
}

impl Decider for Room {
    /// Nothing: see the top of this page.
    type State = ();
    type Command = RoomCommand;
    type Context<'a> = RoomContext<'a>;
    type Event = RoomEvent;
    type Rejection = RoomRejection;

    fn decide(
        (): &(),
        context: &RoomContext<'_>,
        command: RoomCommand,
    ) -> Result<Vec<RoomEvent>, RoomRejection> {
        let (room, author) = (context.room, context.actor);
        match command {
            RoomCommand::Open { space } => Ok(vec![Opened { space, room }.into()]),
            RoomCommand::Post {
                message,
                body,
                reply_to,
                attachments,
            } => {
                let space = may_post(context)?;
                let attachments = attached(context, message, attachments)?;
                if attachments.is_empty() || !body.is_empty() {
                    may_be_said(&body, context.limit)?;
                }
                has_waited(context)?;
                let body = body.into();
                Ok(vec![
                    MessagePosted {
                        space,
                        room,
                        message,
                        author,
                        body,
                        reply_to,
                        attachments,
                    }
                    .into(),
                ])
            }
        }
    }

    fn evolve((): &mut (), event: &RoomEvent) {
        match event {
            RoomEvent::Opened(_) | RoomEvent::MessagePosted(_) => {}
        }
    }
}

fn may_post(context: &RoomContext<'_>) -> Result<SpaceId, RoomRejection> {
    let RoomContext {
        room,
        space,
        actor,
        membership,
        ..
    } = *context;
    let allowed = space.room_permissions(room, membership, actor);
    match space.space {
        None => Err(RoomRejection::SpaceNotFound),
        Some(_) if membership.standing != Standing::Joined => Err(RoomRejection::SpaceNotFound),
        Some(_) if !allowed.has(Permission::View) => Err(RoomRejection::NotFound),
        Some(_) if space.rooms.get(&room).is_some_and(|room| room.archived) => Err(RoomRejection::Archived),
        Some(id) if allowed.has(Permission::Post) => Ok(id),
        Some(_) if let Some(until) = membership.timed_out_until.filter(|until| *until > context.now) => {
            let wait_ms = milliseconds_between(context.now, until);
            Err(RoomRejection::TimedOut { until, wait_ms })
        }
        Some(_) if membership.muted => Err(RoomRejection::Muted),
        Some(_) => Err(RoomRejection::NotAllowed),
    }
}

/// How long an author waits between two messages in a room; `None` for who waits for nobody.
pub fn slow_mode(
    space: &SpaceState,
    room: RoomId,
    membership: &Membership,
    author: AccountId,
) -> Option<Duration> {
    let seconds = space.rooms.get(&room).map_or(0, |room| room.slow_mode_s);
    let passes = space
        .room_permissions(room, membership, author)
        .has(Permission::ManageMessages);
    (seconds > 0 && !passes).then(|| Duration::from_secs(seconds.into()))
}

fn has_waited(context: &RoomContext<'_>) -> Result<(), RoomRejection> {
    let wait = slow_mode(context.space, context.room, context.membership, context.actor);
    match wait.zip(context.last_words) {
        Some((wait, last)) if last.time() + wait > context.now.time() => {
            let wait_ms = milliseconds_between(context.now, (last.time() + wait).into());
            Err(RoomRejection::SlowMode { wait_ms })
        }
        Some(_) | None => Ok(()),
    }
}

fn milliseconds_between(begin: Timestamp, end: Timestamp) -> u64 {
    u64::try_from((end.time() - begin.time()).whole_milliseconds())
        .unwrap_or(0)
        .max(1)
}

/// The files that go with a message: the author's own, for this room, and in no other message.
fn attached(
    context: &RoomContext<'_>,
    message: MessageId,
    offers: Vec<Offer>,
) -> Result<Vec<Attachment>, RoomRejection> {
    let most = context.limit.attachments;
    let allowed = context
        .space
        .room_permissions(context.room, context.membership, context.actor);
    if !offers.is_empty() && !allowed.has(Permission::Attach) {
        return Err(RoomRejection::MayNotAttach);
    }
    if offers.len() > most {
        return Err(RoomRejection::TooManyAttachments(most));
    }
    let mut files: Vec<Attachment> = Vec::with_capacity(offers.len());
    for offer in offers {
        match offer {
            Offer::Upload { by, room, .. } if by != context.actor || room != context.room => {
                return Err(RoomRejection::AttachmentNotFound);
            }
            Offer::Unknown => return Err(RoomRejection::AttachmentNotFound),
            Offer::Upload {
                taken_by: Some(other),
                ..
            } if other != message => return Err(RoomRejection::AttachmentUsed),
            Offer::Upload { file, .. } if files.iter().any(|one| one.attachment == file.attachment) => {
                return Err(RoomRejection::TooManyAttachments(most));
            }
            Offer::Upload { file, .. } => files.push(*file),
        }
    }
    Ok(files)
}

fn may_be_said(body: &str, limit: BodyLimit) -> Result<(), RoomRejection> {
    if names::is_blank(body) {
        return Err(RoomRejection::Empty);
    }
    if body.len() > limit.bytes || body.chars().nth(limit.chars).is_some() {
        return Err(RoomRejection::TooLong(limit));
    }
    if names::has_foreign_control(body) {
        return Err(RoomRejection::Control);
    }
    Ok(())
}

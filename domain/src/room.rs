//! The timeline of a room. Whether something may be said hangs on the space and on the author alone, so
//! that nothing of the timeline has to be in memory to add to it.

use std::time::Duration;

use veza_events::{
    AccountId, MessageId, Permission, Permissions, RoomId, SpaceId, Timestamp,
    attachment::Attachment,
    member::{Membership, Standing},
    room::{Imported, Mentions, MessagePosted, Opened, RoomEvent},
};

use crate::{Decider, names, space::SpaceState};

mod change;
mod emoji;
mod import;
mod later;
mod rejection;
#[cfg(test)]
pub(crate) mod tests;

pub use change::{Change, Original, Seen};
pub use emoji::MAX_EMOJI_BYTES;
pub use later::{could_be_said, could_speak};
pub use rejection::RoomRejection;

/// Most people, roles and rooms that one message mentions each; others are just text.
pub const MAX_MENTIONS: usize = 50;

/// Most messages that are taken back at once.
pub const MAX_DELETED_AT_ONCE: usize = 100;

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

/// How much fits into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomLimits {
    /// How long a message may be.
    pub body: BodyLimit,
    /// Most different reactions to one message.
    pub reactions: usize,
    /// Most pinned messages.
    pub pins: usize,
}

/// What else a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct RoomContext<'a> {
    /// The room.
    pub room: RoomId,
    /// The room that it hangs on, when it is a thread: what one may do there, one may do here.
    pub parent: Option<RoomId>,
    /// The space that it belongs to.
    pub space: &'a SpaceState,
    /// Who asks.
    pub actor: AccountId,
    /// The membership of who asks.
    pub membership: &'a Membership,
    /// How much fits.
    pub limits: RoomLimits,
    /// The time.
    pub now: Timestamp,
    /// Whether one of two who talk has blocked the other.
    pub blocked: bool,
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
        /// Of whom and what it speaks. What the author may not do about it is left out.
        mentions: Mentions,
        /// Files that the author names.
        attachments: Vec<Offer>,
        /// The name that a webhook goes by this once.
        shown_as: Option<String>,
    },
    /// Bring what somebody else said, elsewhere and before. Nobody is mentioned by it, and nobody waits for it.
    Import {
        /// The new message.
        message: MessageId,
        /// What.
        body: String,
        /// Which message it answers.
        reply_to: Option<MessageId>,
        /// Files that who brings it names.
        attachments: Vec<Offer>,
        /// Who said it, where, and when.
        imported: Imported,
    },
    /// Begin the thread about a message of the room.
    OpenThread {
        /// [`RoomId::thread_of`] the message.
        thread: RoomId,
        /// Which message.
        message: MessageId,
        /// Where it stands in the log.
        posted: u64,
    },
    /// Take many messages of the room back at once.
    DeleteAll {
        /// The messages, as the log has them.
        originals: Vec<Original>,
    },
    /// Do something about a message of the room.
    Change {
        /// The message, as the log has it.
        original: Original,
        /// What is known of it beside that.
        seen: Seen,
        /// What.
        change: Change,
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
            RoomCommand::Open { space } => {
                let (parent, about) = (None, None);
                Ok(vec![
                    Opened {
                        space,
                        room,
                        parent,
                        about,
                    }
                    .into(),
                ])
            }
            RoomCommand::Post {
                message,
                body,
                reply_to,
                mentions,
                attachments,
                shown_as,
            } => {
                let space = may_post(context)?;
                let shown_as = shown_as.map(|name| goes_by(context, &name)).transpose()?;
                let attachments = attached(context, message, attachments)?;
                let waits = if attachments.is_empty() || !body.is_empty() {
                    later::waits_for(context, &body, attachments.is_empty())?
                } else {
                    None
                };
                has_waited(context)?;
                let body = body.into();
                let mentions = heard(context, mentions).map(Into::into);
                let posted = MessagePosted {
                    space,
                    room,
                    message,
                    author,
                    body,
                    reply_to,
                    attachments,
                    mentions,
                    imported: None,
                    shown_as: shown_as.map(Into::into),
                    parent: context.parent,
                };
                match waits {
                    Some(rule) => Err(later::held_back(posted, rule)),
                    None => Ok(vec![posted.into()]),
                }
            }
            RoomCommand::Import {
                message,
                body,
                reply_to,
                attachments,
                imported,
            } => {
                let posted = import::imported(context, message, body, reply_to, attachments, imported)?;
                Ok(vec![posted.into()])
            }
            RoomCommand::OpenThread { .. } if context.parent.is_some() => Err(RoomRejection::ThreadInThread),
            RoomCommand::OpenThread { posted, .. } if posted <= context.hidden_up_to() => {
                may_see(context)?;
                Err(RoomRejection::MessageNotFound)
            }
            RoomCommand::OpenThread { thread, message, .. } => Ok(vec![
                Opened {
                    space: may_post(context)?,
                    room: thread,
                    parent: Some(room),
                    about: Some(message),
                }
                .into(),
            ]),
            RoomCommand::DeleteAll { originals } => change::delete_all(context, &originals),
            RoomCommand::Change {
                original,
                seen,
                change,
            } => change::decide(context, &original, &seen, change),
        }
    }

    fn evolve((): &mut (), event: &RoomEvent) {
        match event {
            RoomEvent::Opened(_)
            | RoomEvent::MessagePosted(_)
            | RoomEvent::MessageEdited(_)
            | RoomEvent::MessageDeleted(_)
            | RoomEvent::ReactionAdded(_)
            | RoomEvent::ReactionRemoved(_)
            | RoomEvent::MessagePinned(_)
            | RoomEvent::MessageUnpinned(_) => {}
        }
    }
}

impl RoomContext<'_> {
    /// The room whose rights count here.
    fn gate(&self) -> RoomId {
        self.parent.unwrap_or(self.room)
    }

    fn allowed(&self) -> Permissions {
        self.space
            .room_permissions(self.gate(), self.membership, self.actor)
    }

    /// Up to where the one who asks sees nothing of it.
    fn hidden_up_to(&self) -> u64 {
        self.space.hidden_up_to(self.gate(), self.membership, self.actor)
    }

    fn is_webhook(&self) -> bool {
        self.space.webhooks.contains_key(&self.actor)
    }

    fn is_archived(&self) -> bool {
        let room = self.space.rooms.get(&self.gate());
        room.is_some_and(|room| room.archived)
    }
}

/// The space, for those who may see the room.
fn may_see(context: &RoomContext<'_>) -> Result<SpaceId, RoomRejection> {
    match context.space.space {
        None => Err(RoomRejection::SpaceNotFound),
        // A webhook is in no space, and speaks in its room all the same.
        Some(_) if context.membership.standing != Standing::Joined && !context.is_webhook() => {
            Err(RoomRejection::SpaceNotFound)
        }
        Some(_) if !context.allowed().has(Permission::View) => Err(RoomRejection::NotFound),
        Some(id) => Ok(id),
    }
}

/// The space, for those who may say or show something in the room by this permission.
fn may_express(context: &RoomContext<'_>, permission: Permission) -> Result<SpaceId, RoomRejection> {
    match may_see(context)? {
        _ if context.is_archived() => Err(RoomRejection::Archived),
        _ if context.blocked => Err(RoomRejection::Blocked),
        id if context.allowed().has(permission) => Ok(id),
        _ if let Some(until) = timed_out(context) => {
            let wait_ms = milliseconds_between(context.now, until);
            Err(RoomRejection::TimedOut { until, wait_ms })
        }
        _ if let Some(held) = context.membership.held => {
            let (until, wait_ms) = (held.until, milliseconds_between(context.now, held.until));
            Err(RoomRejection::Held { until, wait_ms })
        }
        _ if context.membership.muted => Err(RoomRejection::Muted),
        _ => Err(RoomRejection::NotAllowed(permission)),
    }
}

fn timed_out(context: &RoomContext<'_>) -> Option<Timestamp> {
    let until = context.membership.timed_out_until;
    until.filter(|until| *until > context.now)
}

fn may_post(context: &RoomContext<'_>) -> Result<SpaceId, RoomRejection> {
    may_express(context, Permission::Post)
}

/// People are shown as who they are.
fn goes_by(context: &RoomContext<'_>, name: &str) -> Result<String, RoomRejection> {
    if !context.is_webhook() {
        return Err(RoomRejection::NotAllowed(Permission::ManageIntegrations));
    }
    names::shown(name).map_err(RoomRejection::ShownAs)
}

/// The mentions that count: who may not speak to all of a role or room has just written its name.
fn heard(context: &RoomContext<'_>, mut mentions: Mentions) -> Option<Mentions> {
    if !context.allowed().has(Permission::MentionAll) {
        mentions.roles.clear();
        (mentions.everyone, mentions.here) = (false, false);
    }
    mentions
        .roles
        .retain(|role| context.space.roles.contains_key(role));
    mentions
        .rooms
        .retain(|room| context.space.rooms.contains_key(room));
    mentions.accounts = mentions.accounts.into_iter().take(MAX_MENTIONS).collect();
    mentions.roles = mentions.roles.into_iter().take(MAX_MENTIONS).collect();
    mentions.rooms = mentions.rooms.into_iter().take(MAX_MENTIONS).collect();
    (!mentions.is_empty()).then_some(mentions)
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
    // Webhooks have a rate of their own.
    (seconds > 0 && !passes && !space.webhooks.contains_key(&author))
        .then(|| Duration::from_secs(seconds.into()))
}

fn has_waited(context: &RoomContext<'_>) -> Result<(), RoomRejection> {
    let wait = slow_mode(context.space, context.gate(), context.membership, context.actor);
    let last_words = context.membership.last_words.get(&context.room).copied();
    match wait.zip(last_words) {
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
    let most = context.limits.body.attachments;
    if !offers.is_empty() && !context.allowed().has(Permission::Attach) {
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

fn may_be_said(context: &RoomContext<'_>, body: &str) -> Result<(), RoomRejection> {
    can_be_shown(body, context.limits.body)?;
    later::passes_filters(context, body)
}

fn can_be_shown(body: &str, limit: BodyLimit) -> Result<(), RoomRejection> {
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

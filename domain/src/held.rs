//! Messages that a rule holds back: a moderator lets each be said, or not.

use veza_events::{
    AccountId, Permission,
    held::{HeldEvent, MessageApproved, MessageHeld, MessageRejected},
    member::Membership,
    room::MessagePosted,
};

use crate::{
    Decider, Reject, RejectionKind,
    room::{RoomContext, RoomRejection, could_speak},
    space::SpaceRejection,
};

#[cfg(test)]
pub(crate) mod tests;

/// Decides about one message that is held back.
pub struct Held;

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldState {
    /// The message, with its text as far as that can be read.
    pub message: Option<MessageHeld>,
    /// Somebody has decided.
    pub decided: bool,
}

/// What else a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct HeldContext<'a> {
    /// Who asks.
    pub actor: AccountId,
    /// The membership of who asks.
    pub membership: &'a Membership,
    /// The room of the message, on behalf of who wrote it.
    pub author: RoomContext<'a>,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldCommand {
    /// Let it be said.
    Approve,
    /// Do not let it be said.
    Reject,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeldRejection {
    /// What the space says: no such space or room, not allowed.
    #[error(transparent)]
    Space(#[from] SpaceRejection),
    /// There is no such message, or none that who asks may know of.
    #[error("no such message is held back")]
    NotFound,
    /// Somebody was faster.
    #[error("somebody has decided on this message already")]
    Decided,
    /// Its author is not in the room any more.
    #[error("its author is not in the room any more; reject it")]
    AuthorGone,
    /// Its author may say nothing there now.
    #[error("its author would be told \"{0}\"; reject it, or approve it when that has changed")]
    AuthorSilenced(Box<RoomRejection>),
    /// The key to its text is gone.
    #[error("its text cannot be read any more; reject it")]
    Unreadable,
}

impl Reject for HeldRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Space(rejection) => rejection.code(),
            Self::NotFound => "held.not_found",
            Self::Decided => "held.decided",
            Self::AuthorGone => "held.author_gone",
            Self::AuthorSilenced(_) => "held.author_silenced",
            Self::Unreadable => "held.unreadable",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::Space(rejection) => rejection.kind(),
            Self::NotFound => RejectionKind::NotFound,
            Self::Decided | Self::AuthorGone | Self::AuthorSilenced(_) => RejectionKind::Conflict,
            Self::Unreadable => RejectionKind::Gone,
        }
    }
}

type Decision = Result<Vec<HeldEvent>, HeldRejection>;

impl Decider for Held {
    type State = HeldState;
    type Command = HeldCommand;
    type Context<'a> = HeldContext<'a>;
    type Event = HeldEvent;
    type Rejection = HeldRejection;

    fn decide(state: &HeldState, context: &HeldContext<'_>, command: HeldCommand) -> Decision {
        let by = context.actor;
        match command {
            HeldCommand::Approve => {
                let held = undecided(state, context)?;
                let (message, space, room, author) = (held.message, held.space, held.room, held.author);
                could_speak(&context.author).map_err(|rejection| match rejection.kind() {
                    RejectionKind::NotFound => HeldRejection::AuthorGone,
                    RejectionKind::Forbidden
                    | RejectionKind::Conflict
                    | RejectionKind::Gone
                    | RejectionKind::Invalid
                    | RejectionKind::Limit => HeldRejection::AuthorSilenced(Box::new(rejection)),
                })?;
                if held.body.clear().is_none() {
                    return Err(HeldRejection::Unreadable);
                }
                let approved = MessageApproved {
                    message,
                    space,
                    room,
                    author,
                    by,
                };
                Ok(vec![approved.into()])
            }
            HeldCommand::Reject => {
                let held = undecided(state, context)?;
                let rejected = MessageRejected {
                    message: held.message,
                    space: held.space,
                    room: held.room,
                    author: held.author,
                    by,
                };
                Ok(vec![rejected.into()])
            }
        }
    }

    fn evolve(state: &mut HeldState, event: &HeldEvent) {
        match event {
            HeldEvent::MessageHeld(event) => state.message = Some(event.clone()),
            HeldEvent::MessageApproved(_) | HeldEvent::MessageRejected(_) => state.decided = true,
        }
    }
}

impl HeldState {
    /// What enters the timeline when it is approved.
    pub fn posted(&self) -> Option<MessagePosted> {
        let held = self.message.clone()?;
        Some(MessagePosted {
            space: held.space,
            room: held.room,
            message: held.message,
            author: held.author,
            body: held.body,
            reply_to: held.reply_to,
            attachments: Vec::new(),
            mentions: held.mentions,
            imported: None,
            shown_as: held.shown_as,
            parent: held.parent,
        })
    }
}

/// The message, for those who may decide on it, while nobody has.
fn undecided<'a>(state: &'a HeldState, context: &HeldContext<'_>) -> Result<&'a MessageHeld, HeldRejection> {
    let held = state.message.as_ref().ok_or(HeldRejection::NotFound)?;
    let (space, gate) = (context.author.space, held.gate());
    let may = space.requires_in_room(
        gate,
        context.membership,
        context.actor,
        Permission::ManageMessages,
    );
    may.map_err(|rejection| match rejection.kind() {
        // Who may not see the room does not learn what waits in it.
        RejectionKind::NotFound => HeldRejection::NotFound,
        RejectionKind::Forbidden
        | RejectionKind::Conflict
        | RejectionKind::Gone
        | RejectionKind::Invalid
        | RejectionKind::Limit => HeldRejection::Space(rejection),
    })?;
    if state.decided {
        return Err(HeldRejection::Decided);
    }
    Ok(held)
}

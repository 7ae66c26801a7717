//! Messages that wait for their time: those of one member in one space. Whether they may be said is decided twice,
//! when they are written and when their time comes.

use std::{collections::BTreeMap, time::Duration};

use veza_events::{
    MessageId, RoomId, ScheduledId, Sealed, Timestamp,
    room::Mentions,
    schedule::{MessageAdded, MessageCancelled, MessageChanged, MessageRefused, MessageSent, ScheduleEvent},
};

use crate::{
    Decider, Reject, RejectionKind,
    room::{RoomContext, RoomRejection, could_be_said},
};

#[cfg(test)]
mod tests;

/// Decides about one member's scheduled messages.
pub struct Schedule;

/// What is known of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScheduleState {
    /// Those that are not over.
    pub plans: BTreeMap<ScheduledId, Plan>,
}

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In which room, or thread.
    pub room: RoomId,
    /// Which message it answers.
    pub reply_to: Option<MessageId>,
    /// When.
    pub at: Timestamp,
    /// Its time came, and it was not allowed.
    pub refused: bool,
    /// Sequence of the event that has its text; for who knows where events lie.
    pub text: u64,
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScheduleLimits {
    /// Most messages of one member.
    pub messages: usize,
    /// How far ahead.
    pub horizon: Duration,
}

/// What else a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct ScheduleContext<'a> {
    /// The room that the message is for, on behalf of its author.
    pub room: RoomContext<'a>,
    /// How much may wait.
    pub limits: ScheduleLimits,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleCommand {
    /// Say something later.
    Add {
        /// The new one.
        scheduled: ScheduledId,
        /// What.
        body: String,
        /// Which message it answers.
        reply_to: Option<MessageId>,
        /// Of whom and what it speaks. What the author may not do about it is left out when it is sent.
        mentions: Mentions,
        /// When.
        at: Timestamp,
    },
    /// Say something else, or at another time.
    Change {
        /// Which one.
        scheduled: ScheduledId,
        /// The whole new text, and of whom and what it speaks.
        text: Option<(String, Mentions)>,
        /// The new time.
        at: Option<Timestamp>,
    },
    /// Do not say it.
    Cancel {
        /// Which one.
        scheduled: ScheduledId,
    },
    /// Its time has come, and it is said: `Room` has decided so.
    Send {
        /// Which one.
        scheduled: ScheduledId,
        /// What it becomes.
        message: MessageId,
    },
    /// Its time has come, and it must not be said: `Room` has decided so.
    Refuse {
        /// Which one.
        scheduled: ScheduledId,
        /// Why.
        code: String,
    },
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleRejection {
    /// What the room says.
    #[error(transparent)]
    Room(#[from] RoomRejection),
    /// There is none, or it is somebody else's; or it was sent.
    #[error("there is no such scheduled message; it may have been sent")]
    NotFound,
    /// As many as may wait.
    #[error("{0} of your messages wait in this space already; cancel one first")]
    TooMany(usize),
    /// That is over.
    #[error("say a time that is still to come, or send it now")]
    Past,
    /// That is too far ahead.
    #[error("a message can be scheduled for the next {} days", .0.as_secs() / 86_400)]
    TooFar(Duration),
}

impl Reject for ScheduleRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Room(rejection) => rejection.code(),
            Self::NotFound => "schedule.not_found",
            Self::TooMany(_) => "schedule.too_many",
            Self::Past => "schedule.past",
            Self::TooFar(_) => "schedule.too_far",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::Room(rejection) => rejection.kind(),
            Self::NotFound => RejectionKind::NotFound,
            Self::TooMany(_) => RejectionKind::Limit,
            Self::Past | Self::TooFar(_) => RejectionKind::Invalid,
        }
    }

    fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::Room(rejection) => rejection.retry_after_ms(),
            Self::NotFound | Self::TooMany(_) | Self::Past | Self::TooFar(_) => None,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Room(rejection) => rejection.field(),
            Self::Past | Self::TooFar(_) => Some("at"),
            Self::NotFound | Self::TooMany(_) => None,
        }
    }
}

type Decision = Result<Vec<ScheduleEvent>, ScheduleRejection>;

impl Decider for Schedule {
    type State = ScheduleState;
    type Command = ScheduleCommand;
    type Context<'a> = ScheduleContext<'a>;
    type Event = ScheduleEvent;
    type Rejection = ScheduleRejection;

    fn decide(state: &ScheduleState, context: &ScheduleContext<'_>, command: ScheduleCommand) -> Decision {
        let ScheduleContext { room, limits } = context;
        match command {
            ScheduleCommand::Add {
                scheduled,
                body,
                reply_to,
                mentions,
                at,
            } => {
                could_be_said(room, &body)?;
                is_ahead(context, at)?;
                if state.plans.len() >= limits.messages {
                    return Err(ScheduleRejection::TooMany(limits.messages));
                }
                let added = MessageAdded {
                    scheduled,
                    space: room.space.space.ok_or(RoomRejection::SpaceNotFound)?,
                    account: room.actor,
                    room: room.room,
                    body: body.into(),
                    reply_to,
                    mentions: sealed(mentions),
                    at,
                };
                Ok(vec![added.into()])
            }
            ScheduleCommand::Change { scheduled, text, at } => {
                let plan = state.plans.get(&scheduled).ok_or(ScheduleRejection::NotFound)?;
                change(plan, context, scheduled, text, at)
            }
            ScheduleCommand::Cancel { scheduled } => {
                let cancelled = MessageCancelled { scheduled };
                waits(state, scheduled).map(|_| vec![cancelled.into()])
            }
            ScheduleCommand::Send { scheduled, message } => match waits(state, scheduled)? {
                // It was refused, or put off, while somebody else was about to send it.
                plan if plan.refused || plan.at > room.now => Err(ScheduleRejection::NotFound),
                _ => Ok(vec![MessageSent { scheduled, message }.into()]),
            },
            ScheduleCommand::Refuse { scheduled, code } => match waits(state, scheduled)? {
                plan if plan.refused || plan.at > room.now => Ok(vec![]),
                _ => Ok(vec![MessageRefused { scheduled, code }.into()]),
            },
        }
    }

    fn evolve(state: &mut ScheduleState, event: &ScheduleEvent) {
        match event {
            ScheduleEvent::MessageAdded(event) => {
                let plan = Plan {
                    room: event.room,
                    reply_to: event.reply_to,
                    at: event.at,
                    refused: false,
                    text: 0,
                };
                state.plans.insert(event.scheduled, plan);
            }
            ScheduleEvent::MessageChanged(event) => {
                if let Some(plan) = state.plans.get_mut(&event.scheduled)
                    && let Some(at) = event.at
                {
                    (plan.at, plan.refused) = (at, false);
                }
            }
            ScheduleEvent::MessageCancelled(event) => drop(state.plans.remove(&event.scheduled)),
            ScheduleEvent::MessageSent(event) => drop(state.plans.remove(&event.scheduled)),
            ScheduleEvent::MessageRefused(event) => {
                if let Some(plan) = state.plans.get_mut(&event.scheduled) {
                    plan.refused = true;
                }
            }
        }
    }
}

fn waits(state: &ScheduleState, scheduled: ScheduledId) -> Result<&Plan, ScheduleRejection> {
    state.plans.get(&scheduled).ok_or(ScheduleRejection::NotFound)
}

fn change(
    plan: &Plan,
    context: &ScheduleContext<'_>,
    scheduled: ScheduledId,
    text: Option<(String, Mentions)>,
    at: Option<Timestamp>,
) -> Decision {
    match (&text, at) {
        (None, None) => return Ok(vec![]),
        // What was refused is tried again only when its author says when.
        (_, None) if plan.refused => return Err(ScheduleRejection::Past),
        (_, Some(at)) => is_ahead(context, at)?,
        (_, None) => {}
    }
    let (body, mentions) = text.unzip();
    if let Some(body) = &body {
        could_be_said(&context.room, body)?;
    }
    let changed = MessageChanged {
        scheduled,
        body: body.map(Sealed::Clear),
        mentions: mentions.and_then(sealed),
        at,
    };
    Ok(vec![changed.into()])
}

fn sealed(mentions: Mentions) -> Option<Sealed<Mentions>> {
    (!mentions.is_empty()).then(|| mentions.into())
}

fn is_ahead(context: &ScheduleContext<'_>, at: Timestamp) -> Result<(), ScheduleRejection> {
    let (now, horizon) = (context.room.now, context.limits.horizon);
    if at <= now {
        return Err(ScheduleRejection::Past);
    }
    if at.time() - now.time() > horizon {
        return Err(ScheduleRejection::TooFar(horizon));
    }
    Ok(())
}

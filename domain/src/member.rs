//! One account's membership of one space. Every fact carries the whole membership after it, so that the
//! last one is the state.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use veza_events::{
    AccountId, Permission, Permissions, RoleId, RoomId, Sealed, Timestamp,
    member::{
        Banned, Joined, Left, MemberEvent, Membership, Muted, Released, Removed, RolesChanged, Spoke,
        Standing, TimeOutLifted, TimedOut, Unbanned, Unmuted,
    },
    space::DirectKind,
};

use crate::{
    Decider, names,
    space::{MAX_SLOW_MODE_S, Rank, SpaceRejection, SpaceState},
};

mod bot;
mod rejection;
#[cfg(test)]
mod tests;

pub use bot::BotFacts;
pub use rejection::MemberRejection;

/// Most roles that one member holds.
pub const MAX_ROLES_HELD: usize = 50;

/// Longest time-out, in seconds: 28 days.
pub const MAX_TIME_OUT_S: u32 = 28 * 24 * 60 * 60;

/// Most slow rooms of which a membership keeps when something was said last; the newest.
pub const MAX_LAST_WORDS: usize = 50;

/// A membership as it counts at a moment: a time-out that lasts is silence, one that is over is nothing; so it is
/// with who came during a raid.
/// `None` when it counts as it stands.
pub fn at_present(membership: &Membership, space: &SpaceState, now: Timestamp) -> Option<Membership> {
    if membership.timed_out_until.is_none() && membership.held.is_none() {
        return None;
    }
    let timed_out_until = membership.timed_out_until.filter(|until| *until > now);
    let held = membership.held.filter(|_| space.brake.is_held(membership, now));
    Some(Membership {
        muted: membership.muted || timed_out_until.is_some() || held.is_some(),
        timed_out_until,
        held,
        ..membership.clone()
    })
}

/// Decides about one membership.
pub struct Member;

/// What else a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct MemberContext<'a> {
    /// The time.
    pub now: Timestamp,
    /// The space.
    pub space: &'a SpaceState,
    /// Whose membership it is.
    pub account: AccountId,
    /// Who asks.
    pub actor: AccountId,
    /// The membership of who asks.
    pub actor_membership: &'a Membership,
    /// Why, as typed.
    pub reason: Option<&'a str>,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberCommand {
    /// Come in as the owner of a space that was just made.
    Found,
    /// Come into a conversation between a few, as one of those who take part.
    Enter,
    /// Come in by an invitation.
    Accept {
        /// SHA-256 of the secret part of its code, hex.
        digest: String,
    },
    /// Bring a bot in.
    Bring {
        /// What it is; `None` when it is no bot that acts.
        bot: Option<BotFacts>,
    },
    /// Go, or show somebody the door.
    Remove,
    /// Give and take roles.
    ChangeRoles {
        /// All roles beside everyone's.
        roles: BTreeSet<RoleId>,
    },
    /// Silence somebody, or let them speak again.
    Mute {
        /// Which of the two.
        muted: bool,
    },
    /// Silence somebody for some time.
    TimeOut {
        /// How long from now on, in seconds; 0 to let them speak again.
        seconds: u32,
    },
    /// Let somebody speak who came during a raid.
    Release,
    /// Be silenced for some time by a rule of the space, which `reason` names.
    BeTimedOut {
        /// How long from now on, in seconds.
        seconds: u32,
    },
    /// Say something in a room with slow mode. Whether it may is the room's to decide.
    Speak {
        /// In which room, or thread.
        room: RoomId,
    },
    /// Keep an account out, whether it is in or not; or lift that.
    Ban {
        /// Which of the two.
        banned: bool,
    },
}

type Decision = Result<Vec<MemberEvent>, MemberRejection>;

/// The one fact of a decision: what, about whom, and the membership after it.
macro_rules! fact {
    ($event:ident, $context:expr, $after:expr $(, $field:ident)?) => {{
        let MemberContext { space, account, actor: by, .. } = *$context;
        let space = space.space.ok_or(SpaceRejection::NotFound)?;
        Ok(vec![$event { space, account, by, membership: $after $(, $field)? }.into()])
    }};
    // The same with a reason.
    ($event:ident why, $context:expr, $after:expr) => {{
        let reason = reason($context)?;
        fact!($event, $context, $after, reason)
    }};
}

impl Decider for Member {
    type State = Membership;
    type Command = MemberCommand;
    type Context<'a> = MemberContext<'a>;
    type Event = MemberEvent;
    type Rejection = MemberRejection;

    fn decide(state: &Membership, context: &MemberContext<'_>, command: MemberCommand) -> Decision {
        match command {
            MemberCommand::Found => found(state, context),
            MemberCommand::Enter => enter(state, context),
            MemberCommand::Accept { digest } => accept(state, context, &digest),
            MemberCommand::Bring { bot } if bot::comes_in(state, context, bot)? => {
                let invite = None;
                fact!(Joined, context, inside(state), invite)
            }
            MemberCommand::Bring { .. } => Ok(vec![]),
            MemberCommand::Remove if context.actor == context.account => leave(state, context),
            MemberCommand::Remove => {
                acts_on(state, context, Permission::Remove)?;
                is_in(state)?;
                fact!(Removed why, context, outside(state, Standing::Out))
            }
            MemberCommand::ChangeRoles { roles } => change_roles(state, context, roles),
            MemberCommand::Mute { muted } => {
                acts_on(state, context, Permission::Mute)?;
                is_in(state)?;
                let after = Membership {
                    muted,
                    ..state.clone()
                };
                match muted {
                    _ if muted == state.muted => Ok(vec![]),
                    true => fact!(Muted why, context, after),
                    false => fact!(Unmuted why, context, after),
                }
            }
            MemberCommand::TimeOut { seconds } => {
                acts_on(state, context, Permission::Mute)?;
                time_out(state, context, seconds)
            }
            MemberCommand::Release => {
                acts_on(state, context, Permission::Mute)?;
                is_in(state)?;
                let after = Membership {
                    held: None,
                    ..state.clone()
                };
                if state.held.is_none() {
                    return Ok(vec![]);
                }
                fact!(Released why, context, after)
            }
            MemberCommand::BeTimedOut { seconds } => time_out(state, context, seconds),
            MemberCommand::Speak { room } => speak(state, context, room),
            MemberCommand::Ban { banned } => {
                acts_on(state, context, Permission::Ban)?;
                match banned {
                    _ if banned == (state.standing == Standing::Banned) => Ok(vec![]),
                    true => fact!(Banned why, context, outside(state, Standing::Banned)),
                    false => fact!(Unbanned why, context, outside(state, Standing::Out)),
                }
            }
        }
    }

    fn evolve(state: &mut Membership, event: &MemberEvent) {
        state.clone_from(event.membership());
    }
}

fn found(state: &Membership, context: &MemberContext<'_>) -> Decision {
    let invite = None;
    match state.standing {
        _ if !context.space.is_owner(context.account) => Err(SpaceRejection::NotFound.into()),
        Standing::Joined => Err(MemberRejection::AlreadyIn),
        Standing::Out | Standing::Banned => fact!(Joined, context, inside(state), invite),
    }
}

fn enter(state: &Membership, context: &MemberContext<'_>) -> Decision {
    let direct = context.space.direct.as_ref().ok_or(SpaceRejection::NotFound)?;
    let takes_part = |account| direct.participants.contains(&account);
    let invite = None;
    match state.standing {
        _ if !takes_part(context.account) || !takes_part(context.actor) => {
            Err(SpaceRejection::NotFound.into())
        }
        Standing::Joined => Ok(vec![]),
        Standing::Out | Standing::Banned => fact!(Joined, context, inside(state), invite),
    }
}

fn accept(state: &Membership, context: &MemberContext<'_>, digest: &str) -> Decision {
    // The invitation first: without a good one, nobody learns anything about the space.
    let invite = context
        .space
        .usable_invite(digest, context.now)
        .map(|(id, _)| Some(id))?;
    match state.standing {
        Standing::Joined => Err(MemberRejection::AlreadyIn),
        Standing::Banned => Err(MemberRejection::Banned),
        Standing::Out => {
            let held = context.space.brake.holds(context.now).or(state.held);
            let after = Membership {
                held,
                ..inside(state)
            };
            fact!(Joined, context, after, invite)
        }
    }
}

fn leave(state: &Membership, context: &MemberContext<'_>) -> Decision {
    match state.standing {
        Standing::Out | Standing::Banned => Err(SpaceRejection::NotFound.into()),
        Standing::Joined if context.space.is_owner(context.account) => Err(MemberRejection::OwnerStays),
        Standing::Joined
            if context
                .space
                .direct
                .as_ref()
                .is_some_and(|direct| direct.kind == DirectKind::Direct) =>
        {
            Err(MemberRejection::DirectStays)
        }
        Standing::Joined => fact!(Left, context, outside(state, Standing::Out)),
    }
}

fn change_roles(state: &Membership, context: &MemberContext<'_>, roles: BTreeSet<RoleId>) -> Decision {
    let MemberContext {
        space,
        actor,
        actor_membership,
        ..
    } = *context;
    acts_on(state, context, Permission::ManageRoles)?;
    is_in(state)?;
    let mut given = Permissions::NONE;
    for added in roles.difference(&state.roles) {
        let role = space.roles.get(added).filter(|_| !space.is_everyone(*added));
        let role = role.ok_or(SpaceRejection::RoleNotFound)?;
        given = given.union(role.permissions);
    }
    let touched = roles
        .symmetric_difference(&state.roles)
        .filter_map(|role| space.roles.get(role));
    let highest = touched.map(|role| role.rank).max().unwrap_or(0);
    if space.rank(actor_membership, actor) <= Rank::Of(highest) {
        return Err(SpaceRejection::RankTooLow.into());
    }
    if !space.permissions(actor_membership, actor).includes(given) {
        return Err(SpaceRejection::NotYoursToGive.into());
    }
    if roles.len() > MAX_ROLES_HELD {
        return Err(MemberRejection::TooManyRoles);
    }
    if roles == state.roles {
        return Ok(vec![]);
    }
    fact!(
        RolesChanged why,
        context,
        Membership {
            roles,
            ..state.clone()
        }
    )
}

fn time_out(state: &Membership, context: &MemberContext<'_>, seconds: u32) -> Decision {
    is_in(state)?;
    if seconds > MAX_TIME_OUT_S {
        return Err(MemberRejection::TimeOut);
    }
    let until = context.now.time() + Duration::from_secs(seconds.into());
    let lasts = state.timed_out_until.is_some_and(|until| until > context.now);
    let after = |timed_out_until| Membership {
        timed_out_until,
        ..state.clone()
    };
    match seconds {
        0 if !lasts => Ok(vec![]),
        0 => fact!(TimeOutLifted why, context, after(None)),
        _ => fact!(TimedOut why, context, after(Some(until.into()))),
    }
}

fn speak(state: &Membership, context: &MemberContext<'_>, room: RoomId) -> Decision {
    is_in(state)?;
    let mut last_words = state.last_words.clone();
    last_words.insert(room, context.now);
    let after = Membership {
        last_words: still_waited_for(last_words, context.now),
        ..state.clone()
    };
    fact!(Spoke, context, after, room)
}

/// Those words that may still make somebody wait.
fn still_waited_for(
    mut last_words: BTreeMap<RoomId, Timestamp>,
    now: Timestamp,
) -> BTreeMap<RoomId, Timestamp> {
    let longest = Duration::from_secs(MAX_SLOW_MODE_S.into());
    last_words.retain(|_, at| at.time() + longest > now.time());
    while last_words.len() > MAX_LAST_WORDS
        && let Some(oldest) = last_words
            .iter()
            .min_by_key(|(_, at)| **at)
            .map(|(room, _)| *room)
    {
        last_words.remove(&oldest);
    }
    last_words
}

fn reason(context: &MemberContext<'_>) -> Result<Option<Sealed<String>>, MemberRejection> {
    let reason = context.reason.map(names::reason).transpose();
    Ok(reason
        .map_err(MemberRejection::Reason)?
        .flatten()
        .map(Sealed::Clear))
}

/// Whether who asks may do this to the member: by permission, and from a higher rank.
fn acts_on(
    state: &Membership,
    context: &MemberContext<'_>,
    permission: Permission,
) -> Result<(), MemberRejection> {
    let MemberContext {
        space,
        account,
        actor,
        actor_membership,
        ..
    } = *context;
    space.requires(actor_membership, actor, permission)?;
    if space.is_owner(account) {
        return Err(MemberRejection::OwnerStays);
    }
    if space.rank(actor_membership, actor) <= space.rank(state, account) {
        return Err(SpaceRejection::RankTooLow.into());
    }
    Ok(())
}

fn is_in(state: &Membership) -> Result<(), MemberRejection> {
    if state.standing == Standing::Joined {
        Ok(())
    } else {
        Err(MemberRejection::NotFound)
    }
}

/// The membership of somebody who has just come in.
fn inside(state: &Membership) -> Membership {
    Membership {
        standing: Standing::Joined,
        joined: Some(0),
        ..state.clone()
    }
}

/// The membership of somebody who is not in. Silence and waiting outlast it, or they could be shaken off by leaving.
fn outside(state: &Membership, standing: Standing) -> Membership {
    Membership {
        standing,
        roles: BTreeSet::new(),
        muted: state.muted,
        timed_out_until: state.timed_out_until,
        held: state.held,
        joined: None,
        last_words: state.last_words.clone(),
    }
}

//! The brake against raids: when more come within a minute than a space expects, those who come from then on may
//! only read, until somebody looks after it or time passes.

use std::{collections::VecDeque, time::Duration};

use veza_events::{
    AccountId, Permission, Timestamp,
    member::{Held, Membership},
    space::{Arrived, RaidBegun, RaidBrakeSet, RaidEnded, SpaceEvent},
};

use super::{SpaceContext, SpaceRejection, SpaceState};

#[cfg(test)]
mod tests;

/// Most joins per minute that are counted.
pub const MAX_JOINS_PER_MINUTE: u32 = 1_000;
/// Shortest and longest time for which a raid holds people, in seconds.
pub const HOLD_S: (u32, u32) = (60, 7 * 24 * 60 * 60);
/// How long it holds where nobody has said so: an hour.
const DEFAULT_HOLD_S: u32 = 60 * 60;
/// The time within which joins are counted.
const WINDOW: Duration = Duration::from_mins(1);

/// What is known of raids on a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brake {
    /// More joins than this within a minute are a raid; 0 to count none.
    pub joins_per_minute: u32,
    /// How long a raid holds people.
    pub hold_s: u32,
    /// The last joins that were counted.
    arrivals: VecDeque<Timestamp>,
    /// Until when the last raid lasts, if nobody has ended it.
    until: Option<Timestamp>,
    /// When somebody ended one last: who had come before is held no more.
    released_at: Option<Timestamp>,
}

impl Default for Brake {
    fn default() -> Self {
        Self {
            joins_per_minute: 0,
            hold_s: DEFAULT_HOLD_S,
            arrivals: VecDeque::new(),
            until: None,
            released_at: None,
        }
    }
}

impl Brake {
    /// Until when the raid lasts that is under way.
    pub fn raid_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }

    /// How somebody is held who comes now.
    pub fn holds(&self, now: Timestamp) -> Option<Held> {
        self.raid_until(now).map(|until| Held { since: now, until })
    }

    /// Whether a membership is held now.
    pub fn is_held(&self, membership: &Membership, now: Timestamp) -> bool {
        membership
            .held
            .is_some_and(|held| held.until > now && self.released_at.is_none_or(|at| held.since > at))
    }

    pub(super) fn set(&mut self, event: RaidBrakeSet) {
        (self.joins_per_minute, self.hold_s) = (event.joins_per_minute, event.hold_s);
        if event.joins_per_minute == 0 {
            self.arrivals.clear();
        }
    }

    pub(super) fn arrived(&mut self, event: &Arrived) {
        let begin = event.at.time() - WINDOW;
        self.arrivals.retain(|at| at.time() > begin);
        self.arrivals.push_back(event.at);
        while self.arrivals.len() > MAX_JOINS_PER_MINUTE as usize {
            self.arrivals.pop_front();
        }
    }

    pub(super) fn begun(&mut self, event: &RaidBegun) {
        self.until = Some(event.until);
        self.arrivals.clear();
    }

    pub(super) fn ended(&mut self, event: &RaidEnded) {
        (self.until, self.released_at) = (None, Some(event.at));
    }
}

/// What can be asked about raids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaidCommand {
    /// Say from when on it is a raid.
    Set {
        /// More joins than this within a minute; 0 to count none.
        joins_per_minute: u32,
        /// How long it holds people.
        hold_s: u32,
    },
    /// Say that there is one, or that there is none any more.
    Switch {
        /// Which of the two.
        active: bool,
    },
}

pub(super) fn may(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    command: RaidCommand,
) -> Result<(), SpaceRejection> {
    let needed = match command {
        RaidCommand::Set { .. } => Permission::ManageSpace,
        RaidCommand::Switch { .. } => Permission::Mute,
    };
    state.requires(context.membership, context.actor, needed)
}

/// Refuses who may not know of raids: who neither manages the space nor silences members.
///
/// # Errors
/// `space.not_found`, `space.not_allowed`.
pub fn may_watch_raids(state: &SpaceState, context: &SpaceContext<'_>) -> Result<(), SpaceRejection> {
    let silences = state.requires(context.membership, context.actor, Permission::Mute);
    silences.or_else(|_| state.requires(context.membership, context.actor, Permission::ManageSpace))
}

pub(super) fn decide(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    command: RaidCommand,
) -> Result<Vec<SpaceEvent>, SpaceRejection> {
    let (brake, now) = (&state.brake, context.now);
    match command {
        RaidCommand::Set {
            joins_per_minute,
            hold_s,
        } if joins_per_minute > MAX_JOINS_PER_MINUTE || !(HOLD_S.0..=HOLD_S.1).contains(&hold_s) => {
            Err(SpaceRejection::Brake)
        }
        RaidCommand::Set {
            joins_per_minute,
            hold_s,
        } => {
            let same = (brake.joins_per_minute, brake.hold_s) == (joins_per_minute, hold_s);
            let set = RaidBrakeSet {
                joins_per_minute,
                hold_s,
            };
            Ok((!same).then(|| set.into()).into_iter().collect())
        }
        RaidCommand::Switch { active } => match (active, brake.raid_until(now)) {
            (true, Some(_)) | (false, None) => Ok(vec![]),
            (true, None) => Ok(begun(state, now, Some(context.actor))),
            (false, Some(_)) => {
                let by = context.actor;
                Ok(vec![RaidEnded { by, at: now }.into()])
            }
        },
    }
}

/// What somebody's coming means, where joins are counted.
pub(super) fn arrive(state: &SpaceState, context: &SpaceContext<'_>) -> Vec<SpaceEvent> {
    let (brake, now) = (&state.brake, context.now);
    if brake.joins_per_minute == 0 || brake.raid_until(now).is_some() {
        return vec![];
    }
    let account = context.actor;
    let mut facts = vec![Arrived { account, at: now }.into()];
    let begin = now.time() - WINDOW;
    let recent = brake.arrivals.iter().filter(|at| at.time() > begin).count() + 1;
    if recent > brake.joins_per_minute as usize {
        facts.extend(begun(state, now, None));
    }
    facts
}

fn begun(state: &SpaceState, now: Timestamp, by: Option<AccountId>) -> Vec<SpaceEvent> {
    let until = now.time() + Duration::from_secs(state.brake.hold_s.into());
    let begun = |owner| RaidBegun {
        until: until.into(),
        by,
        owner,
    };
    state.owner.map(|owner| begun(owner).into()).into_iter().collect()
}

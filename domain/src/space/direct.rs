//! Conversations between a few people: a space with one room and nobody above the others.

use std::collections::BTreeSet;

use veza_events::{
    AccountId, Permission, Permissions, RoomId, SpaceId,
    space::{DirectAdded, DirectKind, DirectOpened, RoomCreated, RoomKind},
};

use super::{Decision, FIRST_ROOM, SpaceContext, SpaceRejection, SpaceState};

#[cfg(test)]
mod tests;

/// Most people who ever take part in one conversation.
pub const MAX_IN_DIRECT: usize = 10;

/// A conversation between a few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Direct {
    /// Between two, or among more.
    pub kind: DirectKind,
    /// Everybody who was ever in; who left a group may come back.
    pub participants: BTreeSet<AccountId>,
}

impl Direct {
    /// With whom somebody talks, in a conversation of two.
    pub fn other(&self, account: AccountId) -> Option<AccountId> {
        let mut others = self.participants.iter().filter(|&&other| other != account);
        others.next().copied().filter(|_| self.kind == DirectKind::Direct)
    }
}

/// What else there is to know of those who are to talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquaintance {
    /// One of them is no account.
    Unknown,
    /// Who asks has blocked one of them, or is blocked.
    Blocked,
    /// Nothing is in the way.
    Free,
}

/// What can be asked about a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectCommand {
    /// Begin it, or find it.
    Open {
        /// Its id, which follows from who talks.
        space: SpaceId,
        /// Its room.
        room: RoomId,
        /// Everybody, who asks among them.
        accounts: BTreeSet<AccountId>,
        /// What is known of them.
        acquaintance: Acquaintance,
    },
    /// Bring somebody into a group.
    Add {
        /// Whom.
        account: AccountId,
        /// What is known of them.
        acquaintance: Acquaintance,
    },
}

/// What everybody may do in a conversation.
pub fn rights() -> Permissions {
    Permissions::EXPRESSION.union(Permissions::only(Permission::View))
}

/// Whether who asks may ask that at all.
pub(super) fn may(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    command: &DirectCommand,
) -> Result<(), SpaceRejection> {
    match command {
        DirectCommand::Open { accounts, .. } if accounts.contains(&context.actor) => Ok(()),
        DirectCommand::Open { .. } => Err(SpaceRejection::NotFound),
        DirectCommand::Add { .. } => state.requires(context.membership, context.actor, Permission::View),
    }
}

pub(super) fn decide(state: &SpaceState, command: DirectCommand) -> Decision {
    match command {
        DirectCommand::Open { accounts, .. } if !(2..=MAX_IN_DIRECT).contains(&accounts.len()) => {
            Err(SpaceRejection::DirectSize)
        }
        DirectCommand::Open { acquaintance, .. } | DirectCommand::Add { acquaintance, .. }
            if acquaintance == Acquaintance::Unknown =>
        {
            Err(SpaceRejection::AccountNotFound)
        }
        // What was begun before somebody was blocked is still found, and read.
        DirectCommand::Open { .. } if state.direct.is_some() => Ok(vec![]),
        DirectCommand::Open { acquaintance, .. } | DirectCommand::Add { acquaintance, .. }
            if acquaintance == Acquaintance::Blocked =>
        {
            Err(SpaceRejection::Blocked)
        }
        DirectCommand::Open {
            space,
            room,
            accounts,
            ..
        } => Ok(open(space, room, accounts)),
        DirectCommand::Add { account, .. } => add(state, account),
    }
}

fn open(space: SpaceId, room: RoomId, accounts: BTreeSet<AccountId>) -> Vec<veza_events::space::SpaceEvent> {
    let kind = if accounts.len() == 2 {
        DirectKind::Direct
    } else {
        DirectKind::Group
    };
    let opened = DirectOpened {
        space,
        kind,
        accounts,
    };
    let first = RoomCreated {
        room,
        name: FIRST_ROOM.into(),
        kind: RoomKind::Text,
    };
    vec![opened.into(), first.into()]
}

fn add(state: &SpaceState, account: AccountId) -> Decision {
    let group = state
        .direct
        .as_ref()
        .filter(|direct| direct.kind == DirectKind::Group);
    let group = group.ok_or(SpaceRejection::NotAGroup)?;
    if group.participants.contains(&account) {
        return Ok(vec![]);
    }
    if group.participants.len() >= MAX_IN_DIRECT {
        return Err(SpaceRejection::DirectFull);
    }
    Ok(vec![DirectAdded { account }.into()])
}

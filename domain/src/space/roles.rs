//! Roles: who holds what is each member's, what it allows stands here.

use veza_events::{
    Permissions, RoleId,
    space::{RoleDefined, RoleRemoved},
};

use super::{Decision, MAX_REMOVED_ROLES, MAX_ROLES, Rank, Role, SpaceContext, SpaceRejection, SpaceState};
use crate::names;

pub(super) fn define(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    role: RoleId,
    mut new: Role,
) -> Decision {
    new.name = names::shown(&new.name).map_err(SpaceRejection::RoleName)?;
    if state.is_everyone(role) && new.rank != 0 {
        return Err(SpaceRejection::EveryoneFixed);
    }
    if state.removed_roles.contains(&role) {
        return Err(SpaceRejection::RoleRemoved);
    }
    let old = state.roles.get(&role);
    let highest = Rank::Of(old.map_or(new.rank, |old| old.rank.max(new.rank)));
    if state.rank(context.membership, context.actor) <= highest {
        return Err(SpaceRejection::RankTooLow);
    }
    let had = old.map_or(Permissions::NONE, |old| old.permissions);
    let mine = state.permissions(context.membership, context.actor);
    if !mine.includes(new.permissions.without(had)) {
        return Err(SpaceRejection::NotYoursToGive);
    }
    if old.is_none() && state.roles.len() >= MAX_ROLES {
        return Err(SpaceRejection::TooManyRoles);
    }
    if old == Some(&new) {
        return Ok(vec![]);
    }
    let Role {
        name,
        permissions,
        rank,
    } = new;
    Ok(vec![
        RoleDefined {
            role,
            name,
            permissions,
            rank,
        }
        .into(),
    ])
}

pub(super) fn remove(state: &SpaceState, context: &SpaceContext<'_>, role: RoleId) -> Decision {
    match state.roles.get(&role) {
        None => Err(SpaceRejection::RoleNotFound),
        Some(_) if state.is_everyone(role) => Err(SpaceRejection::EveryoneFixed),
        Some(old) if state.rank(context.membership, context.actor) <= Rank::Of(old.rank) => {
            Err(SpaceRejection::RankTooLow)
        }
        Some(_) if state.removed_roles.len() >= MAX_REMOVED_ROLES => Err(SpaceRejection::TooManyRoles),
        Some(_) => Ok(vec![RoleRemoved { role }.into()]),
    }
}

impl From<&RoleDefined> for Role {
    fn from(event: &RoleDefined) -> Self {
        Self {
            name: event.name.clone(),
            permissions: event.permissions,
            rank: event.rank,
        }
    }
}

//! Ways into a space: how many there may be, and how often one counts.

use veza_events::{
    Timestamp,
    space::{InviteCreated, InviteRevoked, InviteUsed},
};

use super::{Decision, MAX_INVITES, SpaceContext, SpaceRejection, SpaceState};

pub(super) fn create(state: &SpaceState, now: Timestamp, invite: InviteCreated) -> Decision {
    if invite.max_uses == Some(0) {
        return Err(SpaceRejection::InviteUses);
    }
    if invite.expires_at.is_some_and(|end| end <= now) {
        return Err(SpaceRejection::InviteTime);
    }
    if state.invites.contains_key(&invite.invite) {
        return Err(SpaceRejection::InviteExists);
    }
    let room_made = if state.invites.len() >= MAX_INVITES {
        let dead = state.invites.iter().find(|(_, invite)| !invite.is_usable(now));
        Some(*dead.ok_or(SpaceRejection::TooManyInvites)?.0)
    } else {
        None
    };
    let room_made = room_made.map(|invite| InviteRevoked { invite }.into());
    Ok(room_made.into_iter().chain([invite.into()]).collect())
}

pub(super) fn use_one(state: &SpaceState, context: &SpaceContext<'_>, digest: &str) -> Decision {
    let (invite, known) = state.usable_invite(digest, context.now)?;
    let used = InviteUsed {
        invite,
        account: context.actor,
    };
    Ok(known.max_uses.map(|_| used.into()).into_iter().collect())
}

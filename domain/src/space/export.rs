//! Who may have a space exported.

use veza_events::Permission;

use super::{SpaceContext, SpaceRejection, SpaceState};

/// Refuses who may not have all that was said in a space: who does not manage it, or does not see all of it. An
/// archive has every room as it was from the beginning.
///
/// # Errors
/// `space.not_found`, `space.not_allowed`, `space.not_all_visible`.
pub fn may_export(state: &SpaceState, context: &SpaceContext<'_>) -> Result<(), SpaceRejection> {
    let SpaceContext {
        actor, membership, ..
    } = *context;
    state.requires(membership, actor, Permission::ManageSpace)?;
    let sees = |room| {
        state
            .room_permissions(room, membership, actor)
            .has(Permission::View)
            && state.hidden_up_to(room, membership, actor) == 0
    };
    if state.rooms.keys().all(|room| sees(*room)) {
        Ok(())
    } else {
        Err(SpaceRejection::NotAllVisible)
    }
}

#[cfg(test)]
mod tests {
    use veza_events::{
        member::Membership,
        space::{Changed, History, OverrideSet, Place, RoleDefined, SpaceEvent, Whom},
    };

    use super::*;
    use crate::{
        Reject,
        space::tests::{LEADER, LEADERS, MEMBER, OWNER, ROOM, by, joined, set, space_with, stranger},
    };

    fn refused(more: &[SpaceEvent], context: &SpaceContext<'_>) -> Option<&'static str> {
        let space = space_with(more.iter().cloned()).0;
        may_export(&space, context)
            .err()
            .map(|rejection| rejection.code())
    }

    #[test]
    fn who_manages_a_space_and_sees_all_of_it_may_have_it() {
        let managing = RoleDefined {
            role: LEADERS,
            name: "r".into(),
            permissions: set(&[Permission::View, Permission::ManageSpace]),
            rank: 10,
        };
        let managing = SpaceEvent::from(managing);
        let hidden = OverrideSet {
            place: Place::Room(ROOM),
            whom: Whom::Account(LEADER),
            allow: set(&[]),
            deny: set(&[Permission::View]),
        };
        let since = Changed {
            name: None,
            history: Some(History::SinceJoined),
            previews: None,
        };
        assert_eq!(refused(&[], &by(stranger())), Some("space.not_found"));
        assert_eq!(refused(&[], &by(MEMBER)), Some("space.not_allowed"));
        assert_eq!(refused(&[], &by(LEADER)), Some("space.not_allowed"));
        assert_eq!(refused(&[], &by(OWNER)), None);
        let mut history = vec![managing];
        assert_eq!(refused(&history, &by(LEADER)), None);
        history.push(hidden.into());
        assert_eq!(refused(&history, &by(LEADER)), Some("space.not_all_visible"));
        assert_eq!(refused(&history, &by(OWNER)), None);
        history.pop();
        history.push(since.into());
        let late = Membership {
            joined: Some(7),
            ..joined(&[LEADERS])
        };
        let later = SpaceContext {
            membership: &late,
            ..by(LEADER)
        };
        assert_eq!(refused(&history, &later), Some("space.not_all_visible"));
    }
}

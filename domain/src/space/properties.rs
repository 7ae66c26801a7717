use proptest::prelude::*;
use uuid::Uuid;
use veza_events::member::Standing;

use super::{
    tests::{
        GUESTS, LEADER, LEADERS, MEMBER, ROOM, SPACE, by, change_room, create_invite, create_room, history,
        invite, joined, set, stranger,
    },
    *,
};
use crate::{Reject, fold};

fn any_permissions() -> impl Strategy<Value = Permissions> {
    prop::collection::vec(prop::sample::select(Permission::ALL), 0..9).prop_map(|all| set(&all))
}

fn any_role() -> impl Strategy<Value = RoleId> {
    (29_u128..34).prop_map(|n| {
        if n == 29 {
            RoleId::everyone(SPACE)
        } else {
            Uuid::from_u128(n).into()
        }
    })
}

fn any_command() -> impl Strategy<Value = SpaceCommand> {
    prop_oneof![
        (any_role(), any_permissions(), 0_u16..15).prop_map(|(role, permissions, rank)| {
            SpaceCommand::DefineRole {
                role,
                name: "r".into(),
                permissions,
                rank,
            }
        }),
        any_role().prop_map(|role| SpaceCommand::RemoveRole { role }),
        Just(create_room("x")),
        any::<bool>().prop_map(|archive| change_room(Some("x"), None, archive)),
        (1_u32..3).prop_map(|uses| create_invite(invite(Some(uses), None))),
        Just(SpaceCommand::UseInvite { digest: "d".into() }),
    ]
}

proptest! {
    #[test]
    fn nobody_gains_what_nobody_below_the_owner_had(
        commands in prop::collection::vec((any_command(), any::<bool>()), 0..40)
    ) {
        let mut state = fold::<Space>(&history(Preset::Team));
        let leader = joined(&[LEADERS]);
        let guest = joined(&[GUESTS]);
        let ceiling = state.permissions(&leader, LEADER).union(state.permissions(&guest, MEMBER));
        for (command, leads) in commands {
            let context = by(if leads { LEADER } else { MEMBER });
            for event in Space::decide(&state, &context, command).unwrap_or_default() {
                Space::evolve(&mut state, &event);
            }
            prop_assert!(ceiling.includes(state.permissions(&leader, LEADER)));
            prop_assert!(ceiling.includes(state.permissions(&guest, MEMBER)));
            prop_assert!(state.rank(&guest, MEMBER) < Rank::Owner);
            prop_assert_eq!(state.roles[&RoleId::everyone(SPACE)].rank, 0);
            prop_assert!(state.invites.values().all(|invite| invite.max_uses.is_none_or(|max| invite.uses <= max)));
        }
    }

    #[test]
    fn a_refusal_has_a_stable_code_and_words(command in any_command(), outside: bool) {
        let context = by(if outside { stranger() } else { MEMBER });
        if let Err(rejection) = Space::decide(&fold::<Space>(&history(Preset::Team)), &context, command) {
            let (aggregate, reason) = rejection.code().split_once('.').unwrap();
            let word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            prop_assert!(word(aggregate) && word(reason) && !rejection.to_string().is_empty());
        }
    }

    #[test]
    fn who_sees_no_room_may_do_nothing_there(roles in prop::collection::btree_set(any_role(), 0..4), muted: bool) {
        let state = fold::<Space>(&history(Preset::Private));
        let membership = Membership { standing: Standing::Joined, roles, muted, ..Membership::default() };
        let allowed = state.room_permissions(ROOM, &membership, MEMBER);
        prop_assert!(allowed.has(Permission::View) || allowed == Permissions::NONE);
        prop_assert!(state.permissions(&membership, MEMBER).includes(allowed));
        let out = Membership { standing: Standing::Out, ..membership };
        prop_assert_eq!(state.permissions(&out, MEMBER), Permissions::NONE);
    }
}

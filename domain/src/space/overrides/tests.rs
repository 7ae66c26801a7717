use proptest::prelude::*;
use uuid::Uuid;
use veza_events::{
    AccountId, RoleId,
    space::{CategoryCreated, RoleRemoved, RoomPlaced},
};

use super::super::{
    Preset, Space, SpaceCommand,
    tests::{
        GUESTS, LEADER, LEADERS, MEMBER, OWNER, ROOM, SPACE, by, create_room, history, joined, set as all,
        space, space_with, stranger,
    },
};
use super::*;
use crate::fold;

const CATEGORY: CategoryId = CategoryId::new(Uuid::from_u128(50));
const EVERYONE: Whom = Whom::Role(RoleId::everyone(SPACE));
const IN_ROOM: Place = Place::Room(ROOM);
const IN_CATEGORY: Place = Place::Category(CATEGORY);

fn overridden(place: Place, whom: Whom, allow: &[Permission], deny: &[Permission]) -> SpaceEvent {
    let (allow, deny) = (all(allow), all(deny));
    OverrideSet {
        place,
        whom,
        allow,
        deny,
    }
    .into()
}

fn command(place: Place, whom: Whom, allow: &[Permission], deny: &[Permission]) -> SpaceCommand {
    let to = Override {
        allow: all(allow),
        deny: all(deny),
    };
    SpaceCommand::Override(OverrideCommand::Set { place, whom, to })
}

fn lift(place: Place, whom: Whom) -> SpaceCommand {
    SpaceCommand::Override(OverrideCommand::Remove { place, whom })
}

fn categorised() -> [SpaceEvent; 2] {
    let made = CategoryCreated {
        category: CATEGORY,
        name: "c".into(),
        position: 0,
    };
    let placed = RoomPlaced {
        room: ROOM,
        category: Some(CATEGORY),
        position: 0,
    };
    [made.into(), placed.into()]
}

fn allowed(
    events: impl IntoIterator<Item = SpaceEvent>,
    roles: &[RoleId],
    account: AccountId,
) -> Permissions {
    space_with(events)
        .0
        .room_permissions(ROOM, &joined(roles), account)
}

/// Permission Post alone, worked out by each step of the published order.
#[test]
fn layers_count_in_the_published_order() {
    use Permission::Post;
    let posts = |layers: &[(Whom, bool)]| {
        let events = layers.iter().map(|&(whom, allow)| {
            let (yes, no): (&[_], &[_]) = if allow { (&[Post], &[]) } else { (&[], &[Post]) };
            overridden(IN_ROOM, whom, yes, no)
        });
        allowed(events, &[GUESTS, LEADERS], MEMBER).has(Post)
    };
    let (guests, leaders, member) = (Whom::Role(GUESTS), Whom::Role(LEADERS), Whom::Account(MEMBER));
    assert!(posts(&[]));
    assert!(!posts(&[(EVERYONE, false)]));
    assert!(posts(&[(EVERYONE, false), (guests, true)]));
    assert!(
        posts(&[(guests, true), (leaders, false)]),
        "one role that allows is enough"
    );
    assert!(!posts(&[(guests, true), (member, false)]));
    assert!(posts(&[(EVERYONE, false), (guests, false), (member, true)]));
    assert!(posts(&[(Whom::Account(LEADER), false)]), "somebody else's");
}

#[test]
fn the_owner_may_everything_whatever_is_overridden() {
    let denied = overridden(IN_ROOM, EVERYONE, &[], &[Permission::View]);
    assert_eq!(allowed([denied], &[], OWNER), Permissions::all());
}

#[test]
fn silence_outweighs_what_is_allowed() {
    let given = overridden(IN_ROOM, Whom::Account(MEMBER), &[Permission::Post], &[]);
    let muted = Membership {
        muted: true,
        ..joined(&[])
    };
    let found = space_with([given]).0.room_permissions(ROOM, &muted, MEMBER);
    assert!(found.has(Permission::View) && !found.has(Permission::Post));
}

#[test]
fn a_private_room_is_seen_by_who_makes_it_and_by_the_owner() {
    let room: RoomId = Uuid::from_u128(21).into();
    let make = |events: Vec<SpaceEvent>, category| {
        let SpaceCommand::CreateRoom { room, name, kind, .. } = create_room("den") else {
            unreachable!()
        };
        let create = SpaceCommand::CreateRoom {
            room,
            name,
            kind,
            category,
            private: true,
        };
        let mut state = space_with(events);
        let facts = state.when(&by(LEADER), create).0.unwrap();
        for fact in &facts {
            <Space as crate::Decider>::evolve(&mut state.0, fact);
        }
        state.0
    };
    let lets_in = overridden(IN_CATEGORY, Whom::Role(GUESTS), &[Permission::View], &[]);
    let in_category = categorised().into_iter().chain([lets_in]).collect();
    for state in [make(vec![], None), make(in_category, Some(CATEGORY))] {
        let sees = |roles: &[RoleId], account| state.room_permissions(room, &joined(roles), account);
        assert!(sees(&[LEADERS], LEADER).has(Permission::Post));
        assert!(sees(&[], OWNER).has(Permission::View));
        assert_eq!(sees(&[GUESTS], MEMBER), Permissions::NONE);
        assert_eq!(sees(&[LEADERS], MEMBER), Permissions::NONE);
    }
}

#[test]
fn a_category_speaks_for_its_rooms_until_they_have_their_own() {
    use Permission::{Post, View};
    let closed = overridden(IN_CATEGORY, EVERYONE, &[], &[View]);
    let in_it: Vec<_> = categorised().into_iter().chain([closed.clone()]).collect();
    assert_eq!(allowed(in_it.clone(), &[], MEMBER), Permissions::NONE);
    let own = overridden(IN_ROOM, Whom::Role(GUESTS), &[Post], &[]);
    let opened = in_it.iter().cloned().chain([own]);
    assert!(allowed(opened, &[], MEMBER).has(View));
    // So the first exception brings along what the category says.
    space_with(in_it)
        .when(&by(OWNER), command(IN_ROOM, Whom::Role(GUESTS), &[View], &[]))
        .then([
            overridden(IN_ROOM, EVERYONE, &[], &[View]),
            overridden(IN_ROOM, Whom::Role(GUESTS), &[View], &[]),
        ]);
}

#[test]
fn overriding_takes_the_right_the_rank_and_the_permission_itself() {
    use Permission::{Ban, ManageMessages, Post, View};
    let guests = Whom::Role(GUESTS);
    let leader = by(LEADER);
    space()
        .when(&leader, command(IN_ROOM, guests, &[Post], &[]))
        .then([overridden(IN_ROOM, guests, &[Post], &[])]);
    space()
        .when(&by(MEMBER), command(IN_ROOM, guests, &[Post], &[]))
        .then_rejected("space.not_allowed");
    space()
        .when(&by(stranger()), command(IN_ROOM, guests, &[Post], &[]))
        .then_rejected("space.not_found");
    space()
        .when(&leader, command(IN_ROOM, Whom::Role(LEADERS), &[Post], &[]))
        .then_rejected("role.rank_too_low");
    space()
        .when(&leader, command(IN_ROOM, guests, &[ManageMessages], &[]))
        .then_rejected("role.not_yours_to_give");
    space()
        .when(&leader, command(IN_ROOM, guests, &[], &[ManageMessages]))
        .then_rejected("role.not_yours_to_give");
    space()
        .when(&leader, command(IN_ROOM, guests, &[Ban], &[]))
        .then_rejected("override.space_wide");
    space()
        .when(&leader, command(IN_ROOM, guests, &[Post], &[Post]))
        .then_rejected("override.contradiction");
    let nobody = Whom::Role(Uuid::from_u128(77).into());
    space()
        .when(&leader, command(IN_ROOM, nobody, &[Post], &[]))
        .then_rejected("role.not_found");
    let nowhere = Place::Room(Uuid::from_u128(78).into());
    space()
        .when(&leader, command(nowhere, guests, &[Post], &[]))
        .then_rejected("room.not_found");
    space()
        .when(&leader, command(IN_CATEGORY, guests, &[Post], &[]))
        .then_rejected("category.not_found");
    let hidden = [overridden(IN_ROOM, Whom::Account(LEADER), &[], &[View])];
    space_with(hidden)
        .when(&leader, command(IN_ROOM, guests, &[Post], &[]))
        .then_rejected("room.not_found");
}

#[test]
fn an_account_is_overridden_from_above_while_it_is_in() {
    let (out, guest, peer) = (Membership::default(), joined(&[GUESTS]), joined(&[LEADERS]));
    let on = |target| SpaceContext { target, ..by(LEADER) };
    let deny = |account| command(IN_ROOM, Whom::Account(account), &[], &[Permission::Post]);
    let denied = overridden(IN_ROOM, Whom::Account(MEMBER), &[], &[Permission::Post]);
    space().when(&on(&guest), deny(MEMBER)).then([denied.clone()]);
    space()
        .when(&on(&peer), deny(MEMBER))
        .then_rejected("role.rank_too_low");
    space()
        .when(&on(&guest), deny(OWNER))
        .then_rejected("role.rank_too_low");
    space()
        .when(&on(&out), deny(MEMBER))
        .then_rejected("member.not_found");
    let lift = || lift(IN_ROOM, Whom::Account(MEMBER));
    space().when(&on(&out), lift()).then_nothing();
    let (place, whom) = (IN_ROOM, Whom::Account(MEMBER));
    space_with([denied])
        .when(&on(&out), lift())
        .then([OverrideRemoved { place, whom }]);
}

#[test]
fn the_last_override_that_goes_brings_the_categorys_back_by_right_alone() {
    use Permission::{ManageMessages, Post};
    let events = categorised().into_iter().chain([
        overridden(IN_CATEGORY, Whom::Role(GUESTS), &[ManageMessages], &[]),
        overridden(IN_ROOM, Whom::Role(GUESTS), &[Post], &[]),
    ]);
    let state = space_with(events);
    let lift = || lift(IN_ROOM, Whom::Role(GUESTS));
    state
        .when(&by(LEADER), lift())
        .then_rejected("role.not_yours_to_give");
    let (place, whom) = (IN_ROOM, Whom::Role(GUESTS));
    state
        .when(&by(OWNER), lift())
        .then([OverrideRemoved { place, whom }]);
}

#[test]
fn a_role_that_is_removed_takes_its_overrides_along() {
    let events = [
        overridden(IN_ROOM, Whom::Role(GUESTS), &[], &[Permission::View]),
        RoleRemoved { role: GUESTS }.into(),
    ];
    assert!(space_with(events).0.rooms[&ROOM].overrides.is_empty());
}

#[test]
fn a_place_has_no_more_overrides_than_it_may() {
    let many = (0..MAX_OVERRIDES as u128).map(|n| {
        overridden(
            IN_ROOM,
            Whom::Account(Uuid::from_u128(1_000 + n).into()),
            &[Permission::Post],
            &[],
        )
    });
    space_with(many)
        .when(
            &by(OWNER),
            command(IN_ROOM, Whom::Role(GUESTS), &[Permission::Post], &[]),
        )
        .then_rejected("override.too_many");
}

fn any_permissions() -> impl Strategy<Value = Permissions> {
    let in_rooms: Vec<Permission> = Permissions::IN_ROOMS.iter().collect();
    prop::collection::vec(prop::sample::select(in_rooms), 0..5).prop_map(|list| list.into_iter().collect())
}

fn any_whom() -> impl Strategy<Value = Whom> {
    prop_oneof![
        prop::sample::select(&[EVERYONE, Whom::Role(LEADERS), Whom::Role(GUESTS)]),
        prop::sample::select(&[Whom::Account(LEADER), Whom::Account(MEMBER)]),
    ]
}

fn any_change() -> impl Strategy<Value = SpaceCommand> {
    let place = || prop::sample::select(&[IN_ROOM, IN_CATEGORY]);
    prop_oneof![
        3 => (place(), any_whom(), any_permissions(), any_permissions()).prop_map(|(place, whom, allow, deny)| {
            let to = Override { allow, deny: deny.without(allow) };
            SpaceCommand::Override(OverrideCommand::Set { place, whom, to })
        }),
        1 => (place(), any_whom()).prop_map(|(place, whom)| lift(place, whom)),
        1 => any::<bool>().prop_map(|inside| SpaceCommand::Order(super::super::OrderCommand::Place {
            room: ROOM,
            category: inside.then_some(CATEGORY),
            position: 0,
        })),
    ]
}

proptest! {
    #[test]
    fn nobody_gains_in_a_room_what_nobody_below_the_owner_had(
        changes in prop::collection::vec((any_change(), any::<bool>()), 0..40)
    ) {
        let events: Vec<_> = history(Preset::Team).into_iter().chain(categorised()).collect();
        let mut state = fold::<Space>(&events);
        let (leader, guest) = (joined(&[LEADERS]), joined(&[GUESTS]));
        let ceiling = state.permissions(&leader, LEADER).union(state.permissions(&guest, MEMBER));
        for (change, leads) in changes {
            let actor = if leads { LEADER } else { MEMBER };
            let target = match change.about() {
                Some(LEADER) => &leader,
                Some(_) => &guest,
                None => if leads { &leader } else { &guest },
            };
            let context = SpaceContext { target, ..by(actor) };
            for fact in <Space as crate::Decider>::decide(&state, &context, change).unwrap_or_default() {
                <Space as crate::Decider>::evolve(&mut state, &fact);
            }
            for (membership, account) in [(&leader, LEADER), (&guest, MEMBER)] {
                prop_assert!(ceiling.includes(state.room_permissions(ROOM, membership, account)));
            }
            prop_assert!(state.rooms[&ROOM].overrides.len() <= MAX_OVERRIDES);
        }
    }

    #[test]
    fn who_sees_no_room_may_nothing_there_whatever_is_overridden(
        layers in prop::collection::vec((any_whom(), any_permissions(), any_permissions()), 0..6),
        roles in prop::collection::btree_set(prop::sample::select(&[LEADERS, GUESTS]), 0..3),
    ) {
        let set = layers.into_iter().map(|(whom, allow, deny)| {
            OverrideSet { place: IN_ROOM, whom, allow, deny }.into()
        });
        let state = space_with(set).0;
        let membership = Membership { roles, ..joined(&[]) };
        let found = state.room_permissions(ROOM, &membership, MEMBER);
        prop_assert!(found.has(Permission::View) || found == Permissions::NONE);
        prop_assert_eq!(state.room_permissions(ROOM, &Membership::default(), MEMBER), Permissions::NONE);
    }
}

use uuid::Uuid;
use veza_events::{member::Membership, space::SpaceEvent};

use super::super::{
    Space, SpaceCommand,
    tests::{LEADER, MEMBER, OWNER, ROOM, SPACE, at, joined, space, stranger},
};
use super::*;
use crate::scenario::{Given, given};

fn opened(accounts: &[AccountId]) -> [SpaceEvent; 2] {
    let all = open(SPACE, ROOM, accounts.iter().copied().collect());
    all.try_into().unwrap()
}

fn conversation(accounts: &[AccountId]) -> Given<Space> {
    given(opened(accounts))
}

fn open_it(accounts: &[AccountId], acquaintance: Acquaintance) -> SpaceCommand {
    SpaceCommand::Direct(DirectCommand::Open {
        space: SPACE,
        room: ROOM,
        accounts: accounts.iter().copied().collect(),
        acquaintance,
    })
}

fn add(account: AccountId, acquaintance: Acquaintance) -> SpaceCommand {
    SpaceCommand::Direct(DirectCommand::Add {
        account,
        acquaintance,
    })
}

fn by(actor: AccountId, membership: &Membership) -> SpaceContext<'_> {
    SpaceContext {
        now: at(0),
        actor,
        membership,
        target: membership,
    }
}

#[test]
fn a_conversation_is_opened_by_one_of_those_who_talk_and_found_again() {
    use Acquaintance::{Blocked, Free, Unknown};
    let out = Membership::default();
    let none = given::<Space>([]);
    let pair = [OWNER, MEMBER];
    none.when(&by(OWNER, &out), open_it(&pair, Free))
        .then(opened(&pair));
    none.when(&by(LEADER, &out), open_it(&pair, Free))
        .then_rejected("space.not_found");
    none.when(&by(OWNER, &out), open_it(&[OWNER], Free))
        .then_rejected("direct.size_invalid");
    let many: Vec<AccountId> = (1..=11).map(|n| Uuid::from_u128(n).into()).collect();
    none.when(&by(OWNER, &out), open_it(&many, Free))
        .then_rejected("direct.size_invalid");
    none.when(&by(OWNER, &out), open_it(&pair, Unknown))
        .then_rejected("account.not_found");
    none.when(&by(OWNER, &out), open_it(&pair, Blocked))
        .then_rejected("account.blocked");
    let there = conversation(&pair);
    there
        .when(&by(MEMBER, &joined(&[])), open_it(&pair, Free))
        .then_nothing();
    there
        .when(&by(MEMBER, &joined(&[])), open_it(&pair, Blocked))
        .then_nothing();
}

#[test]
fn nobody_is_above_the_others() {
    let state = conversation(&[OWNER, MEMBER]).0;
    for account in [OWNER, MEMBER] {
        assert_eq!(state.room_permissions(ROOM, &joined(&[]), account), rights());
        assert!(!state.is_owner(account));
    }
    assert_eq!(
        state.room_permissions(ROOM, &Membership::default(), LEADER),
        Permissions::NONE
    );
    let rename = SpaceCommand::Change {
        name: Some("mine".into()),
        history: None,
        previews: None,
    };
    Given::<Space>(state)
        .when(&by(OWNER, &joined(&[])), rename)
        .then_rejected("space.not_allowed");
}

#[test]
fn a_group_grows_up_to_its_limit_and_a_pair_does_not() {
    use Acquaintance::{Blocked, Free};
    let trio = [OWNER, LEADER, MEMBER];
    let inside = joined(&[]);
    let group = conversation(&trio);
    let account = stranger();
    group
        .when(&by(OWNER, &inside), add(account, Free))
        .then([DirectAdded { account }]);
    group
        .when(&by(OWNER, &inside), add(account, Blocked))
        .then_rejected("account.blocked");
    group.when(&by(OWNER, &inside), add(MEMBER, Free)).then_nothing();
    group
        .when(&by(stranger(), &Membership::default()), add(account, Free))
        .then_rejected("space.not_found");
    let pair = conversation(&[OWNER, MEMBER]);
    pair.when(&by(OWNER, &inside), add(account, Free))
        .then_rejected("direct.not_a_group");
    space()
        .when(&by(OWNER, &inside), add(account, Free))
        .then_rejected("direct.not_a_group");
    let full: Vec<AccountId> = (1..=10).map(|n| Uuid::from_u128(n).into()).collect();
    conversation(&full)
        .when(&by(OWNER, &inside), add(account, Free))
        .then_rejected("direct.full");
}

#[test]
fn the_other_is_told_in_a_pair_alone() {
    let other = |accounts: &[AccountId]| conversation(accounts).0.direct.unwrap().other(OWNER);
    assert_eq!(other(&[OWNER, MEMBER]), Some(MEMBER));
    assert_eq!(other(&[OWNER, LEADER, MEMBER]), None);
}

use super::*;
use crate::space::{
    Space, SpaceCommand,
    tests::{LEADER, MEMBER, OWNER, at, by, joined, space, space_with},
};
use crate::{Decider, fold};

fn set(joins_per_minute: u32, hold_s: u32) -> SpaceCommand {
    SpaceCommand::Raid(RaidCommand::Set {
        joins_per_minute,
        hold_s,
    })
}

fn switch(active: bool) -> SpaceCommand {
    SpaceCommand::Raid(RaidCommand::Switch { active })
}

fn brake(joins_per_minute: u32) -> SpaceEvent {
    RaidBrakeSet {
        joins_per_minute,
        hold_s: 120,
    }
    .into()
}

fn begun(by: Option<AccountId>) -> RaidBegun {
    RaidBegun {
        until: at(2),
        by,
        owner: OWNER,
    }
}

#[test]
fn more_than_a_space_expects_within_a_minute_are_a_raid() {
    let mut state = fold::<Space>(&crate::space::tests::history(crate::space::Preset::Team));
    Space::evolve(&mut state, &brake(2));
    let mut come = |minute| {
        let context = SpaceContext {
            now: at(minute),
            ..by(MEMBER)
        };
        let facts = arrive(&state, &context);
        for fact in &facts {
            Space::evolve(&mut state, fact);
        }
        (facts.len(), state.brake.holds(at(minute)).is_some())
    };
    assert_eq!(come(0), (1, false));
    assert_eq!(come(0), (1, false));
    assert_eq!(come(1), (1, false), "a minute later it counts anew");
    assert_eq!(come(1), (1, false));
    assert_eq!(come(1), (2, true), "the third within a minute");
    assert_eq!(come(1), (0, true), "during a raid nobody is counted");
    assert_eq!(come(4), (1, false), "it ends by itself");
}

#[test]
fn who_is_held_is_let_go_by_time_or_by_the_end_of_the_raid() {
    let held = Membership {
        held: Some(Held {
            since: at(1),
            until: at(5),
        }),
        ..joined(&[])
    };
    let mut brake = Brake::default();
    assert!(brake.is_held(&held, at(4)) && !brake.is_held(&held, at(5)));
    brake.released_at = Some(at(0));
    assert!(brake.is_held(&held, at(4)), "an earlier raid was ended");
    brake.released_at = Some(at(3));
    assert!(!brake.is_held(&held, at(4)));
}

#[test]
fn who_silences_members_switches_and_who_manages_the_space_sets_the_brake() {
    space_with([brake(2)])
        .when(&by(LEADER), switch(true))
        .then([begun(Some(LEADER))]);
    space().when(&by(LEADER), switch(false)).then_nothing();
    let raid = || space_with([brake(2), begun(None).into()]);
    raid().when(&by(LEADER), switch(true)).then_nothing();
    raid().when(&by(LEADER), switch(false)).then([RaidEnded {
        by: LEADER,
        at: at(0),
    }]);
    space()
        .when(&by(MEMBER), switch(true))
        .then_rejected("space.not_allowed");
    space()
        .when(&by(LEADER), set(5, 60))
        .then_rejected("space.not_allowed");
    space().when(&by(OWNER), set(5, 60)).then([RaidBrakeSet {
        joins_per_minute: 5,
        hold_s: 60,
    }]);
    space_with([brake(2)])
        .when(&by(OWNER), set(2, 120))
        .then_nothing();
    for (joins, hold) in [(MAX_JOINS_PER_MINUTE + 1, 60), (1, 59), (1, HOLD_S.1 + 1)] {
        space()
            .when(&by(OWNER), set(joins, hold))
            .then_rejected("raid.brake_invalid");
    }
}

use std::collections::BTreeSet;

use veza_events::{
    member::Membership,
    space::{FilterKind, FiltersSet},
};

use super::*;
use crate::{
    Reject,
    held::tests::held,
    room::tests::{LIMITS, posted, say, space},
    space::{
        Preset,
        tests::{MEMBER, OWNER, ROOM, at, joined},
    },
};

#[test]
fn what_a_rule_holds_back_is_stored_beside_the_timeline() {
    let rule = |action| FilterRule {
        name: "language".into(),
        kind: FilterKind::Words,
        entries: vec!["zut".into()],
        time_out_s: None,
        action,
        exempt: BTreeSet::new(),
    };
    let with = |action| {
        let rules = FiltersSet {
            rules: vec![rule(action)],
        };
        space(Preset::Open, [rules.into()])
    };
    let (holds, refuses) = (with(FilterAction::Hold), with(FilterAction::Refuse));
    say(&refuses, MEMBER, &joined(&[]), "zut").then_rejected("message.filtered");
    say(&holds, OWNER, &joined(&[]), "zut").then([posted(OWNER, "zut")]);
    say(&holds, MEMBER, &joined(&[]), "fine").then([posted(MEMBER, "fine")]);
    let MessagePosted { message, .. } = posted(MEMBER, "zut");
    let held = MessageHeld { message, ..held() };
    assert_eq!(
        say(&holds, MEMBER, &joined(&[]), "zut").0,
        Err(RoomRejection::HeldBack(Box::new(held)))
    );
    // Somebody who may say nothing at all is told that, and nothing waits.
    let muted = Membership {
        muted: true,
        ..joined(&[])
    };
    say(&holds, MEMBER, &muted, "zut").then_rejected("room.muted");
    let membership = joined(&[]);
    let context = RoomContext {
        room: ROOM,
        parent: None,
        space: &holds,
        actor: MEMBER,
        membership: &membership,
        limits: LIMITS,
        now: at(0),
        blocked: false,
    };
    assert_eq!(could_be_said(&context, "zut"), Ok(()));
    // Files do not wait, and neither do new texts of what was said.
    assert_eq!(
        waits_for(&context, "zut", false).unwrap_err().code(),
        "message.filtered"
    );
    assert_eq!(
        may_be_said(&context, "zut").unwrap_err().code(),
        "message.filtered"
    );
}

use uuid::Uuid;
use veza_events::{MessageId, Sealed, space::RoomArchived};

use super::*;
use crate::{
    room::tests::LIMITS,
    scenario::given,
    space::tests::{LEADER, MEMBER, OWNER, ROOM, SPACE, at, joined, space_with, stranger},
};

const MESSAGE: MessageId = MessageId::new(Uuid::from_u128(80));

pub(crate) fn held() -> MessageHeld {
    MessageHeld {
        message: MESSAGE,
        space: SPACE,
        room: ROOM,
        parent: None,
        author: MEMBER,
        body: "zut".into(),
        reply_to: None,
        mentions: None,
        shown_as: None,
        rule: "language".into(),
    }
}

fn approved() -> MessageApproved {
    MessageApproved {
        message: MESSAGE,
        space: SPACE,
        room: ROOM,
        author: MEMBER,
        by: OWNER,
    }
}

fn decide(
    history: Vec<HeldEvent>,
    actor: AccountId,
    author: &Membership,
    archived: bool,
    command: HeldCommand,
) -> Decision {
    let more = archived.then(|| RoomArchived { room: ROOM }.into());
    let space = space_with(more).0;
    let membership = if actor == stranger() {
        Membership::default()
    } else {
        joined(&[])
    };
    let context = HeldContext {
        actor,
        membership: &membership,
        author: RoomContext {
            room: ROOM,
            parent: None,
            space: &space,
            actor: MEMBER,
            membership: author,
            limits: LIMITS,
            now: at(0),
            blocked: false,
        },
    };
    given::<Held>(history).when(&context, command).0
}

fn code(decision: Decision) -> &'static str {
    decision.expect_err("it is refused").code()
}

#[test]
fn who_manages_messages_decides_once() {
    let author = joined(&[]);
    let waiting = || vec![held().into()];
    for command in [HeldCommand::Approve, HeldCommand::Reject] {
        let ask = |history, actor| decide(history, actor, &author, false, command);
        assert_eq!(code(ask(vec![], OWNER)), "held.not_found");
        assert_eq!(code(ask(waiting(), stranger())), "held.not_found");
        assert_eq!(code(ask(waiting(), LEADER)), "space.not_allowed");
        assert_eq!(code(ask(waiting(), MEMBER)), "space.not_allowed");
        assert_eq!(
            code(ask(vec![held().into(), approved().into()], OWNER)),
            "held.decided"
        );
    }
    assert_eq!(
        decide(waiting(), OWNER, &author, false, HeldCommand::Approve).unwrap(),
        [approved().into()]
    );
}

#[test]
fn it_is_said_as_it_was_written() {
    let state = given::<Held>([held().into()]).0;
    let posted = state.posted().unwrap();
    assert_eq!(
        (posted.message, posted.author, posted.room),
        (MESSAGE, MEMBER, ROOM)
    );
    assert_eq!(posted.body.clear().map(String::as_str), Some("zut"));
}

#[test]
fn what_cannot_be_said_any_more_can_only_be_rejected() {
    let (author, gone) = (joined(&[]), Membership::default());
    let silent = Membership {
        muted: true,
        ..joined(&[])
    };
    let waiting = || vec![held().into()];
    let closed = MessageHeld {
        body: Sealed::Closed("x".into()),
        ..held()
    };
    for (history, author, archived, refusal) in [
        (waiting(), &gone, false, "held.author_gone"),
        (waiting(), &silent, false, "held.author_silenced"),
        (waiting(), &author, true, "held.author_silenced"),
        (vec![closed.into()], &author, false, "held.unreadable"),
    ] {
        let ask = |command| decide(history.clone(), OWNER, author, archived, command);
        assert_eq!(code(ask(HeldCommand::Approve)), refusal);
        assert_eq!(ask(HeldCommand::Reject).unwrap().len(), 1);
    }
}

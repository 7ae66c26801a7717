use uuid::Uuid;
use veza_events::space::{Changed, History, SpaceEvent};

use super::*;
use crate::{
    fold,
    scenario::{Given, given},
    space::{
        Preset, Space,
        tests::{LEADER, MEMBER, OWNER, ROOM, SPACE, history, joined},
    },
};

const ORIGINAL: Original = Original {
    message: veza_events::MessageId::new(Uuid::from_u128(50)),
    posted: 7,
    author: LEADER,
};

fn space(preset: Preset, more: Option<SpaceEvent>) -> SpaceState {
    let history: Vec<_> = history(preset).into_iter().chain(more).collect();
    fold::<Space>(&history)
}

fn report() -> ReportId {
    ReportId::of(ORIGINAL.message, MEMBER)
}

fn file(note: Option<&str>) -> ReportCommand {
    ReportCommand::File {
        report: report(),
        room: ROOM,
        gate: ROOM,
        original: ORIGINAL,
        reason: ReportReason::Spam,
        note: note.map(Into::into),
    }
}

fn filed(note: Option<&str>) -> Filed {
    Filed {
        report: report(),
        space: SPACE,
        room: ROOM,
        gate: ROOM,
        message: ORIGINAL.message,
        posted: 7,
        author: LEADER,
        by: MEMBER,
        reason: ReportReason::Spam,
        note: note.map(Into::into),
    }
}

fn resolve() -> ReportCommand {
    ReportCommand::Resolve {
        action: ReportAction::Deleted,
        note: None,
    }
}

fn resolved() -> Resolved {
    Resolved {
        report: report(),
        space: SPACE,
        message: ORIGINAL.message,
        by: OWNER,
        action: ReportAction::Deleted,
        note: None,
    }
}

fn given_filed() -> Given<Report> {
    given([filed(None).into()])
}

#[test]
fn who_may_read_a_message_reports_it_once() {
    let (team, private) = (space(Preset::Team, None), space(Preset::Private, None));
    let since = Changed {
        name: None,
        history: Some(History::SinceJoined),
        previews: None,
    };
    let limited = space(Preset::Team, Some(since.into()));
    let (plain, out) = (joined(&[]), Membership::default());
    let late = Membership {
        joined: Some(7),
        ..joined(&[])
    };
    let context = |space, actor, membership| ReportContext {
        space,
        actor,
        membership,
    };
    let by_member = context(&team, MEMBER, &plain);
    let new = || given::<Report>([]);
    new()
        .when(&by_member, file(Some("look")))
        .then([filed(Some("look"))]);
    new().when(&by_member, file(Some(" "))).then([filed(None)]);
    given_filed().when(&by_member, file(None)).then_nothing();
    given::<Report>([filed(None).into(), resolved().into()])
        .when(&by_member, file(None))
        .then_nothing();
    new()
        .when(&context(&team, LEADER, &plain), file(None))
        .then_rejected("report.own_message");
    new()
        .when(&context(&private, MEMBER, &plain), file(None))
        .then_rejected("room.not_found");
    new()
        .when(&context(&team, MEMBER, &out), file(None))
        .then_rejected("space.not_found");
    new()
        .when(&context(&limited, MEMBER, &late), file(None))
        .then_rejected("message.not_found");
    for note in ["x".repeat(MAX_NOTE_CHARS + 1), "x\u{7}".into()] {
        new()
            .when(&by_member, file(Some(&note)))
            .then_rejected("report.note_invalid");
    }
}

#[test]
fn who_manages_messages_resolves_it_once() {
    let team = space(Preset::Team, None);
    let (plain, out) = (joined(&[]), Membership::default());
    let context = |actor, membership| ReportContext {
        space: &team,
        actor,
        membership,
    };
    let owner = context(OWNER, &plain);
    given_filed().when(&owner, resolve()).then([resolved()]);
    given::<Report>([filed(None).into(), resolved().into()])
        .when(&owner, resolve())
        .then_rejected("report.resolved");
    given::<Report>([])
        .when(&owner, resolve())
        .then_rejected("report.not_found");
    given_filed()
        .when(&context(MEMBER, &plain), resolve())
        .then_rejected("space.not_allowed");
    given_filed()
        .when(&context(MEMBER, &out), resolve())
        .then_rejected("report.not_found");
}

use uuid::Uuid;
use veza_events::{
    AccountId,
    member::Membership,
    space::{FilterKind, FilterRule, FiltersSet, SpaceEvent},
};

use super::*;
use crate::{
    fold,
    room::{BodyLimit, RoomLimits},
    scenario::{Given, given},
    space::{
        Preset, Space, SpaceState,
        tests::{MEMBER, ROOM, SPACE, history, joined},
    },
};

const ONE: ScheduledId = ScheduledId::new(Uuid::from_u128(70));
const MESSAGE: MessageId = MessageId::new(Uuid::from_u128(71));
const LIMITS: ScheduleLimits = ScheduleLimits {
    messages: 2,
    horizon: Duration::from_secs(100),
};

fn at(second: u32) -> Timestamp {
    let (minute, second) = (second / 60, second % 60);
    format!("2026-01-01T00:{minute:02}:{second:02}Z").parse().unwrap()
}

fn space(preset: Preset, more: Option<SpaceEvent>) -> SpaceState {
    let history: Vec<_> = history(preset).into_iter().chain(more).collect();
    fold::<Space>(&history)
}

fn context<'a>(space: &'a SpaceState, membership: &'a Membership, now: Timestamp) -> ScheduleContext<'a> {
    let body = BodyLimit {
        chars: 10,
        bytes: 20,
        attachments: 2,
    };
    ScheduleContext {
        room: RoomContext {
            room: ROOM,
            parent: None,
            space,
            actor: MEMBER,
            membership,
            limits: RoomLimits {
                body,
                reactions: 2,
                pins: 2,
            },
            now,
            blocked: false,
        },
        limits: LIMITS,
    }
}

fn add(body: &str, at: Timestamp) -> ScheduleCommand {
    ScheduleCommand::Add {
        scheduled: ONE,
        body: body.into(),
        reply_to: None,
        mentions: Mentions::default(),
        at,
    }
}

fn added(scheduled: ScheduledId, at: Timestamp) -> ScheduleEvent {
    let account: AccountId = MEMBER;
    MessageAdded {
        scheduled,
        space: SPACE,
        account,
        room: ROOM,
        body: "hi".into(),
        reply_to: None,
        mentions: None,
        at,
    }
    .into()
}

fn waiting() -> Given<Schedule> {
    given::<Schedule>([added(ONE, at(60))])
}

fn refused() -> ScheduleEvent {
    MessageRefused {
        scheduled: ONE,
        code: "room.muted".into(),
    }
    .into()
}

const SEND: ScheduleCommand = ScheduleCommand::Send {
    scheduled: ONE,
    message: MESSAGE,
};

#[test]
fn who_may_post_now_may_post_later() {
    let space = space(Preset::Open, None);
    let member = joined(&[]);
    let muted = Membership {
        muted: true,
        ..joined(&[])
    };
    let stranger = Membership::default();
    let (may, may_not, out) = (
        context(&space, &member, at(0)),
        context(&space, &muted, at(0)),
        context(&space, &stranger, at(0)),
    );
    given::<Schedule>([])
        .when(&may, add("hi", at(60)))
        .then([added(ONE, at(60))]);
    given::<Schedule>([])
        .when(&may_not, add("hi", at(60)))
        .then_rejected("room.muted");
    given::<Schedule>([])
        .when(&out, add("hi", at(60)))
        .then_rejected("space.not_found");
    given::<Schedule>([])
        .when(&may, add(" ", at(60)))
        .then_rejected("room.message_empty");
    given::<Schedule>([])
        .when(&may, add("more than ten", at(60)))
        .then_rejected("room.message_too_long");
}

#[test]
fn what_a_rule_catches_is_not_even_scheduled() {
    let rule = FilterRule {
        name: "language".into(),
        kind: FilterKind::Words,
        entries: vec!["zut".into()],
        time_out_s: None,
        action: veza_events::space::FilterAction::Refuse,
        exempt: std::collections::BTreeSet::new(),
    };
    let space = space(Preset::Open, Some(FiltersSet { rules: vec![rule] }.into()));
    let member = joined(&[]);
    let context = context(&space, &member, at(0));
    given::<Schedule>([])
        .when(&context, add("zut", at(60)))
        .then_rejected("message.filtered");
    let text = Some(("zut".into(), Mentions::default()));
    let change = ScheduleCommand::Change {
        scheduled: ONE,
        text,
        at: None,
    };
    waiting().when(&context, change).then_rejected("message.filtered");
}

#[test]
fn its_time_is_ahead_and_not_too_far() {
    let space = space(Preset::Open, None);
    let member = joined(&[]);
    let context = context(&space, &member, at(100));
    for (when, code) in [
        (at(99), "schedule.past"),
        (at(100), "schedule.past"),
        (at(201), "schedule.too_far"),
    ] {
        given::<Schedule>([])
            .when(&context, add("hi", when))
            .then_rejected(code);
        let change = ScheduleCommand::Change {
            scheduled: ONE,
            text: None,
            at: Some(when),
        };
        waiting().when(&context, change).then_rejected(code);
    }
    given::<Schedule>([])
        .when(&context, add("hi", at(200)))
        .then([added(ONE, at(200))]);
}

#[test]
fn so_many_wait_and_no_more() {
    let space = space(Preset::Open, None);
    let member = joined(&[]);
    let context = context(&space, &member, at(0));
    let others = [2, 3].map(|n| added(ScheduledId::new(Uuid::from_u128(n)), at(60)));
    given::<Schedule>(others)
        .when(&context, add("hi", at(60)))
        .then_rejected("schedule.too_many");
}

#[test]
fn it_is_sent_once_and_not_before_its_time() {
    let space = space(Preset::Open, None);
    let member = joined(&[]);
    let (early, due) = (context(&space, &member, at(59)), context(&space, &member, at(60)));
    let sent = MessageSent {
        scheduled: ONE,
        message: MESSAGE,
    };
    waiting().when(&early, SEND).then_rejected("schedule.not_found");
    waiting().when(&due, SEND).then([sent.clone()]);
    given::<Schedule>([added(ONE, at(60)), sent.into()])
        .when(&due, SEND)
        .then_rejected("schedule.not_found");
}

#[test]
fn what_was_cancelled_or_refused_is_not_sent() {
    let space = space(Preset::Open, None);
    let member = joined(&[]);
    let due = context(&space, &member, at(60));
    let cancelled = MessageCancelled { scheduled: ONE };
    waiting()
        .when(&due, ScheduleCommand::Cancel { scheduled: ONE })
        .then([cancelled.clone()]);
    for history in [cancelled.into(), refused()] {
        given::<Schedule>([added(ONE, at(60)), history])
            .when(&due, SEND)
            .then_rejected("schedule.not_found");
    }
}

#[test]
fn a_refused_one_is_tried_again_when_its_author_says_when() {
    let space = space(Preset::Open, None);
    let member = joined(&[]);
    let now = context(&space, &member, at(70));
    let again = || given::<Schedule>([added(ONE, at(60)), refused()]);
    let text = || Some(("ho".to_owned(), Mentions::default()));
    let change = |text, at| ScheduleCommand::Change {
        scheduled: ONE,
        text,
        at,
    };
    again()
        .when(&now, change(text(), None))
        .then_rejected("schedule.past");
    let changed = MessageChanged {
        scheduled: ONE,
        body: Some("ho".into()),
        mentions: None,
        at: Some(at(80)),
    };
    again()
        .when(&now, change(text(), Some(at(80))))
        .then([changed.clone()]);
    let sent = MessageSent {
        scheduled: ONE,
        message: MESSAGE,
    };
    given::<Schedule>([added(ONE, at(60)), refused(), changed.into()])
        .when(&context(&space, &member, at(80)), SEND)
        .then([sent]);
    waiting().when(&now, change(None, None)).then_nothing();
}

#[test]
fn it_is_refused_once() {
    let space = space(Preset::Open, None);
    let member = joined(&[]);
    let due = context(&space, &member, at(60));
    let refuse = || ScheduleCommand::Refuse {
        scheduled: ONE,
        code: "room.muted".into(),
    };
    waiting().when(&due, refuse()).then([refused()]);
    given::<Schedule>([added(ONE, at(60)), refused()])
        .when(&due, refuse())
        .then_nothing();
    given::<Schedule>([])
        .when(&due, refuse())
        .then_rejected("schedule.not_found");
}

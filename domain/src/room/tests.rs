use proptest::prelude::*;
use uuid::Uuid;
use veza_events::space::{RoomArchived, RoomChanged, SpaceEvent, WebhookCreated};

use super::*;
use crate::{
    Reject, fold,
    member::at_present,
    scenario::{Outcome, given},
    space::{
        Preset, Space,
        tests::{LEADER, LEADERS, MEMBER, OWNER, ROOM, SPACE, at, history, joined},
    },
};

const LIMIT: BodyLimit = BodyLimit {
    chars: 10,
    bytes: 20,
    attachments: 2,
};
pub(crate) const LIMITS: RoomLimits = RoomLimits {
    body: LIMIT,
    reactions: 2,
    pins: 2,
};

pub(super) fn space(preset: Preset, more: impl IntoIterator<Item = SpaceEvent>) -> SpaceState {
    let history: Vec<_> = history(preset).into_iter().chain(more).collect();
    fold::<Space>(&history)
}

fn post(body: &str) -> RoomCommand {
    RoomCommand::Post {
        message: Uuid::from_u128(50).into(),
        body: body.into(),
        reply_to: None,
        attachments: Vec::new(),
        mentions: Mentions::default(),
        shown_as: None,
    }
}

pub(super) fn say(
    space: &SpaceState,
    actor: AccountId,
    membership: &Membership,
    body: &str,
) -> Outcome<Room> {
    let context = RoomContext {
        room: ROOM,
        parent: None,
        space,
        actor,
        membership,
        limits: LIMITS,
        now: at(0),
        blocked: false,
    };
    given::<Room>([]).when(&context, post(body))
}

pub(super) fn posted(author: AccountId, body: &str) -> MessagePosted {
    let message = Uuid::from_u128(50).into();
    MessagePosted {
        space: SPACE,
        room: ROOM,
        message,
        author,
        body: body.into(),
        reply_to: None,
        attachments: Vec::new(),
        mentions: None,
        imported: None,
        shown_as: None,
        parent: None,
    }
}

#[test]
fn members_post_where_everybody_may() {
    say(&space(Preset::Team, []), MEMBER, &joined(&[]), "hi").then([posted(MEMBER, "hi")]);
}

#[test]
fn only_members_can_post() {
    let space = space(Preset::Open, []);
    let banned = Membership {
        standing: Standing::Banned,
        ..Membership::default()
    };
    say(&space, MEMBER, &Membership::default(), "hi").then_rejected("space.not_found");
    say(&space, MEMBER, &banned, "hi").then_rejected("space.not_found");
    say(&SpaceState::default(), OWNER, &joined(&[]), "hi").then_rejected("space.not_found");
}

#[test]
fn leaders_post_announcements() {
    let space = space(Preset::Announcement, []);
    say(&space, MEMBER, &joined(&[]), "hi").then_rejected("room.not_allowed");
    say(&space, LEADER, &joined(&[LEADERS]), "hi").then([posted(LEADER, "hi")]);
}

#[test]
fn the_muted_are_told_so() {
    let muted = Membership {
        muted: true,
        ..joined(&[LEADERS])
    };
    say(&space(Preset::Team, []), LEADER, &muted, "hi").then_rejected("room.muted");
}

#[test]
fn a_room_that_one_may_not_see_is_not_there() {
    let space = space(Preset::Private, []);
    say(&space, MEMBER, &joined(&[]), "hi").then_rejected("room.not_found");
    let elsewhere = RoomContext {
        room: Uuid::nil().into(),
        parent: None,
        space: &space,
        actor: OWNER,
        membership: &joined(&[]),
        limits: LIMITS,
        now: at(0),
        blocked: false,
    };
    given::<Room>([])
        .when(&elsewhere, post("hi"))
        .then_rejected("room.not_found");
}

#[test]
fn not_even_the_owner_posts_in_an_archived_room() {
    let space = space(Preset::Team, [RoomArchived { room: ROOM }.into()]);
    say(&space, OWNER, &joined(&[]), "hi").then_rejected("room.archived");
}

#[test]
fn a_message_says_something_that_fits() {
    let space = space(Preset::Team, []);
    for (body, code) in [
        (" \n\u{200B}", "room.message_empty"),
        ("", "room.message_empty"),
        ("12345678901", "room.message_too_long"),
        ("🧀🧀🧀🧀🧀🧀", "room.message_too_long"),
        ("a\0b", "room.message_unreadable"),
    ] {
        say(&space, MEMBER, &joined(&[]), body).then_rejected(code);
    }
    say(&space, MEMBER, &joined(&[]), "\ta\r\nb ").then([posted(MEMBER, "\ta\r\nb ")]);
}

#[test]
fn a_timeline_begins_without_being_asked_who() {
    let context = RoomContext {
        room: ROOM,
        parent: None,
        space: &SpaceState::default(),
        actor: OWNER,
        membership: &Membership::default(),
        limits: LIMITS,
        now: at(0),
        blocked: false,
    };
    given::<Room>([])
        .when(&context, RoomCommand::Open { space: SPACE })
        .then([Opened {
            space: SPACE,
            room: ROOM,
            parent: None,
            about: None,
        }]);
}

proptest! {
    #[test]
    fn an_accepted_body_is_kept_as_it_is_and_fits(body in "\\PC{0,14}|[ -~\n]{0,14}") {
        let space = space(Preset::Team, []);
        if let Ok(events) = say(&space, MEMBER, &joined(&[]), &body).0 {
            prop_assert_eq!(&events, &vec![posted(MEMBER, &body).into()]);
            prop_assert!(body.chars().count() <= LIMIT.chars && body.len() <= LIMIT.bytes);
        }
    }
}

fn slow(seconds: u32) -> SpaceState {
    let change = RoomChanged {
        room: ROOM,
        name: None,
        topic: None,
        slow_mode_s: Some(seconds),
        history: None,
    };
    let history: Vec<_> = history(Preset::Team).into_iter().chain([change.into()]).collect();
    fold::<Space>(&history)
}

#[test]
fn in_a_slow_room_one_waits_unless_one_manages_it() {
    let say = |space: &SpaceState, last_words: Option<Timestamp>, actor| {
        let membership = &Membership {
            last_words: last_words.map(|at| (ROOM, at)).into_iter().collect(),
            ..joined(&[])
        };
        let context = RoomContext {
            room: ROOM,
            parent: None,
            space,
            actor,
            membership,
            limits: LIMITS,
            now: at(1),
            blocked: false,
        };
        given::<Room>([]).when(&context, post("hi"))
    };
    let (slow, fast) = (slow(90), slow(0));
    say(&slow, None, MEMBER).then([posted(MEMBER, "hi")]);
    let refused = say(&slow, Some(at(0)), MEMBER).0.unwrap_err();
    assert_eq!(
        (refused.code(), refused.retry_after_ms()),
        ("room.slow_mode", Some(30_000))
    );
    say(&fast, Some(at(0)), MEMBER).then([posted(MEMBER, "hi")]);
    say(&slow, Some(at(0)), OWNER).then([posted(OWNER, "hi")]);
    assert_eq!(
        slow_mode(&slow, ROOM, &joined(&[]), MEMBER),
        Some(Duration::from_secs(90))
    );
    assert_eq!(slow_mode(&slow, ROOM, &joined(&[]), OWNER), None);
    assert_eq!(slow_mode(&fast, ROOM, &joined(&[]), MEMBER), None);
}

#[test]
fn a_time_out_silences_until_it_is_over_by_itself() {
    let space = fold::<Space>(&history(Preset::Team));
    let silenced = Membership {
        timed_out_until: Some(at(2)),
        ..joined(&[])
    };
    let say = |minute| {
        let membership = at_present(&silenced, &space, at(minute)).unwrap();
        let context = RoomContext {
            room: ROOM,
            parent: None,
            space: &space,
            actor: MEMBER,
            membership: &membership,
            limits: LIMITS,
            now: at(minute),
            blocked: false,
        };
        given::<Room>([]).when(&context, post("hi"))
    };
    let refused = say(1).0.unwrap_err();
    assert_eq!(
        (refused.code(), refused.retry_after_ms()),
        ("room.timed_out", Some(60_000))
    );
    say(2).then([posted(MEMBER, "hi")]);
    assert_eq!(
        at_present(&joined(&[]), &space, at(1)),
        None,
        "nothing to work out"
    );
}

fn file(number: u128) -> Attachment {
    Attachment {
        attachment: Uuid::from_u128(number).into(),
        kind: veza_events::attachment::AttachmentKind::File,
        size: 4,
        about: veza_events::Sealed::Closed("sealed".into()),
    }
}

fn offer(number: u128) -> Offer {
    Offer::Upload {
        by: MEMBER,
        room: ROOM,
        taken_by: None,
        file: Box::new(file(number)),
    }
}

fn send(space: &SpaceState, membership: &Membership, body: &str, attachments: Vec<Offer>) -> Outcome<Room> {
    let context = RoomContext {
        room: ROOM,
        parent: None,
        space,
        actor: MEMBER,
        membership,
        limits: LIMITS,
        now: at(0),
        blocked: false,
    };
    let command = RoomCommand::Post {
        message: Uuid::from_u128(50).into(),
        body: body.into(),
        reply_to: None,
        mentions: Mentions::default(),
        attachments,
        shown_as: None,
    };
    given::<Room>([]).when(&context, command)
}

#[test]
fn a_file_needs_no_words() {
    let space = space(Preset::Team, []);
    for body in ["", "hi"] {
        let with_files = MessagePosted {
            attachments: vec![file(1), file(2)],
            ..posted(MEMBER, body)
        };
        send(&space, &joined(&[]), body, vec![offer(1), offer(2)]).then([with_files]);
    }
    send(&space, &joined(&[]), "  ", vec![offer(1)]).then_rejected("room.message_empty");
    send(&space, &joined(&[]), "", Vec::new()).then_rejected("room.message_empty");
}

#[test]
fn files_are_ones_own_for_this_room_and_in_one_message_alone() {
    let space = space(Preset::Team, []);
    let changed = |by, room, taken_by: Option<u128>| Offer::Upload {
        by,
        room,
        taken_by: taken_by.map(|id| Uuid::from_u128(id).into()),
        file: Box::new(file(1)),
    };
    let refused = |offers: Vec<Offer>, why| send(&space, &joined(&[]), "hi", offers).then_rejected(why);
    refused(vec![Offer::Unknown], "attachment.not_found");
    refused(vec![changed(OWNER, ROOM, None)], "attachment.not_found");
    refused(
        vec![changed(MEMBER, Uuid::nil().into(), None)],
        "attachment.not_found",
    );
    refused(vec![changed(MEMBER, ROOM, Some(51))], "attachment.used");
    refused(vec![offer(1), offer(1)], "attachment.too_many");
    refused(vec![offer(1), offer(2), offer(3)], "attachment.too_many");
    let silent = Membership {
        muted: true,
        ..joined(&[])
    };
    send(&space, &silent, "hi", vec![offer(1)]).then_rejected("room.muted");
    // A repeat of the command finds the file taken by itself.
    let again = MessagePosted {
        attachments: vec![file(1)],
        ..posted(MEMBER, "hi")
    };
    send(&space, &joined(&[]), "hi", vec![changed(MEMBER, ROOM, Some(50))]).then([again]);
}

#[test]
fn files_need_a_permission_of_their_own() {
    let announcement = space(Preset::Announcement, []);
    send(&announcement, &joined(&[]), "hi", vec![offer(1)]).then_rejected("room.not_allowed");
}

mod importing {
    use veza_events::room::{ImportSource, Imported};

    use super::*;

    fn said(author: &str, when: Timestamp) -> Imported {
        Imported {
            source: ImportSource::Slack,
            author: author.into(),
            at: when,
            reactions: Vec::new(),
        }
    }

    fn import(
        space: &SpaceState,
        actor: AccountId,
        membership: &Membership,
        body: &str,
        imported: Imported,
    ) -> crate::scenario::Outcome<Room> {
        let context = RoomContext {
            room: ROOM,
            parent: None,
            space,
            actor,
            membership,
            limits: LIMITS,
            now: at(50),
            blocked: false,
        };
        let command = RoomCommand::Import {
            message: Uuid::from_u128(50).into(),
            body: body.into(),
            reply_to: None,
            attachments: Vec::new(),
            imported,
        };
        given::<Room>([]).when(&context, command)
    }

    #[test]
    fn an_owner_brings_what_others_said_elsewhere() {
        let before = said("Ada L.", at(1));
        let expected = MessagePosted {
            imported: Some(before.clone().into()),
            ..posted(OWNER, "hi")
        };
        let space = space(Preset::Announcement, []);
        import(&space, OWNER, &joined(&[]), "hi", before).then([expected]);
    }

    #[test]
    fn nobody_else_puts_words_into_mouths() {
        let space = space(Preset::Open, []);
        import(&space, MEMBER, &joined(&[]), "hi", said("Ada", at(1))).then_rejected("room.not_allowed");
        import(&space, MEMBER, &Membership::default(), "hi", said("Ada", at(1)))
            .then_rejected("space.not_found");
        let space = super::space(Preset::Team, [RoomArchived { room: ROOM }.into()]);
        import(&space, OWNER, &joined(&[]), "hi", said("Ada", at(1))).then_rejected("room.archived");
    }

    #[test]
    fn what_was_said_was_said_by_somebody_in_the_past_and_says_something() {
        let space = space(Preset::Team, []);
        for (imported, body, code) in [
            (said("Ada", at(51)), "hi", "message.import_time"),
            (said(" ", at(1)), "hi", "message.import_author"),
            (said("a\nb", at(1)), "hi", "message.import_author"),
            (said("Ada", at(1)), "", "room.message_empty"),
            (said("Ada", at(1)), "12345678901", "room.message_too_long"),
        ] {
            import(&space, OWNER, &joined(&[]), body, imported).then_rejected(code);
        }
    }
}

#[test]
fn a_webhook_goes_by_another_name_and_people_by_their_own() {
    let hook: AccountId = Uuid::from_u128(500).into();
    let made = WebhookCreated {
        webhook: hook,
        room: ROOM,
        digest: "d".into(),
        by: OWNER,
    };
    let space = space(Preset::Private, [made.into()]);
    let say = |actor, membership: &Membership, name: &str| {
        let context = RoomContext {
            room: ROOM,
            parent: None,
            space: &space,
            actor,
            membership,
            limits: LIMITS,
            now: at(0),
            blocked: false,
        };
        let RoomCommand::Post { message, body, .. } = post("hi") else {
            unreachable!("a post is one")
        };
        let command = RoomCommand::Post {
            message,
            body,
            reply_to: None,
            mentions: Mentions::default(),
            attachments: Vec::new(),
            shown_as: Some(name.into()),
        };
        given::<Room>([]).when(&context, command)
    };
    let out = Membership::default();
    say(OWNER, &joined(&[]), "Somebody").then_rejected("room.not_allowed");
    say(hook, &out, " \u{200b} ").then_rejected("message.shown_as_invalid");
    let expected = MessagePosted {
        shown_as: Some("Build 7".to_owned().into()),
        ..posted(hook, "hi")
    };
    say(hook, &out, " Build 7 ").then([expected]);
}

use std::collections::BTreeSet;

use uuid::Uuid;
use veza_events::{
    RoleId,
    member::{Membership, Standing},
    space::{RoleDefined, RoomArchived, SpaceEvent},
};

use super::*;
use crate::{
    fold,
    room::{Room, RoomCommand, tests::LIMITS},
    scenario::{Outcome, given},
    space::{
        Preset, Space, SpaceState,
        tests::{GUESTS, LEADER, LEADERS, MEMBER, OWNER, ROOM, SPACE, at, history, joined},
    },
};

const MESSAGE: MessageId = MessageId::new(Uuid::from_u128(50));
const ORIGINAL: Original = Original {
    message: MESSAGE,
    posted: 7,
    author: MEMBER,
};

fn space(preset: Preset, more: impl IntoIterator<Item = SpaceEvent>) -> SpaceState {
    let history: Vec<_> = history(preset).into_iter().chain(more).collect();
    fold::<Space>(&history)
}

fn team() -> SpaceState {
    space(Preset::Team, [guests_manage()])
}

/// Guests of this space look after its messages.
fn guests_manage() -> SpaceEvent {
    RoleDefined {
        role: GUESTS,
        name: "guests".into(),
        permissions: [
            Permission::View,
            Permission::ManageMessages,
            Permission::MentionAll,
        ]
        .into_iter()
        .collect(),
        rank: 5,
    }
    .into()
}

fn change_seen(
    space: &SpaceState,
    actor: AccountId,
    membership: &Membership,
    change: Change,
    seen: Seen,
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
    let ask = RoomCommand::Change {
        original: ORIGINAL,
        seen,
        change,
    };
    given::<Room>([]).when(&context, ask)
}

fn change(space: &SpaceState, actor: AccountId, membership: &Membership, change: Change) -> Outcome<Room> {
    change_seen(space, actor, membership, change, Seen::default())
}

fn edit(body: &str) -> Change {
    Change::Edit {
        body: body.into(),
        mentions: Mentions::default(),
    }
}

fn react(emoji: &str) -> Change {
    Change::React { emoji: emoji.into() }
}

fn unreact(emoji: &str) -> Change {
    Change::Unreact { emoji: emoji.into() }
}

fn muted() -> Membership {
    Membership {
        muted: true,
        ..joined(&[])
    }
}

fn edited(body: &str) -> MessageEdited {
    MessageEdited {
        space: SPACE,
        room: ROOM,
        message: MESSAGE,
        posted: 7,
        author: MEMBER,
        body: body.into(),
        mentions: None,
        parent: None,
    }
}

fn deleted(by: AccountId) -> MessageDeleted {
    MessageDeleted {
        space: SPACE,
        room: ROOM,
        message: MESSAGE,
        posted: 7,
        author: MEMBER,
        by,
        parent: None,
    }
}

fn reacted(account: AccountId, emoji: &str) -> ReactionAdded {
    ReactionAdded {
        space: SPACE,
        room: ROOM,
        message: MESSAGE,
        posted: 7,
        account,
        emoji: emoji.into(),
        parent: None,
    }
}

#[test]
fn authors_change_their_own_words_alone() {
    change(&team(), MEMBER, &joined(&[]), edit("new")).then([edited("new")]);
    change(&team(), OWNER, &joined(&[]), edit("new")).then_rejected("message.not_the_author");
    change(&team(), LEADER, &joined(&[GUESTS]), edit("new")).then_rejected("message.not_the_author");
}

#[test]
fn an_edit_must_be_a_message_that_could_be_posted() {
    for (body, code) in [
        (" ", "room.message_empty"),
        ("12345678901", "room.message_too_long"),
        ("a\0", "room.message_unreadable"),
    ] {
        change(&team(), MEMBER, &joined(&[]), edit(body)).then_rejected(code);
    }
    change(&team(), MEMBER, &muted(), edit("new")).then_rejected("room.muted");
    let announcements = space(Preset::Announcement, []);
    change(&announcements, MEMBER, &joined(&[]), edit("new")).then_rejected("room.not_allowed");
    let archived = space(Preset::Team, [RoomArchived { room: ROOM }.into()]);
    change(&archived, MEMBER, &joined(&[]), edit("new")).then_rejected("room.archived");
}

#[test]
fn authors_take_back_what_they_said_even_when_they_may_say_no_more() {
    let archived = space(Preset::Team, [RoomArchived { room: ROOM }.into()]);
    change(&team(), MEMBER, &joined(&[]), Change::Delete).then([deleted(MEMBER)]);
    change(&team(), MEMBER, &muted(), Change::Delete).then([deleted(MEMBER)]);
    change(&archived, MEMBER, &joined(&[]), Change::Delete).then([deleted(MEMBER)]);
}

#[test]
fn messages_of_others_are_deleted_by_right() {
    change(&team(), LEADER, &joined(&[LEADERS]), Change::Delete).then_rejected("room.not_allowed");
    change(&team(), LEADER, &joined(&[GUESTS]), Change::Delete).then([deleted(LEADER)]);
    change(&team(), OWNER, &joined(&[]), Change::Delete).then([deleted(OWNER)]);
}

#[test]
fn who_cannot_see_the_room_changes_nothing_in_it() {
    let private = space(Preset::Private, []);
    let banned = Membership {
        standing: Standing::Banned,
        ..Membership::default()
    };
    let all = || {
        [
            edit("new"),
            Change::Delete,
            react("👍"),
            unreact("👍"),
            Change::Pin,
            Change::Unpin,
        ]
    };
    for ask in all() {
        change(&private, MEMBER, &joined(&[]), ask).then_rejected("room.not_found");
    }
    for ask in all() {
        change(&team(), MEMBER, &banned, ask.clone()).then_rejected("space.not_found");
        change(&team(), MEMBER, &Membership::default(), ask).then_rejected("space.not_found");
    }
}

#[test]
fn nothing_is_done_about_a_message_that_is_known_to_be_gone() {
    for ask in [
        edit("new"),
        Change::Delete,
        react("👍"),
        unreact("👍"),
        Change::Pin,
    ] {
        let seen = Seen {
            deleted: true,
            ..Seen::default()
        };
        change_seen(&team(), MEMBER, &joined(&[]), ask, seen).then_rejected("message.deleted");
    }
}

#[test]
fn people_react_where_they_may() {
    change(&team(), LEADER, &joined(&[]), react("👍")).then([reacted(LEADER, "👍")]);
    let announcements = space(Preset::Announcement, []);
    change(&announcements, MEMBER, &joined(&[]), react(":ok:")).then([reacted(MEMBER, ":ok:")]);
    change(&team(), MEMBER, &muted(), react("👍")).then_rejected("room.muted");
    change(&team(), MEMBER, &joined(&[]), react("no")).then_rejected("message.emoji_invalid");
    change(&team(), MEMBER, &joined(&[]), unreact("no")).then_rejected("message.emoji_invalid");
    let archived = space(Preset::Team, [RoomArchived { room: ROOM }.into()]);
    change(&archived, MEMBER, &joined(&[]), react("👍")).then_rejected("room.archived");
}

#[test]
fn a_message_has_only_so_many_different_reactions() {
    let seen = || Seen {
        reactions: vec!["👍".into(), "🧀".into()],
        ..Seen::default()
    };
    let by = joined(&[]);
    change_seen(&team(), LEADER, &by, react("❤️"), seen()).then_rejected("message.too_many_reactions");
    change_seen(&team(), LEADER, &by, react("🧀"), seen()).then([reacted(LEADER, "🧀")]);
}

#[test]
fn a_reaction_is_taken_back_by_whoever_can_read() {
    let removed = ReactionRemoved {
        space: SPACE,
        room: ROOM,
        message: MESSAGE,
        posted: 7,
        account: MEMBER,
        emoji: "👍".into(),
        parent: None,
    };
    change(&team(), MEMBER, &muted(), unreact("👍")).then([removed]);
}

#[test]
fn pins_are_for_who_looks_after_messages() {
    let pinned = MessagePinned {
        space: SPACE,
        room: ROOM,
        message: MESSAGE,
        posted: 7,
        by: LEADER,
        parent: None,
    };
    change(&team(), MEMBER, &joined(&[]), Change::Pin).then_rejected("room.not_allowed");
    change(&team(), MEMBER, &joined(&[]), Change::Unpin).then_rejected("room.not_allowed");
    change(&team(), LEADER, &joined(&[GUESTS]), Change::Pin).then([pinned]);
    let full = Seen {
        pins: 2,
        ..Seen::default()
    };
    let by = joined(&[GUESTS]);
    change_seen(&team(), LEADER, &by, Change::Pin, full.clone()).then_rejected("room.too_many_pins");
    assert!(change_seen(&team(), LEADER, &by, Change::Unpin, full).0.is_ok());
    let archived = space(
        Preset::Team,
        [guests_manage(), RoomArchived { room: ROOM }.into()],
    );
    change(&archived, LEADER, &by, Change::Pin).then_rejected("room.archived");
}

fn mentioning(mentions: Mentions) -> RoomCommand {
    RoomCommand::Post {
        message: MESSAGE,
        body: "hi".into(),
        reply_to: None,
        mentions,
        attachments: Vec::new(),
        shown_as: None,
    }
}

fn heard_of(roles: &[RoleId], mentions: Mentions) -> Option<Mentions> {
    let (space, membership) = (team(), joined(roles));
    let context = RoomContext {
        room: ROOM,
        parent: None,
        space: &space,
        actor: MEMBER,
        membership: &membership,
        limits: LIMITS,
        now: at(0),
        blocked: false,
    };
    let outcome = given::<Room>([]).when(&context, mentioning(mentions)).0;
    match &outcome.unwrap()[..] {
        [RoomEvent::MessagePosted(posted)] => posted
            .mentions
            .as_ref()
            .and_then(|mentions| mentions.clear().cloned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn without_the_right_to_it_a_call_to_everybody_is_just_text() {
    let all = || Mentions {
        accounts: BTreeSet::from([LEADER]),
        roles: BTreeSet::from([LEADERS, Uuid::from_u128(99).into()]),
        rooms: BTreeSet::from([ROOM, Uuid::from_u128(98).into()]),
        everyone: true,
        here: true,
    };
    let people_and_rooms = Mentions {
        accounts: BTreeSet::from([LEADER]),
        rooms: BTreeSet::from([ROOM]),
        ..Mentions::default()
    };
    assert_eq!(heard_of(&[], all()), Some(people_and_rooms.clone()));
    let whole = Mentions {
        roles: BTreeSet::from([LEADERS]),
        everyone: true,
        here: true,
        ..people_and_rooms
    };
    assert_eq!(heard_of(&[GUESTS], all()), Some(whole));
    assert_eq!(heard_of(&[], Mentions::default()), None);
}

#[test]
fn a_message_mentions_only_so_many() {
    let accounts = (0..100).map(|n| Uuid::from_u128(n).into()).collect();
    let many = Mentions {
        accounts,
        ..Mentions::default()
    };
    let heard = heard_of(&[], many).unwrap();
    assert_eq!(heard.accounts.len(), super::super::MAX_MENTIONS);
}

#[test]
fn a_thread_is_as_open_as_the_room_it_hangs_on() {
    let thread = veza_events::RoomId::thread_of(MESSAGE);
    let (space, membership) = (team(), joined(&[]));
    let context = |space| RoomContext {
        room: thread,
        parent: Some(ROOM),
        space,
        actor: MEMBER,
        membership: &membership,
        limits: LIMITS,
        now: at(0),
        blocked: false,
    };
    let post = || mentioning(Mentions::default());
    let outcome = given::<Room>([]).when(&context(&space), post()).0.unwrap();
    assert_eq!((outcome[0].room(), outcome[0].parent()), (thread, Some(ROOM)));
    let open = RoomCommand::OpenThread {
        thread,
        message: MESSAGE,
        posted: 7,
    };
    given::<Room>([])
        .when(&context(&space), open)
        .then_rejected("message.thread_in_thread");
    let archived = self::space(Preset::Team, [RoomArchived { room: ROOM }.into()]);
    given::<Room>([])
        .when(&context(&archived), post())
        .then_rejected("room.archived");
    let private = self::space(Preset::Private, []);
    given::<Room>([])
        .when(&context(&private), post())
        .then_rejected("room.not_found");
}

#[test]
fn who_may_post_may_open_a_thread() {
    let thread = veza_events::RoomId::thread_of(MESSAGE);
    let open = || RoomCommand::OpenThread {
        thread,
        message: MESSAGE,
        posted: 7,
    };
    let (space, announcements) = (team(), self::space(Preset::Announcement, []));
    let membership = joined(&[]);
    let context = |space| RoomContext {
        room: ROOM,
        parent: None,
        space,
        actor: MEMBER,
        membership: &membership,
        limits: LIMITS,
        now: at(0),
        blocked: false,
    };
    let opened = veza_events::room::Opened {
        space: SPACE,
        room: thread,
        parent: Some(ROOM),
        about: Some(MESSAGE),
    };
    given::<Room>([]).when(&context(&space), open()).then([opened]);
    given::<Room>([])
        .when(&context(&announcements), open())
        .then_rejected("room.not_allowed");
}

#[test]
fn who_is_blocked_adds_nothing_and_may_take_back() {
    let (space, membership) = (team(), joined(&[]));
    let context = RoomContext {
        room: ROOM,
        parent: None,
        space: &space,
        actor: MEMBER,
        membership: &membership,
        limits: LIMITS,
        now: at(0),
        blocked: true,
    };
    let ask = |change| RoomCommand::Change {
        original: ORIGINAL,
        seen: Seen::default(),
        change,
    };
    let outcome = |ask| given::<Room>([]).when(&context, ask);
    outcome(mentioning(Mentions::default())).then_rejected("room.blocked");
    outcome(ask(edit("still me"))).then_rejected("room.blocked");
    outcome(ask(react("👍"))).then_rejected("room.blocked");
    for takes_back in [unreact("👍"), Change::Delete] {
        assert!(outcome(ask(takes_back)).0.is_ok());
    }
}

#[test]
fn what_was_said_before_somebody_came_is_not_there_for_them() {
    let since = veza_events::space::Changed {
        name: None,
        history: Some(veza_events::space::History::SinceJoined),
        previews: None,
    };
    let space = self::space(Preset::Team, [since.into()]);
    let came = |seq| Membership {
        joined: Some(seq),
        ..joined(&[])
    };
    let context = |membership| RoomContext {
        room: ROOM,
        parent: None,
        space: &space,
        actor: MEMBER,
        membership,
        limits: LIMITS,
        now: at(0),
        blocked: false,
    };
    let (before, after) = (came(ORIGINAL.posted - 1), came(ORIGINAL.posted));
    let asks = [
        edit("mine"),
        Change::Delete,
        react("👍"),
        unreact("👍"),
        Change::Pin,
        Change::Unpin,
    ];
    for change in asks {
        let ask = RoomCommand::Change {
            original: ORIGINAL,
            seen: Seen::default(),
            change,
        };
        given::<Room>([])
            .when(&context(&after), ask)
            .then_rejected("message.not_found");
    }
    let open = || RoomCommand::OpenThread {
        thread: veza_events::RoomId::thread_of(MESSAGE),
        message: MESSAGE,
        posted: ORIGINAL.posted,
    };
    given::<Room>([])
        .when(&context(&after), open())
        .then_rejected("message.not_found");
    assert!(given::<Room>([]).when(&context(&before), open()).0.is_ok());
}

#[test]
fn who_manages_messages_takes_many_back_at_once() {
    let space = team();
    let context = |actor, membership| RoomContext {
        room: ROOM,
        parent: None,
        space: &space,
        actor,
        membership,
        limits: LIMITS,
        now: at(0),
        blocked: false,
    };
    let plain = joined(&[]);
    let delete = |count: usize| RoomCommand::DeleteAll {
        originals: vec![ORIGINAL; count],
    };
    let facts = given::<Room>([])
        .when(&context(OWNER, &plain), delete(2))
        .0
        .unwrap();
    assert!(
        facts.len() == 2
            && facts
                .iter()
                .all(|fact| matches!(fact, RoomEvent::MessageDeleted(_)))
    );
    for (actor, count, code) in [
        (MEMBER, 2, "room.not_allowed"),
        (OWNER, 0, "message.too_many_deleted"),
        (OWNER, MAX_DELETED_AT_ONCE + 1, "message.too_many_deleted"),
    ] {
        given::<Room>([])
            .when(&context(actor, &plain), delete(count))
            .then_rejected(code);
    }
}

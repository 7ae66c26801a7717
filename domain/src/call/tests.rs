use uuid::Uuid;
use veza_events::{
    Permission,
    call::{
        CloseReason, Closed, LeaveReason, Opened, ParticipantJoined, ParticipantLeft, TrackMuted,
        TrackPublished, TrackUnpublished,
    },
    space::{RoomArchived, SpaceEvent},
};

use super::*;
use crate::{
    fold,
    scenario::{Given, given},
    space::{
        Preset, Space,
        tests::{LEADER, MEMBER, OWNER, ROOM, SPACE, history, joined},
    },
};

const CALL: CallId = CallId::new(Uuid::from_u128(60));
const OTHER: CallId = CallId::new(Uuid::from_u128(61));
/// Of [`MEMBER`].
const MINE: ParticipantId = ParticipantId::new(Uuid::from_u128(70));
/// Of [`LEADER`].
const THEIRS: ParticipantId = ParticipantId::new(Uuid::from_u128(71));
const VOICE: TrackId = TrackId::new(Uuid::from_u128(80));
const FACE: TrackId = TrackId::new(Uuid::from_u128(81));
const LIMITS: CallLimits = CallLimits {
    participants: 3,
    per_account: 2,
};

/// A space in which everybody may speak, or in which only leaders may.
struct World {
    space: SpaceState,
    membership: Membership,
}

fn world(preset: Preset, more: Option<SpaceEvent>) -> World {
    let history: Vec<_> = history(preset).into_iter().chain(more).collect();
    World {
        space: fold::<Space>(&history),
        membership: joined(&[]),
    }
}

impl World {
    fn by(&self, actor: AccountId) -> CallContext<'_> {
        CallContext {
            room: ROOM,
            space: &self.space,
            actor,
            membership: &self.membership,
            blocked: false,
            limits: LIMITS,
        }
    }
}

fn opened() -> CallEvent {
    Opened {
        space: SPACE,
        room: ROOM,
        call: CALL,
        by: MEMBER,
    }
    .into()
}

fn came(participant: ParticipantId, account: AccountId) -> CallEvent {
    ParticipantJoined {
        space: SPACE,
        room: ROOM,
        call: CALL,
        participant,
        account,
    }
    .into()
}

fn left(
    participant: ParticipantId,
    account: AccountId,
    why: LeaveReason,
    by: Option<AccountId>,
) -> CallEvent {
    ParticipantLeft {
        space: SPACE,
        room: ROOM,
        call: CALL,
        participant,
        account,
        why,
        by,
    }
    .into()
}

fn closed(why: CloseReason, by: Option<AccountId>) -> CallEvent {
    Closed {
        space: SPACE,
        room: ROOM,
        call: CALL,
        why,
        by,
    }
    .into()
}

fn published(track: TrackId, source: TrackSource) -> CallEvent {
    TrackPublished {
        space: SPACE,
        room: ROOM,
        call: CALL,
        track,
        participant: MINE,
        account: MEMBER,
        source,
        codec: "opus".into(),
        layers: Vec::new(),
    }
    .into()
}

fn unpublished(track: TrackId) -> CallEvent {
    TrackUnpublished {
        space: SPACE,
        room: ROOM,
        call: CALL,
        track,
        participant: MINE,
    }
    .into()
}

fn muted(muted: bool, by: AccountId) -> CallEvent {
    TrackMuted {
        space: SPACE,
        room: ROOM,
        call: CALL,
        track: VOICE,
        participant: MINE,
        muted,
        by,
    }
    .into()
}

fn join(participant: ParticipantId) -> CallCommand {
    CallCommand::Join {
        call: OTHER,
        participant,
    }
}

fn publish(track: TrackId, source: TrackSource, layers: &[&str]) -> CallCommand {
    CallCommand::Publish {
        participant: MINE,
        shown: shown(track, source, layers),
    }
}

fn shown(track: TrackId, source: TrackSource, layers: &[&str]) -> Shown {
    Shown {
        track,
        source,
        codec: "opus".into(),
        layers: layers.iter().map(|&name| name.to_owned()).collect(),
    }
}

fn stream(shows: Vec<Shown>) -> CallCommand {
    CallCommand::Stream {
        call: CALL,
        participant: MINE,
        shows,
    }
}

fn mute(muted: bool) -> CallCommand {
    CallCommand::Mute {
        participant: MINE,
        track: VOICE,
        muted,
    }
}

fn leave(gone: bool) -> CallCommand {
    CallCommand::Leave {
        participant: MINE,
        gone,
    }
}

/// [`MEMBER`] and [`LEADER`] are in, and [`MEMBER`] can be heard.
fn talking() -> Given<Call> {
    given([
        opened(),
        came(MINE, MEMBER),
        came(THEIRS, LEADER),
        published(VOICE, TrackSource::Microphone),
    ])
}

#[test]
fn the_first_one_begins_the_call_and_the_last_one_ends_it() {
    let world = world(Preset::Team, None);
    let first = CallCommand::Join {
        call: CALL,
        participant: MINE,
    };
    given::<Call>([])
        .when(&world.by(MEMBER), first)
        .then([opened(), came(MINE, MEMBER)]);
    let begun = given::<Call>([opened(), came(MINE, MEMBER)]);
    begun
        .when(&world.by(LEADER), join(THEIRS))
        .then([came(THEIRS, LEADER)]);
    begun.when(&world.by(MEMBER), join(MINE)).then_nothing();
    begun.when(&world.by(MEMBER), leave(true)).then([
        left(MINE, MEMBER, LeaveReason::Gone, None),
        closed(CloseReason::Empty, None),
    ]);
    talking()
        .when(&world.by(MEMBER), leave(false))
        .then([left(MINE, MEMBER, LeaveReason::Left, None)]);
    let over = given::<Call>([opened(), came(MINE, MEMBER), closed(CloseReason::Ended, None)]);
    assert_eq!(over.0, CallState::default());
}

#[test]
fn who_may_not_speak_listens_but_begins_no_call() {
    let world = world(Preset::Announcement, None);
    given::<Call>([])
        .when(&world.by(MEMBER), join(MINE))
        .then_rejected("space.not_allowed");
    let begun = given::<Call>([opened(), came(THEIRS, OWNER)]);
    begun
        .when(&world.by(MEMBER), join(MINE))
        .then([came(MINE, MEMBER)]);
    let listening = given::<Call>([opened(), came(MINE, MEMBER)]);
    for (source, layers) in [(TrackSource::Microphone, &[][..]), (TrackSource::Screen, &[])] {
        listening
            .when(&world.by(MEMBER), publish(VOICE, source, layers))
            .then_rejected("space.not_allowed");
    }
}

#[test]
fn who_does_not_see_the_room_does_not_come_in() {
    let mut world = world(Preset::Private, None);
    let begun = given::<Call>([opened(), came(THEIRS, OWNER)]);
    begun
        .when(&world.by(MEMBER), join(MINE))
        .then_rejected("room.not_found");
    world.membership = Membership::default();
    begun
        .when(&world.by(MEMBER), join(MINE))
        .then_rejected("space.not_found");
}

#[test]
fn two_of_whom_one_has_blocked_the_other_do_not_meet() {
    let world = world(Preset::Team, None);
    let blocked = CallContext {
        blocked: true,
        ..world.by(MEMBER)
    };
    for command in [join(MINE), stream(vec![shown(FACE, TrackSource::Camera, &[])])] {
        given::<Call>([])
            .when(&blocked, command)
            .then_rejected("room.blocked");
    }
    talking()
        .when(&blocked, publish(FACE, TrackSource::Camera, &[]))
        .then_rejected("room.blocked");
    // Whoever is in already is taken out.
    let review = CallCommand::Review { participant: MINE };
    talking()
        .when(&blocked, review)
        .then([left(MINE, MEMBER, LeaveReason::AccessLost, None)]);
    talking()
        .when(&blocked, leave(false))
        .then([left(MINE, MEMBER, LeaveReason::Left, None)]);
}

#[test]
fn a_stream_comes_in_with_all_that_it_shows_or_not_at_all() {
    let world = world(Preset::Team, None);
    let voice = || shown(VOICE, TrackSource::Microphone, &[]);
    let face = || shown(FACE, TrackSource::Camera, &[]);
    let all = [
        opened(),
        came(MINE, MEMBER),
        published(VOICE, TrackSource::Microphone),
        published(FACE, TrackSource::Camera),
    ];
    let begun = given::<Call>([]);
    begun
        .when(&world.by(MEMBER), stream(vec![voice(), face()]))
        .then(all.clone());
    given::<Call>(all)
        .when(&world.by(MEMBER), stream(vec![voice(), face()]))
        .then_nothing();
    begun
        .when(
            &world.by(MEMBER),
            stream(vec![voice(), shown(FACE, TrackSource::Microphone, &[])]),
        )
        .then_rejected("call.already_published");
    begun
        .when(
            &world.by(MEMBER),
            stream(vec![shown(FACE, TrackSource::Camera, &["a b"])]),
        )
        .then_rejected("call.track_invalid");
}

#[test]
fn who_only_watches_begins_no_call() {
    let world = world(Preset::Team, None);
    given::<Call>([])
        .when(&world.by(MEMBER), stream(Vec::new()))
        .then_rejected("call.not_open");
    given::<Call>([opened(), came(THEIRS, LEADER)])
        .when(&world.by(MEMBER), stream(Vec::new()))
        .then([came(MINE, MEMBER)]);
    let mut stranger = world;
    stranger.membership = Membership::default();
    given::<Call>([])
        .when(&stranger.by(MEMBER), stream(Vec::new()))
        .then_rejected("space.not_found");
}

#[test]
fn an_archived_room_has_no_new_calls() {
    let world = world(Preset::Team, Some(RoomArchived { room: ROOM }.into()));
    given::<Call>([])
        .when(&world.by(MEMBER), join(MINE))
        .then_rejected("space.not_allowed");
}

#[test]
fn a_call_has_an_end_of_room() {
    let world = world(Preset::Team, None);
    let third = ParticipantId::new(Uuid::from_u128(72));
    let two = given::<Call>([opened(), came(MINE, MEMBER), came(THEIRS, MEMBER)]);
    two.when(&world.by(MEMBER), join(third))
        .then_rejected("call.too_many_devices");
    let full = given::<Call>([
        opened(),
        came(MINE, MEMBER),
        came(THEIRS, MEMBER),
        came(third, LEADER),
    ]);
    let fourth = ParticipantId::new(Uuid::from_u128(73));
    full.when(&world.by(OWNER), join(fourth))
        .then_rejected("call.full");
}

#[test]
fn each_source_is_shown_once() {
    let world = world(Preset::Team, None);
    talking()
        .when(&world.by(MEMBER), publish(FACE, TrackSource::Microphone, &[]))
        .then_rejected("call.already_published");
    talking()
        .when(&world.by(MEMBER), publish(VOICE, TrackSource::Microphone, &[]))
        .then_nothing();
    talking()
        .when(&world.by(MEMBER), publish(FACE, TrackSource::Camera, &[]))
        .then([published(FACE, TrackSource::Camera)]);
    let unpublish = CallCommand::Unpublish {
        participant: MINE,
        track: VOICE,
    };
    talking()
        .when(&world.by(MEMBER), unpublish.clone())
        .then([unpublished(VOICE)]);
    given::<Call>([opened(), came(MINE, MEMBER)])
        .when(&world.by(MEMBER), unpublish)
        .then_rejected("call.track_not_found");
}

#[test]
fn names_of_layers_are_short_and_plain() {
    let world = world(Preset::Team, None);
    for layers in [
        &["a", "b", "c", "d", "e"][..],
        &[""],
        &["a b"],
        &["12345678901234567"],
    ] {
        talking()
            .when(&world.by(MEMBER), publish(FACE, TrackSource::Camera, layers))
            .then_rejected("call.track_invalid");
    }
}

#[test]
fn nobody_acts_for_another() {
    let world = world(Preset::Team, None);
    for command in [
        leave(false),
        publish(FACE, TrackSource::Camera, &[]),
        CallCommand::Unpublish {
            participant: MINE,
            track: VOICE,
        },
        CallCommand::Review { participant: MINE },
    ] {
        talking()
            .when(&world.by(LEADER), command)
            .then_rejected("call.not_in");
    }
    given::<Call>([])
        .when(&world.by(MEMBER), leave(false))
        .then_rejected("call.not_open");
}

#[test]
fn who_moderates_mutes_but_lets_nobody_be_heard() {
    let world = world(Preset::Team, None);
    talking()
        .when(&world.by(OWNER), mute(true))
        .then([muted(true, OWNER)]);
    talking()
        .when(&world.by(LEADER), mute(true))
        .then_rejected("space.not_allowed");
    talking()
        .when(&world.by(MEMBER), mute(true))
        .then([muted(true, MEMBER)]);
    talking().when(&world.by(MEMBER), mute(false)).then_nothing();
    let silent = given::<Call>([
        opened(),
        came(MINE, MEMBER),
        published(VOICE, TrackSource::Microphone),
        muted(true, OWNER),
    ]);
    silent
        .when(&world.by(OWNER), mute(false))
        .then_rejected("call.only_owner_unmutes");
    silent
        .when(&world.by(MEMBER), mute(false))
        .then([muted(false, MEMBER)]);
    given::<Call>([opened(), came(MINE, MEMBER)])
        .when(&world.by(MEMBER), mute(true))
        .then_rejected("call.track_not_found");
}

#[test]
fn who_moderates_takes_others_out_and_ends_calls() {
    let world = world(Preset::Team, None);
    let kick = |participant| CallCommand::Kick { participant };
    talking()
        .when(&world.by(OWNER), kick(MINE))
        .then([left(MINE, MEMBER, LeaveReason::Kicked, Some(OWNER))]);
    talking()
        .when(&world.by(LEADER), kick(MINE))
        .then_rejected("space.not_allowed");
    talking()
        .when(&world.by(OWNER), CallCommand::End)
        .then([closed(CloseReason::Ended, Some(OWNER))]);
    given::<Call>([])
        .when(&world.by(OWNER), CallCommand::End)
        .then_rejected("call.not_open");
    talking()
        .when(&world.by(MEMBER), CallCommand::End)
        .then_rejected("space.not_allowed");
}

#[test]
fn the_owner_is_not_taken_out() {
    let moderators = veza_events::space::RoleDefined {
        role: crate::space::tests::LEADERS,
        name: "leaders".into(),
        permissions: crate::space::tests::set(&[Permission::View, Permission::ModerateCalls]),
        rank: 10,
    };
    let mut world = world(Preset::Team, Some(moderators.into()));
    world.membership = joined(&[crate::space::tests::LEADERS]);
    let call = given::<Call>([opened(), came(MINE, OWNER), came(THEIRS, LEADER)]);
    let kick = CallCommand::Kick { participant: MINE };
    call.when(&world.by(LEADER), kick).then_rejected("call.owner");
}

#[test]
fn who_loses_rights_loses_what_they_were_for() {
    let mut world = world(Preset::Team, None);
    let review = CallCommand::Review { participant: MINE };
    talking().when(&world.by(MEMBER), review.clone()).then_nothing();
    world.membership.muted = true;
    talking()
        .when(&world.by(MEMBER), review.clone())
        .then([unpublished(VOICE)]);
    world.membership = Membership::default();
    talking()
        .when(&world.by(MEMBER), review)
        .then([left(MINE, MEMBER, LeaveReason::AccessLost, None)]);
}

#[test]
fn a_call_whose_worker_is_gone_is_over() {
    let world = world(Preset::Team, None);
    talking()
        .when(&world.by(MEMBER), CallCommand::Abandon)
        .then([closed(CloseReason::WorkerLost, None)]);
    given::<Call>([])
        .when(&world.by(MEMBER), CallCommand::Abandon)
        .then_nothing();
}

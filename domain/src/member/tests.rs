use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;
use veza_events::{
    InviteId,
    space::{InviteCreated, InviteRevoked, RoleDefined, SpaceEvent},
};

use super::*;
use crate::{
    fold,
    scenario::{Given, given},
    space::{
        Preset, Space,
        tests::{GUESTS, LEADER, LEADERS, MEMBER, OWNER, SPACE, at, history, joined, set},
    },
};

const INVITE: InviteId = InviteId::new(Uuid::from_u128(40));

fn space_with(more: impl IntoIterator<Item = SpaceEvent>) -> SpaceState {
    let history: Vec<_> = history(Preset::Team).into_iter().chain(more).collect();
    fold::<Space>(&history)
}

fn invite() -> SpaceEvent {
    InviteCreated {
        invite: INVITE,
        digest: "d".into(),
        by: OWNER,
        max_uses: None,
        expires_at: Some(at(30)),
    }
    .into()
}

/// What `actor` decides about `account`.
struct Case {
    space: SpaceState,
    account: AccountId,
    actor: AccountId,
    actor_membership: Membership,
    minute: u8,
}

fn about(account: AccountId, actor: AccountId) -> Case {
    let actor_membership = match actor {
        OWNER | MEMBER => joined(&[]),
        LEADER => joined(&[LEADERS]),
        _ => Membership::default(),
    };
    Case {
        space: space_with([invite()]),
        account,
        actor,
        actor_membership,
        minute: 0,
    }
}

impl Case {
    fn context(&self) -> MemberContext<'_> {
        let Self {
            space,
            account,
            actor,
            actor_membership,
            minute,
        } = self;
        MemberContext {
            now: at(*minute),
            space,
            account: *account,
            actor: *actor,
            actor_membership,
            reason: None,
        }
    }
}

fn state(membership: Membership) -> Given<Member> {
    Given(membership)
}

fn muted() -> Membership {
    Membership {
        muted: true,
        ..joined(&[])
    }
}

/// Somebody who has just come in.
fn came_in() -> Membership {
    Membership {
        joined: Some(0),
        ..joined(&[])
    }
}

fn out() -> Membership {
    Membership::default()
}

fn banned() -> Membership {
    Membership {
        standing: Standing::Banned,
        ..out()
    }
}

fn accept() -> MemberCommand {
    MemberCommand::Accept { digest: "d".into() }
}

fn roles(roles: &[RoleId]) -> MemberCommand {
    MemberCommand::ChangeRoles {
        roles: roles.iter().copied().collect(),
    }
}

#[test]
fn an_invitation_lets_in_whoever_is_out_and_not_banned() {
    let case = about(MEMBER, MEMBER);
    let expected = Joined {
        space: SPACE,
        account: MEMBER,
        by: MEMBER,
        membership: came_in(),
        invite: Some(INVITE),
    };
    given::<Member>([])
        .when(&case.context(), accept())
        .then([expected]);
    state(joined(&[]))
        .when(&case.context(), accept())
        .then_rejected("member.already_in");
    state(banned())
        .when(&case.context(), accept())
        .then_rejected("member.banned");
    let wrong = MemberCommand::Accept { digest: "e".into() };
    state(banned())
        .when(&case.context(), wrong)
        .then_rejected("invite.not_found");
    let late = Case {
        minute: 30,
        ..about(MEMBER, MEMBER)
    };
    state(out())
        .when(&late.context(), accept())
        .then_rejected("invite.expired");
    let revoked = space_with([invite(), InviteRevoked { invite: INVITE }.into()]);
    let void = Case {
        space: revoked,
        ..about(MEMBER, MEMBER)
    };
    state(out())
        .when(&void.context(), accept())
        .then_rejected("invite.not_found");
}

#[test]
fn only_the_owner_comes_in_without_an_invitation() {
    let owner = Joined {
        space: SPACE,
        account: OWNER,
        by: OWNER,
        membership: came_in(),
        invite: None,
    };
    given::<Member>([])
        .when(&about(OWNER, OWNER).context(), MemberCommand::Found)
        .then([owner]);
    given::<Member>([])
        .when(&about(MEMBER, MEMBER).context(), MemberCommand::Found)
        .then_rejected("space.not_found");
}

#[test]
fn silence_outlasts_leaving_and_coming_back() {
    let case = about(MEMBER, MEMBER);
    let after = Membership {
        standing: Standing::Out,
        ..muted()
    };
    let left = Left {
        space: SPACE,
        account: MEMBER,
        by: MEMBER,
        membership: after.clone(),
    };
    state(muted())
        .when(&case.context(), MemberCommand::Remove)
        .then([left]);
    let back = Joined {
        space: SPACE,
        account: MEMBER,
        by: MEMBER,
        membership: Membership {
            muted: true,
            ..came_in()
        },
        invite: Some(INVITE),
    };
    state(after).when(&case.context(), accept()).then([back]);
}

#[test]
fn the_owner_stays_whatever_anybody_asks() {
    let commands = [
        MemberCommand::Remove,
        MemberCommand::Mute { muted: true },
        MemberCommand::Ban { banned: true },
        roles(&[GUESTS]),
    ];
    for command in commands {
        for actor in [OWNER, LEADER] {
            state(joined(&[]))
                .when(&about(OWNER, actor).context(), command.clone())
                .then_rejected("member.owner_stays");
        }
    }
}

#[test]
fn leaders_act_on_lower_ranks_only() {
    let commands = [
        MemberCommand::Remove,
        MemberCommand::Mute { muted: true },
        MemberCommand::Ban { banned: true },
    ];
    let peer = Uuid::from_u128(9).into();
    for command in commands {
        let by = |actor| about(peer, actor);
        assert_eq!(
            state(joined(&[GUESTS]))
                .when(&by(LEADER).context(), command.clone())
                .0
                .unwrap()
                .len(),
            1
        );
        state(joined(&[LEADERS]))
            .when(&by(LEADER).context(), command.clone())
            .then_rejected("role.rank_too_low");
        assert_eq!(
            state(joined(&[LEADERS]))
                .when(&by(OWNER).context(), command.clone())
                .0
                .unwrap()
                .len(),
            1
        );
        state(joined(&[]))
            .when(&by(MEMBER).context(), command.clone())
            .then_rejected("space.not_allowed");
        state(joined(&[]))
            .when(&by(Uuid::nil().into()).context(), command)
            .then_rejected("space.not_found");
    }
}

#[test]
fn a_ban_takes_roles_and_holds_against_who_is_out_too() {
    let case = about(MEMBER, LEADER);
    let expected = Banned {
        space: SPACE,
        account: MEMBER,
        by: LEADER,
        membership: banned(),
        reason: None,
    };
    let ban = |banned| MemberCommand::Ban { banned };
    state(joined(&[GUESTS]))
        .when(&case.context(), ban(true))
        .then([expected.clone()]);
    state(out()).when(&case.context(), ban(true)).then([expected]);
    state(banned()).when(&case.context(), ban(true)).then_nothing();
    let lifted = Unbanned {
        space: SPACE,
        account: MEMBER,
        by: LEADER,
        membership: out(),
        reason: None,
    };
    state(banned()).when(&case.context(), ban(false)).then([lifted]);
    state(joined(&[]))
        .when(&case.context(), ban(false))
        .then_nothing();
}

#[test]
fn who_is_not_in_cannot_be_removed_muted_or_given_roles() {
    let case = about(MEMBER, LEADER);
    for command in [
        MemberCommand::Remove,
        MemberCommand::Mute { muted: true },
        roles(&[GUESTS]),
    ] {
        state(out())
            .when(&case.context(), command)
            .then_rejected("member.not_found");
    }
    state(out())
        .when(&about(MEMBER, MEMBER).context(), MemberCommand::Remove)
        .then_rejected("space.not_found");
}

#[test]
fn muting_and_unmuting_happen_once() {
    let case = about(MEMBER, LEADER);
    let mute = |muted| MemberCommand::Mute { muted };
    let fact = Muted {
        space: SPACE,
        account: MEMBER,
        by: LEADER,
        membership: muted(),
        reason: None,
    };
    state(joined(&[])).when(&case.context(), mute(true)).then([fact]);
    state(muted()).when(&case.context(), mute(true)).then_nothing();
    let fact = Unmuted {
        space: SPACE,
        account: MEMBER,
        by: LEADER,
        membership: joined(&[]),
        reason: None,
    };
    state(muted()).when(&case.context(), mute(false)).then([fact]);
}

#[test]
fn roles_are_given_from_above_and_only_with_what_one_has() {
    let strong = RoleId::new(Uuid::from_u128(33));
    let define = RoleDefined {
        role: strong,
        name: "s".into(),
        permissions: set(&[Permission::ManageSpace]),
        rank: 4,
    };
    let case = Case {
        space: space_with([define.into()]),
        ..about(MEMBER, LEADER)
    };
    let fact = RolesChanged {
        space: SPACE,
        account: MEMBER,
        by: LEADER,
        membership: joined(&[GUESTS]),
        reason: None,
    };
    state(joined(&[]))
        .when(&case.context(), roles(&[GUESTS]))
        .then([fact]);
    state(joined(&[GUESTS]))
        .when(&case.context(), roles(&[GUESTS]))
        .then_nothing();
    state(joined(&[]))
        .when(&case.context(), roles(&[LEADERS]))
        .then_rejected("role.rank_too_low");
    state(joined(&[]))
        .when(&case.context(), roles(&[strong]))
        .then_rejected("role.not_yours_to_give");
    state(joined(&[]))
        .when(&case.context(), roles(&[RoleId::everyone(SPACE)]))
        .then_rejected("role.not_found");
    let taken = RolesChanged {
        space: SPACE,
        account: MEMBER,
        by: LEADER,
        membership: joined(&[]),
        reason: None,
    };
    state(joined(&[strong]))
        .when(&case.context(), roles(&[]))
        .then([taken]);
}

#[test]
fn a_membership_keeps_as_many_last_words_as_may_make_somebody_wait() {
    let hour = |hour: u8| -> Timestamp { format!("2026-01-01T{hour:02}:00:00Z").parse().unwrap() };
    let case = about(MEMBER, MEMBER);
    let context = MemberContext {
        now: hour(8),
        ..case.context()
    };
    let room = |n: u128| RoomId::new(Uuid::from_u128(n));
    let old = Membership {
        last_words: [(room(1), hour(0)), (room(2), hour(7)), (room(3), hour(1))].into(),
        ..joined(&[])
    };
    let spoke = |last_words: BTreeMap<RoomId, Timestamp>| Spoke {
        space: SPACE,
        account: MEMBER,
        by: MEMBER,
        membership: Membership {
            last_words,
            ..joined(&[])
        },
        room: room(3),
    };
    let speak = || MemberCommand::Speak { room: room(3) };
    state(old)
        .when(&context, speak())
        .then([spoke([(room(2), hour(7)), (room(3), hour(8))].into())]);
    state(out())
        .when(&context, speak())
        .then_rejected("member.not_found");
    let many = (100..100 + MAX_LAST_WORDS as u128).map(|n| (room(n), hour(6)));
    let many = Membership {
        last_words: many.chain([(room(50), hour(5))]).collect(),
        ..joined(&[])
    };
    let events = state(many).when(&context, speak()).0.unwrap();
    let kept = &events[0].membership().last_words;
    assert_eq!(
        (kept.len(), kept.contains_key(&room(50))),
        (MAX_LAST_WORDS, false)
    );
    let left = Membership {
        last_words: [(room(2), hour(7))].into(),
        ..joined(&[])
    };
    let events = state(left).when(&context, MemberCommand::Remove).0.unwrap();
    assert_eq!(
        events[0].membership().last_words.len(),
        1,
        "leaving does not shake it off"
    );
}

#[test]
fn a_time_out_ends_by_itself_or_is_lifted() {
    let case = about(MEMBER, LEADER);
    let time_out = |seconds| MemberCommand::TimeOut { seconds };
    let until = |minute| Membership {
        timed_out_until: Some(at(minute)),
        ..joined(&[])
    };
    let fact = |membership| TimedOut {
        space: SPACE,
        account: MEMBER,
        by: LEADER,
        membership,
        reason: None,
    };
    state(joined(&[]))
        .when(&case.context(), time_out(120))
        .then([fact(until(2))]);
    state(until(1))
        .when(&case.context(), time_out(120))
        .then([fact(until(2))]);
    state(joined(&[]))
        .when(&case.context(), time_out(0))
        .then_nothing();
    state(until(0)).when(&case.context(), time_out(0)).then_nothing();
    let lifted = TimeOutLifted {
        space: SPACE,
        account: MEMBER,
        by: LEADER,
        membership: joined(&[]),
        reason: None,
    };
    state(until(1)).when(&case.context(), time_out(0)).then([lifted]);
    let too_long = time_out(MAX_TIME_OUT_S + 1);
    state(joined(&[]))
        .when(&case.context(), too_long)
        .then_rejected("member.time_out_invalid");
    state(out())
        .when(&case.context(), time_out(60))
        .then_rejected("member.not_found");
    let from_below = about(LEADER, MEMBER);
    state(joined(&[LEADERS]))
        .when(&from_below.context(), time_out(60))
        .then_rejected("space.not_allowed");
    let of_owner = about(OWNER, LEADER);
    state(joined(&[]))
        .when(&of_owner.context(), time_out(60))
        .then_rejected("member.owner_stays");
    let leaves = about(MEMBER, MEMBER);
    let left = state(until(1))
        .when(&leaves.context(), MemberCommand::Remove)
        .0
        .unwrap();
    assert_eq!(
        left[0].membership().timed_out_until,
        Some(at(1)),
        "it is not shaken off by leaving"
    );
}

#[test]
fn a_reason_is_kept_if_it_can_be_read() {
    let case = about(MEMBER, LEADER);
    let with = |reason| MemberContext {
        reason: Some(reason),
        ..case.context()
    };
    let mute = || MemberCommand::Mute { muted: true };
    let said = state(joined(&[])).when(&with(" spam "), mute()).0.unwrap();
    assert_eq!(said[0].reason(), Some("spam"));
    let nothing = state(joined(&[])).when(&with("  "), mute()).0.unwrap();
    assert_eq!(nothing[0].reason(), None);
    let long = "x".repeat(names::MAX_REASON_CHARS + 1);
    state(joined(&[]))
        .when(&with(&long), mute())
        .then_rejected("member.reason_invalid");
    state(joined(&[]))
        .when(&with("a\nb"), mute())
        .then_rejected("member.reason_invalid");
}

fn any_command() -> impl Strategy<Value = MemberCommand> {
    let role = prop::sample::select(vec![LEADERS, GUESTS]);
    prop_oneof![
        Just(MemberCommand::Found),
        Just(accept()),
        Just(MemberCommand::Remove),
        any::<bool>().prop_map(|muted| MemberCommand::Mute { muted }),
        (0_u32..90).prop_map(|seconds| MemberCommand::TimeOut { seconds }),
        any::<bool>().prop_map(|banned| MemberCommand::Ban { banned }),
        prop::collection::btree_set(role, 0..3).prop_map(|roles| MemberCommand::ChangeRoles { roles }),
    ]
}

proptest! {
    #[test]
    fn nobody_comes_in_past_a_ban_and_nobody_outside_holds_roles(
        commands in prop::collection::vec((any_command(), prop::sample::select(vec![OWNER, LEADER, MEMBER])), 0..40)
    ) {
        let mut state = out();
        for (command, actor) in commands {
            let mut case = about(MEMBER, actor);
            if actor == MEMBER {
                case.actor_membership = state.clone();
            }
            for event in Member::decide(&state, &case.context(), command).unwrap_or_default() {
                let before = state.standing;
                Member::evolve(&mut state, &event);
                prop_assert_eq!(event.of(), (SPACE, MEMBER));
                prop_assert_eq!(event.by(), actor);
                prop_assert!(!(before == Standing::Banned && state.standing == Standing::Joined));
                prop_assert!(state.standing == Standing::Joined || state.roles.is_empty());
            }
        }
    }

    #[test]
    fn nobody_raises_themselves(command in any_command(), leads: bool) {
        let (account, membership) = if leads { (LEADER, joined(&[LEADERS])) } else { (MEMBER, joined(&[])) };
        let case = Case { actor_membership: membership.clone(), ..about(account, account) };
        let before = case.space.permissions(&membership, account);
        let mut after = membership.clone();
        for event in Member::decide(&membership, &case.context(), command).unwrap_or_default() {
            Member::evolve(&mut after, &event);
        }
        prop_assert!(before.includes(case.space.permissions(&after, account)));
    }
}

#[test]
fn a_bot_is_brought_in_by_who_may_and_if_its_owner_lets() {
    let bring = |owner, public| MemberCommand::Bring {
        bot: Some(BotFacts { owner, public }),
    };
    let robot = AccountId::new(Uuid::from_u128(77));
    let plain = about(robot, MEMBER);
    state(out())
        .when(&plain.context(), bring(MEMBER, true))
        .then_rejected("space.not_allowed");
    let case = about(robot, OWNER);
    let context = case.context();
    state(out())
        .when(&context, MemberCommand::Bring { bot: None })
        .then_rejected("bot.not_found");
    state(out())
        .when(&context, bring(MEMBER, false))
        .then_rejected("bot.not_public");
    state(banned())
        .when(&context, bring(MEMBER, true))
        .then_rejected("bot.banned");
    state(joined(&[]))
        .when(&context, bring(MEMBER, true))
        .then_nothing();
    let brought = Joined {
        space: SPACE,
        account: robot,
        by: OWNER,
        membership: came_in(),
        invite: None,
    };
    for (owner, public) in [(MEMBER, true), (OWNER, false)] {
        state(out())
            .when(&context, bring(owner, public))
            .then([brought.clone()]);
    }
}

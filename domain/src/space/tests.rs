use uuid::Uuid;
use veza_events::{
    member::Standing,
    space::{InviteUsed, RoleDefined, RoleRemoved},
};

use super::*;
use crate::scenario::{Given, given};

pub(crate) const OWNER: AccountId = AccountId::new(Uuid::from_u128(1));
pub(crate) const LEADER: AccountId = AccountId::new(Uuid::from_u128(2));
pub(crate) const MEMBER: AccountId = AccountId::new(Uuid::from_u128(3));
pub(crate) const SPACE: SpaceId = SpaceId::new(Uuid::from_u128(10));
pub(crate) const ROOM: RoomId = RoomId::new(Uuid::from_u128(20));
/// Rank 10; manages roles and rooms, mutes, removes and bans.
pub(crate) const LEADERS: RoleId = RoleId::new(Uuid::from_u128(30));
/// Rank 5; allows nothing.
pub(crate) const GUESTS: RoleId = RoleId::new(Uuid::from_u128(31));
const INVITE: InviteId = InviteId::new(Uuid::from_u128(40));

pub(crate) fn at(minute: u8) -> Timestamp {
    format!("2026-01-01T00:{minute:02}:00Z").parse().unwrap()
}

pub(crate) fn set(permissions: &[Permission]) -> Permissions {
    permissions.iter().copied().collect()
}

pub(crate) fn joined(roles: &[RoleId]) -> Membership {
    Membership {
        standing: Standing::Joined,
        roles: roles.iter().copied().collect(),
        ..Membership::default()
    }
}

pub(super) fn created(preset: Preset) -> [SpaceEvent; 2] {
    let everyone = preset.everyone();
    let created = Created {
        space: SPACE,
        owner: OWNER,
        name: "home".into(),
        everyone,
    };
    let room = RoomCreated {
        room: ROOM,
        name: FIRST_ROOM.into(),
        kind: RoomKind::Text,
    };
    [created.into(), room.into()]
}

fn role(role: RoleId, permissions: &[Permission], rank: u16) -> SpaceEvent {
    RoleDefined {
        role,
        name: "r".into(),
        permissions: set(permissions),
        rank,
    }
    .into()
}

/// A space of [`OWNER`] with one room and the roles [`LEADERS`] and [`GUESTS`].
pub(crate) fn history(preset: Preset) -> Vec<SpaceEvent> {
    use Permission::{Ban, ManageRoles, ManageRooms, Mute, Post, Remove, View};
    let leaders = role(
        LEADERS,
        &[View, Post, ManageRoles, ManageRooms, Mute, Remove, Ban],
        10,
    );
    created(preset)
        .into_iter()
        .chain([leaders, role(GUESTS, &[], 5)])
        .collect()
}

pub(crate) fn space_with(more: impl IntoIterator<Item = SpaceEvent>) -> Given<Space> {
    given(history(Preset::Team).into_iter().chain(more))
}

pub(super) fn space() -> Given<Space> {
    space_with([])
}

/// Who asks, with the membership that goes with it here.
pub(super) fn by(actor: AccountId) -> SpaceContext<'static> {
    static MEMBERSHIPS: std::sync::OnceLock<[Membership; 4]> = std::sync::OnceLock::new();
    let [plain, leader, guest, out] = MEMBERSHIPS.get_or_init(|| {
        [
            joined(&[]),
            joined(&[LEADERS]),
            joined(&[GUESTS]),
            Membership::default(),
        ]
    });
    let membership = match actor {
        OWNER => plain,
        LEADER => leader,
        MEMBER => guest,
        _ => out,
    };
    SpaceContext {
        now: at(0),
        actor,
        membership,
        target: membership,
    }
}

pub(crate) fn stranger() -> AccountId {
    Uuid::from_u128(99).into()
}

fn define(role: RoleId, permissions: &[Permission], rank: u16) -> SpaceCommand {
    SpaceCommand::DefineRole {
        role,
        name: "r".into(),
        permissions: set(permissions),
        rank,
    }
}

pub(super) fn create_room(name: &str) -> SpaceCommand {
    SpaceCommand::CreateRoom {
        room: Uuid::from_u128(21).into(),
        name: name.into(),
        kind: RoomKind::Voice,
        category: None,
        private: false,
    }
}

pub(super) fn change_room(name: Option<&str>, topic: Option<&str>, archive: bool) -> SpaceCommand {
    SpaceCommand::ChangeRoom {
        room: ROOM,
        name: name.map(Into::into),
        topic: topic.map(Into::into),
        slow_mode_s: None,
        history: None,
        archive,
    }
}

pub(super) fn invite(max_uses: Option<u32>, expires_at: Option<Timestamp>) -> InviteCreated {
    InviteCreated {
        invite: INVITE,
        digest: "d".into(),
        by: OWNER,
        max_uses,
        expires_at,
    }
}

pub(super) fn create_invite(invite: InviteCreated) -> SpaceCommand {
    let InviteCreated {
        invite,
        digest,
        max_uses,
        expires_at,
        ..
    } = invite;
    SpaceCommand::CreateInvite {
        invite,
        digest,
        max_uses,
        expires_at,
    }
}

#[test]
fn a_space_begins_with_a_room_and_belongs_to_who_made_it() {
    let create = |name: &str| SpaceCommand::Create {
        space: SPACE,
        name: name.into(),
        preset: Preset::Team,
        room: ROOM,
    };
    given::<Space>([])
        .when(&by(OWNER), create(" home "))
        .then(created(Preset::Team));
    given::<Space>([])
        .when(&by(OWNER), create(" "))
        .then_rejected("space.name_invalid");
    space()
        .when(&by(OWNER), create("home"))
        .then_rejected("space.exists");
}

#[test]
fn to_who_is_not_in_there_is_no_space() {
    let commands = [
        SpaceCommand::Change {
            name: Some("mine".into()),
            history: None,
            previews: None,
        },
        define(LEADERS, &[], 1),
        SpaceCommand::RemoveRole { role: LEADERS },
        create_room("x"),
        change_room(None, None, true),
        create_invite(invite(None, None)),
        SpaceCommand::RevokeInvite { invite: INVITE },
    ];
    for command in commands {
        space()
            .when(&by(stranger()), command.clone())
            .then_rejected("space.not_found");
        given::<Space>([])
            .when(&by(OWNER), command)
            .then_rejected("space.not_found");
    }
}

#[test]
fn a_member_needs_the_permission() {
    space()
        .when(
            &by(MEMBER),
            SpaceCommand::Change {
                name: Some("x".into()),
                history: None,
                previews: None,
            },
        )
        .then_rejected("space.not_allowed");
    space()
        .when(&by(MEMBER), create_room("x"))
        .then_rejected("space.not_allowed");
    let rejection = space()
        .when(&by(LEADER), create_invite(invite(None, None)))
        .0
        .unwrap_err();
    assert_eq!(
        rejection.to_string(),
        "this needs the permission to invite others"
    );
}

#[test]
fn a_change_that_changes_nothing_is_no_fact() {
    let change = |name: Option<&str>| SpaceCommand::Change {
        name: name.map(Into::into),
        history: None,
        previews: None,
    };
    space().when(&by(OWNER), change(Some("office"))).then([Changed {
        name: Some("office".into()),
        history: None,
        previews: None,
    }]);
    space().when(&by(OWNER), change(Some("home"))).then_nothing();
    space().when(&by(OWNER), change(None)).then_nothing();
    let previews = |shown| SpaceCommand::Change {
        name: None,
        history: None,
        previews: Some(shown),
    };
    let off = Changed {
        name: None,
        history: None,
        previews: Some(false),
    };
    space().when(&by(OWNER), previews(true)).then_nothing();
    space().when(&by(OWNER), previews(false)).then([off.clone()]);
    space_with([off.into()])
        .when(&by(OWNER), previews(false))
        .then_nothing();
    space()
        .when(&by(LEADER), previews(false))
        .then_rejected("space.not_allowed");
    space()
        .when(&by(OWNER), change_room(Some("general"), Some(""), false))
        .then_nothing();
}

#[test]
fn rooms_are_made_changed_and_closed_for_ever() {
    let room = Uuid::from_u128(21).into();
    space().when(&by(LEADER), create_room("talk")).then([RoomCreated {
        room,
        name: "talk".into(),
        kind: RoomKind::Voice,
    }]);
    space()
        .when(&by(LEADER), change_room(Some("all"), Some("of us"), true))
        .then([
            SpaceEvent::from(RoomChanged {
                room: ROOM,
                name: Some("all".into()),
                topic: Some("of us".into()),
                slow_mode_s: None,
                history: None,
            }),
            RoomArchived { room: ROOM }.into(),
        ]);
    let closed = space_with([RoomArchived { room: ROOM }.into()]);
    closed
        .when(&by(OWNER), change_room(Some("again"), None, false))
        .then_rejected("room.archived");
    closed
        .when(&by(OWNER), change_room(None, None, true))
        .then_nothing();
}

#[test]
fn a_space_has_no_more_rooms_than_it_may() {
    let more = (1_000..1_000 + MAX_ROOMS as u128 - 1).map(|n| {
        RoomCreated {
            room: Uuid::from_u128(n).into(),
            name: "r".into(),
            kind: RoomKind::Text,
        }
        .into()
    });
    space_with(more)
        .when(&by(OWNER), create_room("x"))
        .then_rejected("space.too_many_rooms");
}

#[test]
fn a_room_that_one_may_not_see_is_not_there() {
    let private = given::<Space>(history(Preset::Private));
    private
        .when(&by(MEMBER), change_room(None, None, true))
        .then_rejected("room.not_found");
    private
        .when(&by(LEADER), change_room(None, None, true))
        .then([RoomArchived { room: ROOM }]);
}

#[test]
fn nobody_defines_a_role_of_their_own_rank_or_above() {
    use Permission::Post;
    let new = RoleId::new(Uuid::from_u128(32));
    space()
        .when(&by(LEADER), define(new, &[Post], 9))
        .then([role(new, &[Post], 9)]);
    space()
        .when(&by(LEADER), define(new, &[Post], 10))
        .then_rejected("role.rank_too_low");
    space()
        .when(&by(LEADER), define(LEADERS, &[Post], 1))
        .then_rejected("role.rank_too_low");
    space()
        .when(&by(OWNER), define(new, &[Post], u16::MAX))
        .then([role(new, &[Post], u16::MAX)]);
}

#[test]
fn nobody_gives_a_permission_that_they_lack() {
    use Permission::{ManageSpace, Post};
    space()
        .when(&by(LEADER), define(GUESTS, &[ManageSpace], 5))
        .then_rejected("role.not_yours_to_give");
    let had = space_with([role(GUESTS, &[ManageSpace], 5)]);
    had.when(&by(LEADER), define(GUESTS, &[ManageSpace, Post], 5))
        .then([role(GUESTS, &[ManageSpace, Post], 5)]);
}

#[test]
fn what_everybody_may_do_can_change_but_not_its_rank() {
    let everyone = RoleId::everyone(SPACE);
    space()
        .when(&by(LEADER), define(everyone, &[Permission::View], 0))
        .then([role(everyone, &[Permission::View], 0)]);
    space()
        .when(&by(OWNER), define(everyone, &[], 1))
        .then_rejected("role.everyone_fixed");
    space()
        .when(&by(OWNER), SpaceCommand::RemoveRole { role: everyone })
        .then_rejected("role.everyone_fixed");
}

#[test]
fn a_removed_role_allows_nothing_and_never_comes_back() {
    let removed = RoleRemoved { role: GUESTS };
    space()
        .when(&by(LEADER), SpaceCommand::RemoveRole { role: GUESTS })
        .then([removed.clone()]);
    space()
        .when(&by(LEADER), SpaceCommand::RemoveRole { role: LEADERS })
        .then_rejected("role.rank_too_low");
    let gone = space_with([role(GUESTS, &[Permission::Ban], 5), removed.into()]);
    assert!(
        !gone
            .0
            .permissions(&joined(&[GUESTS]), MEMBER)
            .has(Permission::Ban)
    );
    gone.when(&by(OWNER), define(GUESTS, &[], 1))
        .then_rejected("role.removed");
    gone.when(&by(OWNER), SpaceCommand::RemoveRole { role: GUESTS })
        .then_rejected("role.not_found");
}

#[test]
fn an_invitation_is_for_somebody_and_some_time() {
    let good = invite(Some(1), Some(at(1)));
    space().when(&by(OWNER), create_invite(good.clone())).then([good]);
    space()
        .when(&by(OWNER), create_invite(invite(Some(0), None)))
        .then_rejected("invite.max_uses_invalid");
    space()
        .when(&by(OWNER), create_invite(invite(None, Some(at(0)))))
        .then_rejected("invite.expires_at_invalid");
}

#[test]
fn uses_are_counted_where_there_is_a_limit() {
    let use_it = || SpaceCommand::UseInvite { digest: "d".into() };
    let used = InviteUsed {
        invite: INVITE,
        account: stranger(),
    };
    let once = space_with([invite(Some(1), None).into()]);
    once.when(&by(stranger()), use_it()).then([used.clone()]);
    space_with([invite(None, None).into()])
        .when(&by(stranger()), use_it())
        .then_nothing();
    let used_up = space_with([invite(Some(1), None).into(), used.into()]);
    used_up
        .when(&by(stranger()), use_it())
        .then_rejected("invite.used_up");
    let over = space_with([invite(None, Some(at(0))).into()]);
    over.when(&by(stranger()), use_it())
        .then_rejected("invite.expired");
    space()
        .when(&by(stranger()), use_it())
        .then_rejected("invite.not_found");
}

#[test]
fn an_invitation_is_voided_by_who_made_it_or_who_manages_the_space() {
    use Permission::{Invite, ManageSpace};
    let revoke = || SpaceCommand::RevokeInvite { invite: INVITE };
    let theirs = InviteCreated {
        by: LEADER,
        ..invite(None, None)
    };
    let with =
        |permissions: &[Permission]| space_with([role(LEADERS, permissions, 10), theirs.clone().into()]);
    with(&[Invite])
        .when(&by(LEADER), revoke())
        .then([InviteRevoked { invite: INVITE }]);
    with(&[])
        .when(&by(LEADER), revoke())
        .then_rejected("space.not_allowed");
    with(&[])
        .when(&by(OWNER), revoke())
        .then([InviteRevoked { invite: INVITE }]);
    let others = space_with([role(LEADERS, &[Invite], 10), invite(None, None).into()]);
    others
        .when(&by(LEADER), revoke())
        .then_rejected("space.not_allowed");
    space_with([role(LEADERS, &[ManageSpace], 10)])
        .when(&by(LEADER), revoke())
        .then_rejected("invite.not_found");
}

#[test]
fn invitations_that_nobody_can_use_make_room() {
    let many = |last: Option<Timestamp>| {
        (0..MAX_INVITES as u128).map(move |n| {
            let expires_at = last.filter(|_| n == 7);
            InviteCreated {
                invite: Uuid::from_u128(1_000 + n).into(),
                expires_at,
                ..invite(None, None)
            }
            .into()
        })
    };
    space_with(many(None))
        .when(&by(OWNER), create_invite(invite(None, None)))
        .then_rejected("space.too_many_invites");
    space_with(many(Some(at(0))))
        .when(&by(OWNER), create_invite(invite(None, None)))
        .then([
            SpaceEvent::from(InviteRevoked {
                invite: Uuid::from_u128(1_007).into(),
            }),
            invite(None, None).into(),
        ]);
}

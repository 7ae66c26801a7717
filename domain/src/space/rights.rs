//! Who may do what in a space: the one place where roles become permissions.

use veza_events::{
    AccountId, Permission, Permissions, RoleId, RoomId,
    member::{Membership, Standing},
    space::{History, RoomHistory, Whom},
};

use super::{Override, Overrides, Role, SpaceRejection, SpaceState};

/// What members of a new space may do at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Everyone posts and invites.
    Open,
    /// Everyone posts; leaders invite.
    Team,
    /// Everyone reads and reacts; leaders post.
    Announcement,
    /// Nobody sees anything without a role.
    Private,
}

impl Preset {
    /// What the role that everybody holds allows.
    pub fn everyone(self) -> Permissions {
        use Permission::{Invite, React, View};
        let view = Permissions::only(View);
        match self {
            Self::Open => view
                .union(Permissions::EXPRESSION)
                .union(Permissions::only(Invite)),
            Self::Team => view.union(Permissions::EXPRESSION),
            Self::Announcement => view.union(Permissions::only(React)),
            Self::Private => Permissions::NONE,
        }
    }
}

/// How high an account stands in a space: it acts only on lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The highest of its roles; 0 without any, and for accounts that are not in.
    Of(u16),
    /// Above all others.
    Owner,
}

impl SpaceState {
    /// Whether the space is this account's.
    pub fn is_owner(&self, account: AccountId) -> bool {
        self.owner == Some(account)
    }

    /// How high an account stands.
    pub fn rank(&self, membership: &Membership, account: AccountId) -> Rank {
        if self.is_owner(account) {
            return Rank::Owner;
        }
        Rank::Of(self.held(membership).map(|role| role.rank).max().unwrap_or(0))
    }

    /// What an account may do in the space as a whole. Who is not in may nothing; the owner may everything.
    pub fn permissions(&self, membership: &Membership, account: AccountId) -> Permissions {
        if membership.standing != Standing::Joined {
            return Permissions::NONE;
        }
        if self.is_owner(account) {
            return Permissions::all();
        }
        let allowed = self.granted(membership);
        if membership.muted {
            allowed.without(Permissions::EXPRESSION)
        } else {
            allowed
        }
    }

    /// What an account may do in one room. Who cannot see a room may nothing there; nobody says anything in
    /// an archived one.
    pub fn room_permissions(&self, id: RoomId, membership: &Membership, account: AccountId) -> Permissions {
        let Some(room) = self.rooms.get(&id) else {
            return Permissions::NONE;
        };
        let allowed = match self.webhook_permissions(account, id) {
            Some(_) if membership.standing == Standing::Banned => Permissions::NONE,
            Some(allowed) => allowed,
            None => self.permissions_under(self.overrides_in(room), membership, account),
        };
        if room.archived {
            allowed.without(Permissions::EXPRESSION)
        } else {
            allowed
        }
    }

    /// What an account may do where `overrides` count, in the order that Discord has published for this:
    /// what the roles allow, then everyone's override, then those of the other roles together (what one of
    /// them allows outweighs what another denies), then the account's own. Silence comes last.
    pub(super) fn permissions_under(
        &self,
        overrides: &Overrides,
        membership: &Membership,
        account: AccountId,
    ) -> Permissions {
        if membership.standing != Standing::Joined {
            return Permissions::NONE;
        }
        if self.is_owner(account) {
            return Permissions::all();
        }
        let everyone = self.space.map(RoleId::everyone);
        let of_role = |role: &RoleId| overrides.get(&Whom::Role(*role)).copied();
        let roles = membership.roles.iter().filter_map(of_role);
        let roles = roles.fold(Override::default(), |all, one| Override {
            allow: all.allow.union(one.allow),
            deny: all.deny.union(one.deny),
        });
        let layers = [
            everyone.as_ref().and_then(of_role),
            Some(roles),
            overrides.get(&Whom::Account(account)).copied(),
        ];
        let allowed = layers
            .into_iter()
            .flatten()
            .fold(self.granted(membership), |allowed, layer| {
                allowed.without(layer.deny).union(layer.allow)
            });
        if !allowed.has(Permission::View) {
            return Permissions::NONE;
        }
        if membership.muted {
            allowed.without(Permissions::EXPRESSION)
        } else {
            allowed
        }
    }

    /// Up to which event of the space's stream an account sees nothing of a room; 0 when it may see all of it.
    /// Who watches over a room sees what was said in it.
    pub fn hidden_up_to(&self, room: RoomId, membership: &Membership, account: AccountId) -> u64 {
        let own = self
            .rooms
            .get(&room)
            .map_or(RoomHistory::AsSpace, |room| room.history);
        let history = match own {
            RoomHistory::AsSpace => self.history,
            RoomHistory::All => History::All,
            RoomHistory::SinceJoined => History::SinceJoined,
        };
        let sees_all = || {
            self.room_permissions(room, membership, account)
                .has(Permission::ManageMessages)
        };
        match (history, membership.joined) {
            (History::All, _) | (History::SinceJoined, None) => 0,
            (History::SinceJoined, Some(_)) if sees_all() => 0,
            // Nobody can tell where that is: rather nothing than too much.
            (History::SinceJoined, Some(0)) => u64::MAX,
            (History::SinceJoined, Some(joined)) => joined,
        }
    }

    /// Refuses who may not. To those who are not in, the space does not exist.
    ///
    /// # Errors
    /// `space.not_found`, `space.not_allowed`.
    pub fn requires(
        &self,
        membership: &Membership,
        account: AccountId,
        permission: Permission,
    ) -> Result<(), SpaceRejection> {
        if !self.exists() || membership.standing != Standing::Joined {
            return Err(SpaceRejection::NotFound);
        }
        if self.permissions(membership, account).has(permission) {
            Ok(())
        } else {
            Err(SpaceRejection::NotAllowed(permission))
        }
    }

    /// Refuses who may not in a room. To those who cannot see it, the room does not exist.
    ///
    /// # Errors
    /// `space.not_found`, `room.not_found`, `space.not_allowed`.
    pub fn requires_in_room(
        &self,
        room: RoomId,
        membership: &Membership,
        account: AccountId,
        permission: Permission,
    ) -> Result<(), SpaceRejection> {
        if !self.exists() || membership.standing != Standing::Joined {
            return Err(SpaceRejection::NotFound);
        }
        let allowed = self.room_permissions(room, membership, account);
        if !allowed.has(Permission::View) {
            return Err(SpaceRejection::RoomNotFound);
        }
        if allowed.has(permission) {
            Ok(())
        } else {
            Err(SpaceRejection::NotAllowed(permission))
        }
    }

    /// What the roles of a member allow.
    fn granted(&self, membership: &Membership) -> Permissions {
        let allowed = self.held(membership).map(|role| role.permissions);
        allowed.fold(Permissions::NONE, Permissions::union)
    }

    /// The roles that a member holds. Those that were removed are passed over.
    fn held(&self, membership: &Membership) -> impl Iterator<Item = &Role> {
        let everyone = self.space.map(RoleId::everyone);
        everyone
            .into_iter()
            .chain(membership.roles.iter().copied())
            .filter_map(|role| self.roles.get(&role))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use veza_events::space::{Changed, RoomArchived, RoomChanged};

    use super::super::{Space, tests::*};
    use super::*;
    use crate::fold;

    #[test]
    fn presets_say_what_everybody_may_do() {
        use Permission::{Attach, Invite, Post, React, ShareScreen, Speak, View};
        let allowed = |preset| fold::<Space>(&created(preset)).room_permissions(ROOM, &joined(&[]), MEMBER);
        assert_eq!(
            allowed(Preset::Open),
            set(&[View, Post, React, Attach, Speak, ShareScreen, Invite])
        );
        assert_eq!(
            allowed(Preset::Team),
            set(&[View, Post, React, Attach, Speak, ShareScreen])
        );
        assert_eq!(allowed(Preset::Announcement), set(&[View, React]));
        assert_eq!(allowed(Preset::Private), Permissions::NONE);
    }

    #[test]
    fn who_comes_later_sees_what_came_later_where_it_is_said_so() {
        let space = |history, room| {
            let changed = Changed {
                name: None,
                history: Some(history),
                previews: None,
            };
            let room = RoomChanged {
                room: ROOM,
                name: None,
                topic: None,
                slow_mode_s: None,
                history: Some(room),
            };
            space_with([changed.into(), room.into()]).0
        };
        let since = |joined| Membership {
            joined,
            ..super::super::tests::joined(&[])
        };
        for (of_space, of_room, limited) in [
            (History::All, RoomHistory::AsSpace, false),
            (History::SinceJoined, RoomHistory::AsSpace, true),
            (History::SinceJoined, RoomHistory::All, false),
            (History::All, RoomHistory::SinceJoined, true),
            (History::All, RoomHistory::All, false),
        ] {
            let space = space(of_space, of_room);
            let hidden = |joined, account| space.hidden_up_to(ROOM, &since(joined), account);
            assert_eq!(hidden(Some(7), MEMBER), if limited { 7 } else { 0 });
            assert_eq!(hidden(None, MEMBER), 0, "from before it was kept");
            assert_eq!(hidden(Some(0), MEMBER), if limited { u64::MAX } else { 0 });
            assert_eq!(hidden(Some(7), OWNER), 0, "who watches over it sees everything");
        }
    }

    #[test]
    fn silence_and_archives_take_posting_away() {
        let open = space().0;
        let muted = Membership {
            muted: true,
            ..joined(&[LEADERS])
        };
        assert!(!open.room_permissions(ROOM, &muted, LEADER).has(Permission::Post));
        assert!(open.room_permissions(ROOM, &muted, LEADER).has(Permission::View));
        let closed = space_with([RoomArchived { room: ROOM }.into()]).0;
        assert_eq!(
            closed.room_permissions(ROOM, &joined(&[]), OWNER),
            Permissions::all().without(Permissions::EXPRESSION)
        );
        assert_eq!(
            open.room_permissions(Uuid::nil().into(), &joined(&[]), OWNER),
            Permissions::NONE
        );
    }
}

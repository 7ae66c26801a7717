//! What is known of a space, and how facts change it.

use std::collections::{BTreeMap, BTreeSet};

use veza_events::{
    AccountId, InviteId, Permissions, RoleId, RoomId, SpaceId, Timestamp,
    space::{RoomKind, SpaceEvent},
};

use super::SpaceRejection;

/// The structure of a space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceState {
    /// The space, once there is one.
    pub space: Option<SpaceId>,
    /// Who made it, and may do everything.
    pub owner: Option<AccountId>,
    /// What it is called.
    pub name: String,
    /// Its roles, that of everybody among them.
    pub roles: BTreeMap<RoleId, Role>,
    /// Roles that were taken away. Members may still hold them, so they never come back.
    pub removed_roles: BTreeSet<RoleId>,
    /// Its rooms.
    pub rooms: BTreeMap<RoomId, Room>,
    /// Its invitations that were not revoked.
    pub invites: BTreeMap<InviteId, Invite>,
}

/// What a role allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// What it is called.
    pub name: String,
    /// What it allows.
    pub permissions: Permissions,
    /// Higher ranks act on lower ones.
    pub rank: u16,
}

/// A room, without what is said in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// What it is called.
    pub name: String,
    /// What it is about.
    pub topic: String,
    /// What it is for.
    pub kind: RoomKind,
    /// Takes nothing new.
    pub archived: bool,
}

/// A way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// SHA-256 of the secret part of its code, hex.
    pub digest: String,
    /// Who made it.
    pub by: AccountId,
    /// How many may come.
    pub max_uses: Option<u32>,
    /// How many came; not counted without a limit.
    pub uses: u32,
    /// Until when.
    pub expires_at: Option<Timestamp>,
}

impl Invite {
    /// Whether somebody can come in by it.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.check(now).is_ok()
    }

    fn check(&self, now: Timestamp) -> Result<(), SpaceRejection> {
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(SpaceRejection::InviteExpired);
        }
        if self.max_uses.is_some_and(|max| self.uses >= max) {
            return Err(SpaceRejection::InviteUsedUp);
        }
        Ok(())
    }
}

impl SpaceState {
    /// Whether there is such a space.
    pub fn exists(&self) -> bool {
        self.space.is_some()
    }

    /// Whether this is the role that everybody holds.
    pub fn is_everyone(&self, role: RoleId) -> bool {
        self.space.map(RoleId::everyone) == Some(role)
    }

    /// The invitation whose secret has this digest, if somebody can come in by it.
    ///
    /// # Errors
    /// `invite.not_found`, `invite.expired`, `invite.used_up`.
    pub fn usable_invite(&self, digest: &str, now: Timestamp) -> Result<(InviteId, &Invite), SpaceRejection> {
        let found = self.invites.iter().find(|(_, invite)| invite.digest == digest);
        let (&id, invite) = found.ok_or(SpaceRejection::InviteNotFound)?;
        invite.check(now)?;
        Ok((id, invite))
    }

    pub(super) fn apply(&mut self, event: &SpaceEvent) {
        match event {
            SpaceEvent::Created(event) => {
                self.space = Some(event.space);
                self.owner = Some(event.owner);
                self.name.clone_from(&event.name);
                let everyone = Role {
                    name: "everyone".into(),
                    permissions: event.everyone,
                    rank: 0,
                };
                self.roles.insert(RoleId::everyone(event.space), everyone);
            }
            SpaceEvent::Changed(event) => set(&mut self.name, event.name.as_ref()),
            SpaceEvent::RoleDefined(event) => {
                let role = Role {
                    name: event.name.clone(),
                    permissions: event.permissions,
                    rank: event.rank,
                };
                self.roles.insert(event.role, role);
            }
            SpaceEvent::RoleRemoved(event) => {
                self.roles.remove(&event.role);
                self.removed_roles.insert(event.role);
            }
            SpaceEvent::RoomCreated(event) => {
                let room = Room {
                    name: event.name.clone(),
                    topic: String::new(),
                    kind: event.kind,
                    archived: false,
                };
                self.rooms.insert(event.room, room);
            }
            SpaceEvent::RoomChanged(event) => {
                if let Some(room) = self.rooms.get_mut(&event.room) {
                    set(&mut room.name, event.name.as_ref());
                    set(&mut room.topic, event.topic.as_ref());
                }
            }
            SpaceEvent::RoomArchived(event) => {
                if let Some(room) = self.rooms.get_mut(&event.room) {
                    room.archived = true;
                }
            }
            SpaceEvent::InviteCreated(event) => {
                let invite = Invite {
                    digest: event.digest.clone(),
                    by: event.by,
                    max_uses: event.max_uses,
                    uses: 0,
                    expires_at: event.expires_at,
                };
                self.invites.insert(event.invite, invite);
            }
            SpaceEvent::InviteUsed(event) => {
                if let Some(invite) = self.invites.get_mut(&event.invite) {
                    invite.uses = invite.uses.saturating_add(1);
                }
            }
            SpaceEvent::InviteRevoked(event) => {
                self.invites.remove(&event.invite);
            }
        }
    }
}

fn set(field: &mut String, new: Option<&String>) {
    if let Some(new) = new {
        field.clone_from(new);
    }
}

//! What is known of a space, and how facts change it.

use std::collections::{BTreeMap, BTreeSet};

use veza_events::{
    AccountId, CategoryId, InviteId, Permissions, RoleId, RoomId, SpaceId, Timestamp,
    space::{DirectOpened, History, InviteCreated, RoomCreated, RoomHistory, RoomKind, SpaceEvent, Whom},
};

use super::{
    Brake, Category, Direct, Filters, Override, Overrides, Slash, SpaceRejection, Webhook, direct_rights,
};

/// The structure of a space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpaceState {
    /// The space, once there is one.
    pub space: Option<SpaceId>,
    /// Who made it, and may do everything.
    pub owner: Option<AccountId>,
    /// That it is a conversation between a few, and who takes part.
    pub direct: Option<Direct>,
    /// What it is called.
    pub name: String,
    /// How much of its rooms those see who come later.
    pub history: History,
    /// Whether pages that messages link to are not shown beside them.
    pub previews_off: bool,
    /// Its roles, that of everybody among them.
    pub roles: BTreeMap<RoleId, Role>,
    /// Roles that were taken away. Members may still hold them, so they never come back.
    pub removed_roles: BTreeSet<RoleId>,
    /// Its rooms.
    pub rooms: BTreeMap<RoomId, Room>,
    /// The groups that its rooms are listed in.
    pub categories: BTreeMap<CategoryId, Category>,
    /// What must not be said in it.
    pub filters: Filters,
    /// What is known of raids on it.
    pub brake: Brake,
    /// Its invitations that were not revoked.
    pub invites: BTreeMap<InviteId, Invite>,
    /// Its webhooks, by the accounts that they post as.
    pub webhooks: BTreeMap<AccountId, Webhook>,
    /// What bots offer, by name.
    pub slash: BTreeMap<String, Slash>,
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
    /// In which group it is listed.
    pub category: Option<CategoryId>,
    /// Lower ones stand first.
    pub position: u16,
    /// How many seconds one waits between two messages; 0 for none.
    pub slow_mode_s: u32,
    /// How much of it those see who come later.
    pub history: RoomHistory,
    /// What differs in it; while there is nothing, what differs in its category.
    pub overrides: Overrides,
}

impl From<&RoomCreated> for Room {
    fn from(event: &RoomCreated) -> Self {
        Self {
            name: event.name.clone(),
            topic: String::new(),
            kind: event.kind,
            archived: false,
            category: None,
            position: 0,
            slow_mode_s: 0,
            history: RoomHistory::AsSpace,
            overrides: Overrides::new(),
        }
    }
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

impl From<&InviteCreated> for Invite {
    fn from(event: &InviteCreated) -> Self {
        Self {
            digest: event.digest.clone(),
            by: event.by,
            max_uses: event.max_uses,
            uses: 0,
            expires_at: event.expires_at,
        }
    }
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

    /// Forgets what is overridden for a role that is gone.
    fn drop_overrides_of(&mut self, role: RoleId) {
        let rooms = self.rooms.values_mut().map(|room| &mut room.overrides);
        let categories = self
            .categories
            .values_mut()
            .map(|category| &mut category.overrides);
        for overrides in rooms.chain(categories) {
            overrides.remove(&Whom::Role(role));
        }
    }

    fn open_direct(&mut self, event: &DirectOpened) {
        self.space = Some(event.space);
        self.direct = Some(Direct {
            kind: event.kind,
            participants: event.accounts.clone(),
        });
        let everyone = Role {
            name: "everyone".into(),
            permissions: direct_rights(),
            rank: 0,
        };
        self.roles.insert(RoleId::everyone(event.space), everyone);
    }

    fn add_to_direct(&mut self, account: AccountId) {
        if let Some(direct) = &mut self.direct {
            direct.participants.insert(account);
        }
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
            SpaceEvent::DirectOpened(event) => self.open_direct(event),
            SpaceEvent::DirectAdded(event) => self.add_to_direct(event.account),
            SpaceEvent::Changed(event) => {
                set(&mut self.name, event.name.as_ref());
                self.history = event.history.unwrap_or(self.history);
                self.previews_off = event.previews.map_or(self.previews_off, |shown| !shown);
            }
            SpaceEvent::RoleDefined(event) => {
                self.roles.insert(event.role, event.into());
            }
            SpaceEvent::RoleRemoved(event) => {
                self.roles.remove(&event.role);
                self.removed_roles.insert(event.role);
                self.drop_overrides_of(event.role);
            }
            SpaceEvent::RoomCreated(event) => {
                self.rooms.insert(event.room, event.into());
            }
            SpaceEvent::RoomChanged(event) => {
                edit(&mut self.rooms, &event.room, |room| {
                    set(&mut room.name, event.name.as_ref());
                    set(&mut room.topic, event.topic.as_ref());
                    room.slow_mode_s = event.slow_mode_s.unwrap_or(room.slow_mode_s);
                    room.history = event.history.unwrap_or(room.history);
                });
            }
            SpaceEvent::RoomArchived(event) => {
                edit(&mut self.rooms, &event.room, |room| room.archived = true);
            }
            SpaceEvent::RoomPlaced(event) => {
                edit(&mut self.rooms, &event.room, |room| {
                    (room.category, room.position) = (event.category, event.position);
                });
            }
            SpaceEvent::CategoryCreated(event) => {
                let category = Category {
                    name: event.name.clone(),
                    position: event.position,
                    overrides: Overrides::new(),
                };
                self.categories.insert(event.category, category);
            }
            SpaceEvent::CategoryChanged(event) => {
                edit(&mut self.categories, &event.category, |category| {
                    set(&mut category.name, event.name.as_ref());
                    category.position = event.position.unwrap_or(category.position);
                });
            }
            SpaceEvent::CategoryRemoved(event) => drop(self.categories.remove(&event.category)),
            SpaceEvent::OverrideSet(event) => {
                let (allow, deny) = (event.allow, event.deny);
                if let Some(overrides) = self.overrides_mut(event.place) {
                    overrides.insert(event.whom, Override { allow, deny });
                }
            }
            SpaceEvent::OverrideRemoved(event) => {
                if let Some(overrides) = self.overrides_mut(event.place) {
                    overrides.remove(&event.whom);
                }
            }
            SpaceEvent::RaidBrakeSet(event) => self.brake.set(*event),
            SpaceEvent::Arrived(event) => self.brake.arrived(event),
            SpaceEvent::RaidBegun(event) => self.brake.begun(event),
            SpaceEvent::RaidEnded(event) => self.brake.ended(event),
            SpaceEvent::FiltersSet(event) => self.filters = Filters::from(&*event.rules),
            SpaceEvent::InviteCreated(event) => {
                self.invites.insert(event.invite, event.into());
            }
            SpaceEvent::InviteUsed(event) => {
                edit(&mut self.invites, &event.invite, |invite| {
                    invite.uses = invite.uses.saturating_add(1);
                });
            }
            SpaceEvent::InviteRevoked(event) => drop(self.invites.remove(&event.invite)),
            SpaceEvent::WebhookCreated(event) => {
                self.webhooks.insert(event.webhook, event.into());
            }
            SpaceEvent::WebhookSecretChanged(event) => {
                edit(&mut self.webhooks, &event.webhook, |webhook| {
                    webhook.digest.clone_from(&event.digest);
                });
            }
            SpaceEvent::WebhookRemoved(event) => drop(self.webhooks.remove(&event.webhook)),
            SpaceEvent::SlashCommandDefined(event) => {
                self.slash.insert(event.name.clone(), event.into());
            }
            SpaceEvent::SlashCommandRemoved(event) => drop(self.slash.remove(&event.name)),
        }
    }
}

/// Changes what is there; history may speak of what is not.
fn edit<K: Ord, V>(map: &mut BTreeMap<K, V>, key: &K, change: impl FnOnce(&mut V)) {
    if let Some(value) = map.get_mut(key) {
        change(value);
    }
}

fn set(field: &mut String, new: Option<&String>) {
    if let Some(new) = new {
        field.clone_from(new);
    }
}

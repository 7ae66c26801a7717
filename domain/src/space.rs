//! The structure of a space: its name, roles, rooms and invitations. Who is in it is each member's own
//! aggregate; what is said in it, each room's.

use veza_events::{
    AccountId, CategoryId, InviteId, Permission, Permissions, RoleId, RoomId, SpaceId, Timestamp,
    member::Membership,
    space::{
        Changed, Created, FilterRule, History, InviteCreated, InviteRevoked, RoomArchived, RoomChanged,
        RoomCreated, RoomHistory, RoomKind, SpaceEvent, Whom,
    },
};

use crate::{Decider, names};

mod direct;
mod export;
mod filters;
mod invites;
mod order;
mod overrides;
mod part;
#[cfg(test)]
mod properties;
mod raid;
mod rejection;
mod rights;
mod roles;
mod slash;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod webhook;

pub use direct::{Acquaintance, Direct, DirectCommand, MAX_IN_DIRECT, rights as direct_rights};
pub use export::may_export;
pub use filters::{
    FilterFault, Filters, MAX_FILTER_ENTRIES, MAX_FILTER_ENTRY_CHARS, MAX_FILTER_PATTERNS, MAX_FILTER_RULES,
    may_read_filters,
};
pub use order::{Category, MAX_CATEGORIES, OrderCommand};
pub use overrides::{MAX_OVERRIDES, Override, OverrideCommand, Overrides};
pub use part::{Part, event_part};
pub use raid::{Brake, HOLD_S, MAX_JOINS_PER_MINUTE, RaidCommand, may_watch_raids};
pub use rejection::SpaceRejection;
pub use rights::{Preset, Rank};
pub use slash::{MAX_OPTIONS, MAX_SLASH_COMMANDS, Slash, SlashCommand};
pub use state::{Invite, Role, Room, SpaceState};
pub use webhook::{MAX_WEBHOOKS, Webhook, WebhookCommand};

/// Most rooms of a space, archived ones included, since they stay readable.
pub const MAX_ROOMS: usize = 500;
/// Most roles of a space.
pub const MAX_ROLES: usize = 250;
/// Most roles that a space ever takes back. Their ids stay taken: members may still hold them.
pub const MAX_REMOVED_ROLES: usize = 5_000;
/// Most invitations of a space. Those that nobody can use any more make room for new ones.
pub const MAX_INVITES: usize = 1_000;
/// Longest wait of slow mode, in seconds: six hours.
pub const MAX_SLOW_MODE_S: u32 = 6 * 60 * 60;
/// What the first room of a space is called.
pub const FIRST_ROOM: &str = "general";

/// Decides about one space.
pub struct Space;

/// What else a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct SpaceContext<'a> {
    /// The time.
    pub now: Timestamp,
    /// Who asks.
    pub actor: AccountId,
    /// The membership of who asks.
    pub membership: &'a Membership,
    /// The membership of whom it is about; of who asks, where it is about nobody else.
    pub target: &'a Membership,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpaceCommand {
    /// Make the space, with a first room. Who asks will own it.
    Create {
        /// Its id.
        space: SpaceId,
        /// As typed.
        name: String,
        /// What its members may do at first.
        preset: Preset,
        /// The first room.
        room: RoomId,
    },
    /// Change the space; absent fields stay.
    Change {
        /// As typed.
        name: Option<String>,
        /// How much of its rooms those see who come later.
        history: Option<History>,
        /// Whether pages that messages link to are shown beside them.
        previews: Option<bool>,
    },
    /// Make a role, or make it anew.
    DefineRole {
        /// Which one; [`RoleId::everyone`] for the role that everybody holds.
        role: RoleId,
        /// As typed.
        name: String,
        /// What it allows.
        permissions: Permissions,
        /// Higher ranks act on lower ones.
        rank: u16,
    },
    /// Take a role away from everybody.
    RemoveRole {
        /// Which one.
        role: RoleId,
    },
    /// Add a room.
    CreateRoom {
        /// Its id.
        room: RoomId,
        /// As typed.
        name: String,
        /// What it is for.
        kind: RoomKind,
        /// In which category; in none when absent.
        category: Option<CategoryId>,
        /// Seen by who makes it alone, at first.
        private: bool,
    },
    /// Talk in a conversation between a few.
    Direct(DirectCommand),
    /// Change the list of rooms.
    Order(OrderCommand),
    /// Change who may do what in a room.
    Override(OverrideCommand),
    /// Mind raids.
    Raid(RaidCommand),
    /// Let these be the rules for what is said.
    SetFilters {
        /// In the order in which they are looked at.
        rules: Vec<FilterRule>,
    },
    /// Let programs post by an address.
    Webhook(WebhookCommand),
    /// Offer something to be called by a name.
    Slash(SlashCommand),
    /// Change a room; absent fields stay.
    ChangeRoom {
        /// Which one.
        room: RoomId,
        /// As typed.
        name: Option<String>,
        /// As typed; empty for none.
        topic: Option<String>,
        /// Seconds that one waits between two messages; 0 for none.
        slow_mode_s: Option<u32>,
        /// How much of it those see who come later.
        history: Option<RoomHistory>,
        /// Take nothing new from now on, for ever.
        archive: bool,
    },
    /// Make an invitation.
    CreateInvite {
        /// Its id.
        invite: InviteId,
        /// SHA-256 of the secret part of its code, hex.
        digest: String,
        /// How many may come.
        max_uses: Option<u32>,
        /// Until when.
        expires_at: Option<Timestamp>,
    },
    /// Void an invitation.
    RevokeInvite {
        /// Which one.
        invite: InviteId,
    },
    /// Count a use of an invitation by who asks, who is not in yet.
    UseInvite {
        /// SHA-256 of the secret part of its code, hex.
        digest: String,
    },
}

impl SpaceCommand {
    /// Whom it is about, beside who asks: their membership goes into the decision.
    pub fn about(&self) -> Option<AccountId> {
        let Self::Override(OverrideCommand::Set { whom, .. } | OverrideCommand::Remove { whom, .. }) = self
        else {
            return None;
        };
        match whom {
            Whom::Account(account) => Some(*account),
            Whom::Role(_) => None,
        }
    }
}

type Decision = Result<Vec<SpaceEvent>, SpaceRejection>;

impl Decider for Space {
    type State = SpaceState;
    type Command = SpaceCommand;
    type Context<'a> = SpaceContext<'a>;
    type Event = SpaceEvent;
    type Rejection = SpaceRejection;

    fn decide(state: &SpaceState, context: &SpaceContext<'_>, command: SpaceCommand) -> Decision {
        may(state, context, &command)?;
        match command {
            SpaceCommand::Create {
                space,
                name,
                preset,
                room,
            } => create(state, context, space, &name, preset, room),
            SpaceCommand::Change {
                name,
                history,
                previews,
            } => change(state, name.as_deref(), history, previews),
            SpaceCommand::DefineRole {
                role,
                name,
                permissions,
                rank,
            } => {
                let new = Role {
                    name,
                    permissions,
                    rank,
                };
                roles::define(state, context, role, new)
            }
            SpaceCommand::RemoveRole { role } => roles::remove(state, context, role),
            SpaceCommand::CreateRoom {
                room,
                name,
                kind,
                category,
                private,
            } => {
                let mut facts = create_room(state, room, &name, kind)?;
                facts.extend(category.map(|category| order::placed(room, category).into()));
                if private {
                    facts.extend(overrides::closed(state, context, room, category));
                }
                Ok(facts)
            }
            SpaceCommand::Direct(command) => direct::decide(state, command),
            SpaceCommand::Order(command) => order::decide(state, context, command),
            SpaceCommand::Raid(command) => raid::decide(state, context, command),
            SpaceCommand::SetFilters { rules } => filters::decide(state, rules),
            SpaceCommand::Override(command) => overrides::decide(state, context, command),
            SpaceCommand::Webhook(command) => webhook::decide(state, context, command),
            SpaceCommand::Slash(command) => slash::decide(state, context, command),
            SpaceCommand::ChangeRoom {
                slow_mode_s: Some(seconds),
                ..
            } if seconds > MAX_SLOW_MODE_S => Err(SpaceRejection::SlowMode),
            SpaceCommand::ChangeRoom {
                room,
                name,
                topic,
                slow_mode_s,
                history,
                archive,
            } => {
                let change = RoomChanged {
                    room,
                    name,
                    topic,
                    slow_mode_s,
                    history,
                };
                change_room(state, change, archive)
            }
            SpaceCommand::CreateInvite {
                invite,
                digest,
                max_uses,
                expires_at,
            } => {
                let by = context.actor;
                let new = InviteCreated {
                    invite,
                    digest,
                    by,
                    max_uses,
                    expires_at,
                };
                invites::create(state, context.now, new)
            }
            SpaceCommand::RevokeInvite { invite } if !state.invites.contains_key(&invite) => {
                Err(SpaceRejection::InviteNotFound)
            }
            SpaceCommand::RevokeInvite { invite } => Ok(vec![InviteRevoked { invite }.into()]),
            SpaceCommand::UseInvite { digest } => {
                let mut facts = invites::use_one(state, context, &digest)?;
                facts.extend(raid::arrive(state, context));
                Ok(facts)
            }
        }
    }

    fn evolve(state: &mut SpaceState, event: &SpaceEvent) {
        state.apply(event);
    }
}

/// Whether who asks may ask that at all.
fn may(state: &SpaceState, context: &SpaceContext<'_>, command: &SpaceCommand) -> Result<(), SpaceRejection> {
    let SpaceContext {
        actor, membership, ..
    } = *context;
    let needed = match command {
        SpaceCommand::Create { .. } | SpaceCommand::UseInvite { .. } => return Ok(()),
        SpaceCommand::ChangeRoom { room, .. } => {
            return state.requires_in_room(*room, membership, actor, Permission::ManageRooms);
        }
        SpaceCommand::CreateRoom {
            category: Some(category),
            ..
        } => {
            overrides::requires_in_category(state, context, *category, Permission::ManageRooms)?;
            Permission::ManageRooms
        }
        SpaceCommand::Direct(command) => return direct::may(state, context, command),
        SpaceCommand::Order(command) => return order::may(state, context, command),
        SpaceCommand::Raid(command) => return raid::may(state, context, *command),
        SpaceCommand::SetFilters { .. } => return filters::may(state, context),
        SpaceCommand::Override(command) => return overrides::may(state, context, command.place()),
        SpaceCommand::Webhook(command) => return webhook::may(state, context, command),
        SpaceCommand::Slash(command) => return slash::may(state, context, command),
        SpaceCommand::Change { .. } => Permission::ManageSpace,
        SpaceCommand::DefineRole { .. } | SpaceCommand::RemoveRole { .. } => Permission::ManageRoles,
        SpaceCommand::CreateRoom { .. } => Permission::ManageRooms,
        SpaceCommand::CreateInvite { .. } => Permission::Invite,
        SpaceCommand::RevokeInvite { invite } => match state.invites.get(invite) {
            Some(invite) if invite.by == actor => Permission::Invite,
            Some(_) | None => Permission::ManageSpace,
        },
    };
    state.requires(membership, actor, needed)
}

fn create(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    space: SpaceId,
    name: &str,
    preset: Preset,
    room: RoomId,
) -> Decision {
    if state.exists() {
        return Err(SpaceRejection::Exists);
    }
    let name = names::shown(name).map_err(SpaceRejection::Name)?;
    let created = Created {
        space,
        owner: context.actor,
        name,
        everyone: preset.everyone(),
    };
    let first = RoomCreated {
        room,
        name: FIRST_ROOM.into(),
        kind: RoomKind::Text,
    };
    Ok(vec![created.into(), first.into()])
}

fn change(
    state: &SpaceState,
    name: Option<&str>,
    history: Option<History>,
    previews: Option<bool>,
) -> Decision {
    let name = name.map(names::shown).transpose().map_err(SpaceRejection::Name)?;
    let name = name.filter(|name| *name != state.name);
    let history = history.filter(|history| *history != state.history);
    let previews = previews.filter(|shown| *shown == state.previews_off);
    let any = name.is_some() || history.is_some() || previews.is_some();
    let changed = Changed {
        name,
        history,
        previews,
    };
    Ok(any.then(|| changed.into()).into_iter().collect())
}

fn create_room(state: &SpaceState, room: RoomId, name: &str, kind: RoomKind) -> Decision {
    let name = names::shown(name).map_err(SpaceRejection::RoomName)?;
    if state.rooms.contains_key(&room) {
        return Err(SpaceRejection::RoomExists);
    }
    if state.rooms.len() >= MAX_ROOMS {
        return Err(SpaceRejection::TooManyRooms);
    }
    Ok(vec![RoomCreated { room, name, kind }.into()])
}

fn change_room(state: &SpaceState, mut change: RoomChanged, archive: bool) -> Decision {
    let room = change.room;
    let old = state.rooms.get(&room).ok_or(SpaceRejection::RoomNotFound)?;
    let name = change.name.as_deref().map(names::shown).transpose();
    change.name = name
        .map_err(SpaceRejection::RoomName)?
        .filter(|name| *name != old.name);
    let topic = change.topic.as_deref().map(names::topic).transpose();
    change.topic = topic
        .map_err(SpaceRejection::Topic)?
        .filter(|topic| *topic != old.topic);
    change.slow_mode_s = change.slow_mode_s.filter(|seconds| *seconds != old.slow_mode_s);
    change.history = change.history.filter(|history| *history != old.history);
    let any = change.name.is_some()
        || change.topic.is_some()
        || change.slow_mode_s.is_some()
        || change.history.is_some();
    if old.archived && any {
        return Err(SpaceRejection::RoomArchived);
    }
    let archived = (archive && !old.archived).then(|| RoomArchived { room }.into());
    Ok(any.then(|| change.into()).into_iter().chain(archived).collect())
}

//! What of a space a change is about. Changes of different parts do not bear on each other: who has seen a room
//! may change it although a role was made meanwhile.

use veza_events::{
    AccountId, CategoryId, InviteId, RoleId, RoomId,
    space::{Place, SpaceEvent, Whom},
};

use super::{OrderCommand, OverrideCommand, SpaceCommand};

/// A part of a space that is seen, and changed, by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the space is as a whole.
    Whole,
    /// A role.
    Role(RoleId),
    /// A room.
    Room(RoomId),
    /// A category.
    Category(CategoryId),
    /// What somebody may do in a place.
    Override(Place, Whom),
    /// How raids are minded.
    Raid,
    /// The rules for what is said.
    Filters,
    /// An invitation.
    Invite(InviteId),
    /// A webhook.
    Webhook(AccountId),
    /// What bots offer.
    Slashes,
}

/// What an event changed.
pub fn event_part(event: &SpaceEvent) -> Part {
    match event {
        SpaceEvent::Created(_)
        | SpaceEvent::DirectOpened(_)
        | SpaceEvent::DirectAdded(_)
        | SpaceEvent::Changed(_) => Part::Whole,
        SpaceEvent::RoleDefined(event) => Part::Role(event.role),
        SpaceEvent::RoleRemoved(event) => Part::Role(event.role),
        SpaceEvent::RoomCreated(event) => Part::Room(event.room),
        SpaceEvent::RoomChanged(event) => Part::Room(event.room),
        SpaceEvent::RoomArchived(event) => Part::Room(event.room),
        SpaceEvent::RoomPlaced(event) => Part::Room(event.room),
        SpaceEvent::CategoryCreated(event) => Part::Category(event.category),
        SpaceEvent::CategoryChanged(event) => Part::Category(event.category),
        SpaceEvent::CategoryRemoved(event) => Part::Category(event.category),
        SpaceEvent::OverrideSet(event) => Part::Override(event.place, event.whom),
        SpaceEvent::OverrideRemoved(event) => Part::Override(event.place, event.whom),
        SpaceEvent::RaidBrakeSet(_)
        | SpaceEvent::Arrived(_)
        | SpaceEvent::RaidBegun(_)
        | SpaceEvent::RaidEnded(_) => Part::Raid,
        SpaceEvent::FiltersSet(_) => Part::Filters,
        SpaceEvent::InviteCreated(event) => Part::Invite(event.invite),
        SpaceEvent::InviteUsed(event) => Part::Invite(event.invite),
        SpaceEvent::InviteRevoked(event) => Part::Invite(event.invite),
        SpaceEvent::WebhookCreated(event) => Part::Webhook(event.webhook),
        SpaceEvent::WebhookSecretChanged(event) => Part::Webhook(event.webhook),
        SpaceEvent::WebhookRemoved(event) => Part::Webhook(event.webhook),
        SpaceEvent::SlashCommandDefined(_) | SpaceEvent::SlashCommandRemoved(_) => Part::Slashes,
    }
}

impl SpaceCommand {
    /// What it is to change; `None` when it names its part in another way than events do.
    pub fn part(&self) -> Option<Part> {
        match self {
            Self::Create { .. } | Self::Direct(_) | Self::Change { .. } => Some(Part::Whole),
            Self::DefineRole { role, .. } | Self::RemoveRole { role } => Some(Part::Role(*role)),
            Self::CreateRoom { room, .. }
            | Self::ChangeRoom { room, .. }
            | Self::Order(OrderCommand::Place { room, .. }) => Some(Part::Room(*room)),
            Self::Order(
                OrderCommand::Create { category, .. }
                | OrderCommand::Change { category, .. }
                | OrderCommand::Remove { category },
            ) => Some(Part::Category(*category)),
            Self::Override(
                OverrideCommand::Set { place, whom, .. } | OverrideCommand::Remove { place, whom },
            ) => Some(Part::Override(*place, *whom)),
            Self::Raid(_) => Some(Part::Raid),
            Self::SetFilters { .. } => Some(Part::Filters),
            Self::CreateInvite { invite, .. } | Self::RevokeInvite { invite } => Some(Part::Invite(*invite)),
            Self::Webhook(command) => Some(Part::Webhook(command.webhook())),
            Self::Slash(_) => Some(Part::Slashes),
            Self::UseInvite { .. } => None,
        }
    }
}

//! Why something cannot be done to a space.

use veza_events::Permission;

use super::FilterFault;
use crate::{Reject, RejectionKind, names::NameFault};

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceRejection {
    /// There is no such space, or none that the caller may know of.
    #[error("there is no such space")]
    NotFound,
    /// The id is in use.
    #[error("this space exists already")]
    Exists,
    /// No role of the caller allows it.
    #[error("this needs the permission to {}", deed(*.0))]
    NotAllowed(Permission),
    /// Some of its rooms, or what was said in them, are not for the caller.
    #[error(
        "some of what was said in this space is not shown to you; who sees all of it can have it exported"
    )]
    NotAllVisible,
    /// The name cannot be one.
    #[error("the name of the space {0}")]
    Name(NameFault),
    /// There is no such room, or none that the caller may know of.
    #[error("there is no such room")]
    RoomNotFound,
    /// The id is in use.
    #[error("this room exists already")]
    RoomExists,
    /// The room takes nothing new.
    #[error("the room is archived, it cannot be changed any more")]
    RoomArchived,
    /// The name cannot be one.
    #[error("the name of the room {0}")]
    RoomName(NameFault),
    /// The topic cannot be one.
    #[error("the topic {0}")]
    Topic(NameFault),
    /// Longer than anybody would wait.
    #[error("slow mode waits at most {max} seconds", max = super::MAX_SLOW_MODE_S)]
    SlowMode,
    /// A brake that holds nobody, or everybody.
    #[error(
        "a brake counts at most {max} joins a minute and holds for {shortest} to {longest} seconds",
        max = super::MAX_JOINS_PER_MINUTE, shortest = super::HOLD_S.0, longest = super::HOLD_S.1
    )]
    Brake,
    /// Rules for what is said that cannot be.
    #[error(transparent)]
    Filter(#[from] FilterFault),
    /// Too few or too many to talk.
    #[error("a conversation is between 2 and {max} people", max = super::MAX_IN_DIRECT)]
    DirectSize,
    /// One of those who are to talk is nobody.
    #[error("there is no such account")]
    AccountNotFound,
    /// One of those who are to talk does not want to hear from the other.
    #[error("one of you has blocked the other")]
    Blocked,
    /// Between two it stays between two.
    #[error("only groups take others in; begin one")]
    NotAGroup,
    /// As many as take part in a group.
    #[error("the group has had as many people as it can have ({max})", max = super::MAX_IN_DIRECT)]
    DirectFull,
    /// As many rooms as a space can have.
    #[error("the space has as many rooms as it can have ({max})", max = super::MAX_ROOMS)]
    TooManyRooms,
    /// There is no such category, or none that the caller may know of.
    #[error("there is no such category")]
    CategoryNotFound,
    /// The id is in use.
    #[error("this category exists already")]
    CategoryExists,
    /// The name cannot be one.
    #[error("the name of the category {0}")]
    CategoryName(NameFault),
    /// Rooms would lose what the category says about them.
    #[error("rooms are in this category, move them first")]
    CategoryNotEmpty,
    /// As many categories as a space can have.
    #[error("the space has as many categories as it can have ({max})", max = super::MAX_CATEGORIES)]
    TooManyCategories,
    /// The same permission is allowed and denied.
    #[error("a permission is either allowed or denied, not both")]
    OverrideContradicts,
    /// A permission that does not differ from room to room.
    #[error("only permissions that have to do with rooms can differ from room to room")]
    OverrideSpaceWide,
    /// As many overrides as a place can have.
    #[error("there are as many overrides here as there can be ({max})", max = super::MAX_OVERRIDES)]
    TooManyOverrides,
    /// The account is not in the space.
    #[error("there is no such member")]
    MemberNotFound,
    /// There is no such role.
    #[error("there is no such role")]
    RoleNotFound,
    /// The name cannot be one.
    #[error("the name of the role {0}")]
    RoleName(NameFault),
    /// The role was removed; members that held it must not get it back unasked.
    #[error("this role was removed, make one with another id")]
    RoleRemoved,
    /// The role that everybody holds has the lowest rank, and stays.
    #[error("the role that everybody holds keeps rank 0 and cannot be removed")]
    EveryoneFixed,
    /// One acts only on lower ranks.
    #[error("this takes a rank above it")]
    RankTooLow,
    /// Nobody gives what they do not have.
    #[error("a permission that you do not have cannot be given by you")]
    NotYoursToGive,
    /// As many roles as a space can have.
    #[error("the space has as many roles as it can have ({max})", max = super::MAX_ROLES)]
    TooManyRoles,
    /// There is no such invitation, or not any more.
    #[error("there is no such invitation")]
    InviteNotFound,
    /// The id is in use.
    #[error("this invitation exists already")]
    InviteExists,
    /// An invitation for nobody.
    #[error("an invitation is for at least one")]
    InviteUses,
    /// An invitation that is over when it begins.
    #[error("the end of the invitation has passed")]
    InviteTime,
    /// The invitation is past its time.
    #[error("the invitation has expired")]
    InviteExpired,
    /// As many have come as may.
    #[error("the invitation is used up")]
    InviteUsedUp,
    /// As many invitations as a space can have.
    #[error("the space has as many invitations as it can have ({max})", max = super::MAX_INVITES)]
    TooManyInvites,
    /// There is no such webhook, or its secret is another.
    #[error("there is no such webhook, or its address is another now")]
    WebhookNotFound,
    /// As many webhooks as a space can have.
    #[error("the space has as many webhooks as it can have ({max}); remove one first", max = super::MAX_WEBHOOKS)]
    TooManyWebhooks,
    /// Only bots take slash commands.
    #[error("slash commands are offered by bots; sign in as one")]
    SlashForBots,
    /// There is no such slash command, or its bot does not see the room.
    #[error("there is no such slash command here")]
    SlashNotFound,
    /// Another bot has the name.
    #[error("another bot takes the slash command of this name; choose another")]
    SlashTaken,
    /// The name cannot be one.
    #[error("the name of a slash command has 1 to 32 of a-z, 0-9, - and _")]
    SlashName,
    /// The description cannot be one.
    #[error("the description {0}")]
    SlashDescription(NameFault),
    /// The options cannot be some.
    #[error("a slash command has at most {max} options, named by 1 to 32 of a-z, 0-9, - and _", max = super::MAX_OPTIONS)]
    SlashOptions,
    /// More behind the name than anybody would type.
    #[error("what stands behind the name of a slash command has at most 4000 characters")]
    SlashTooLong,
    /// As many slash commands as a space can have.
    #[error("the space has as many slash commands as it can have ({max})", max = super::MAX_SLASH_COMMANDS)]
    TooManySlashes,
}

impl Reject for SpaceRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound => "space.not_found",
            Self::Exists => "space.exists",
            Self::NotAllowed(_) => "space.not_allowed",
            Self::NotAllVisible => "space.not_all_visible",
            Self::Name(_) => "space.name_invalid",
            Self::RoomNotFound => "room.not_found",
            Self::RoomExists => "room.exists",
            Self::RoomArchived => "room.archived",
            Self::RoomName(_) => "room.name_invalid",
            Self::Topic(_) => "room.topic_invalid",
            Self::SlowMode => "room.slow_mode_invalid",
            Self::Filter(fault) => fault.code(),
            Self::Brake => "raid.brake_invalid",
            Self::DirectSize => "direct.size_invalid",
            Self::AccountNotFound => "account.not_found",
            Self::Blocked => "account.blocked",
            Self::NotAGroup => "direct.not_a_group",
            Self::DirectFull => "direct.full",
            Self::TooManyRooms => "space.too_many_rooms",
            Self::CategoryNotFound => "category.not_found",
            Self::CategoryExists => "category.exists",
            Self::CategoryName(_) => "category.name_invalid",
            Self::CategoryNotEmpty => "category.not_empty",
            Self::TooManyCategories => "space.too_many_categories",
            Self::OverrideContradicts => "override.contradiction",
            Self::OverrideSpaceWide => "override.space_wide",
            Self::TooManyOverrides => "override.too_many",
            Self::MemberNotFound => "member.not_found",
            Self::RoleNotFound => "role.not_found",
            Self::RoleName(_) => "role.name_invalid",
            Self::RoleRemoved => "role.removed",
            Self::EveryoneFixed => "role.everyone_fixed",
            Self::RankTooLow => "role.rank_too_low",
            Self::NotYoursToGive => "role.not_yours_to_give",
            Self::TooManyRoles => "space.too_many_roles",
            Self::InviteNotFound => "invite.not_found",
            Self::InviteExists => "invite.exists",
            Self::InviteUses => "invite.max_uses_invalid",
            Self::InviteTime => "invite.expires_at_invalid",
            Self::InviteExpired => "invite.expired",
            Self::InviteUsedUp => "invite.used_up",
            Self::TooManyInvites => "space.too_many_invites",
            Self::WebhookNotFound => "webhook.not_found",
            Self::TooManyWebhooks => "webhook.too_many",
            Self::SlashForBots => "slash.for_bots",
            Self::SlashNotFound => "slash.not_found",
            Self::SlashTaken => "slash.name_taken",
            Self::SlashName => "slash.name_invalid",
            Self::SlashDescription(_) => "slash.description_invalid",
            Self::SlashOptions => "slash.options_invalid",
            Self::SlashTooLong => "slash.too_long",
            Self::TooManySlashes => "slash.too_many",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::Filter(fault) => fault.kind(),
            Self::NotFound
            | Self::RoomNotFound
            | Self::CategoryNotFound
            | Self::MemberNotFound
            | Self::AccountNotFound
            | Self::RoleNotFound
            | Self::InviteNotFound
            | Self::WebhookNotFound
            | Self::SlashNotFound => RejectionKind::NotFound,
            Self::Exists
            | Self::RoomExists
            | Self::RoomArchived
            | Self::CategoryExists
            | Self::CategoryNotEmpty
            | Self::NotAGroup
            | Self::InviteExists
            | Self::SlashTaken => RejectionKind::Conflict,
            Self::NotAllowed(_)
            | Self::NotAllVisible
            | Self::RankTooLow
            | Self::NotYoursToGive
            | Self::EveryoneFixed
            | Self::Blocked
            | Self::SlashForBots => RejectionKind::Forbidden,
            Self::Name(_)
            | Self::RoomName(_)
            | Self::Topic(_)
            | Self::RoleName(_)
            | Self::CategoryName(_)
            | Self::SlowMode
            | Self::Brake
            | Self::DirectSize
            | Self::OverrideContradicts
            | Self::OverrideSpaceWide
            | Self::InviteUses
            | Self::InviteTime
            | Self::SlashName
            | Self::SlashDescription(_)
            | Self::SlashOptions
            | Self::SlashTooLong => RejectionKind::Invalid,
            Self::RoleRemoved | Self::InviteExpired | Self::InviteUsedUp => RejectionKind::Gone,
            Self::TooManyRooms
            | Self::TooManyRoles
            | Self::TooManyCategories
            | Self::TooManyOverrides
            | Self::DirectFull
            | Self::TooManyInvites
            | Self::TooManyWebhooks
            | Self::TooManySlashes => RejectionKind::Limit,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Name(_)
            | Self::RoomName(_)
            | Self::RoleName(_)
            | Self::CategoryName(_)
            | Self::SlashName => Some("name"),
            Self::OverrideContradicts => Some("deny"),
            Self::Topic(_) => Some("topic"),
            Self::SlowMode => Some("slow_mode_s"),
            Self::Filter(_) => Some("rules"),
            Self::DirectSize => Some("accounts"),
            Self::InviteUses => Some("max_uses"),
            Self::InviteTime => Some("expires_at"),
            Self::SlashDescription(_) => Some("description"),
            Self::SlashOptions => Some("options"),
            Self::SlashTooLong => Some("text"),
            _ => None,
        }
    }
}

/// What a permission lets one do, after "to".
pub(crate) fn deed(permission: Permission) -> &'static str {
    match permission {
        Permission::View => "see it",
        Permission::Post => "post messages",
        Permission::Invite => "invite others",
        Permission::ManageRooms => "manage rooms",
        Permission::Mute => "mute members",
        Permission::Remove => "remove members",
        Permission::Ban => "ban accounts",
        Permission::ManageRoles => "manage roles",
        Permission::ManageSpace => "manage the space",
        Permission::React => "add reactions",
        Permission::Attach => "attach files",
        Permission::MentionAll => "mention everybody",
        Permission::ManageMessages => "manage messages",
        Permission::ViewAudit => "read the audit log",
        Permission::ManageIntegrations => "manage integrations",
        Permission::Speak => "speak in calls",
        Permission::ShareScreen => "share a screen",
        Permission::ModerateCalls => "moderate calls",
        Permission::Record => "record calls",
    }
}

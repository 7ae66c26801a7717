//! Facts about the structure of a space: its name, roles, rooms and invitations.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, CategoryId, InviteId, Permissions, RoleId, RoomId, SpaceId, Timestamp, catalogue::events,
};

events! {
    /// What can happen to a space.
    pub enum SpaceEvent {
        "space.created.v1" => Created,
        "space.direct_opened.v1" => DirectOpened,
        "space.direct_added.v1" => DirectAdded,
        "space.changed.v1" => Changed,
        "space.role_defined.v1" => RoleDefined,
        "space.role_removed.v1" => RoleRemoved,
        "space.room_created.v1" => RoomCreated,
        "space.room_changed.v1" => RoomChanged,
        "space.room_archived.v1" => RoomArchived,
        "space.room_placed.v1" => RoomPlaced,
        "space.category_created.v1" => CategoryCreated,
        "space.category_changed.v1" => CategoryChanged,
        "space.category_removed.v1" => CategoryRemoved,
        "space.override_set.v1" => OverrideSet,
        "space.override_removed.v1" => OverrideRemoved,
        "space.filters_set.v1" => FiltersSet,
        "space.raid_brake_set.v1" => RaidBrakeSet,
        "space.arrived.v1" => Arrived,
        "space.raid_begun.v1" => RaidBegun,
        "space.raid_ended.v1" => RaidEnded,
        "space.invite_created.v1" => InviteCreated,
        "space.invite_used.v1" => InviteUsed,
        "space.invite_revoked.v1" => InviteRevoked,
        "space.webhook_created.v1" => WebhookCreated,
        "space.webhook_secret_changed.v1" => WebhookSecretChanged,
        "space.webhook_removed.v1" => WebhookRemoved,
        "space.slash_command_defined.v1" => SlashCommandDefined,
        "space.slash_command_removed.v1" => SlashCommandRemoved,
    }
}

/// A space came to be. Its owner may do everything, for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Created {
    /// The new space.
    pub space: SpaceId,
    /// Who made it.
    pub owner: AccountId,
    /// What it is called.
    pub name: String,
    /// What the role that everybody holds allows at first.
    pub everyone: Permissions,
}

/// Between how many people a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DirectKind {
    /// Between two.
    Direct,
    /// Among more.
    Group,
}

/// A conversation between a few came to be: a space that nobody owns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirectOpened {
    /// The new space; its id follows from who talks.
    pub space: SpaceId,
    /// Between two, or among more.
    pub kind: DirectKind,
    /// Who talks.
    pub accounts: BTreeSet<AccountId>,
}

/// Somebody takes part in a group from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DirectAdded {
    /// Who.
    pub account: AccountId,
}

/// How much of a room those see who come later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// Everything.
    #[default]
    All,
    /// What was said after they came in.
    SinceJoined,
}

/// The same where a room may differ from its space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomHistory {
    /// As the space says.
    #[default]
    AsSpace,
    /// Everything.
    All,
    /// What was said after they came in.
    SinceJoined,
}

/// The space itself changed; an absent field stayed as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The new name.
    pub name: Option<String>,
    /// How much of its rooms those see who come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// Whether pages that messages link to are shown beside them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previews: Option<bool>,
}

/// A role was made, or made anew under the same id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleDefined {
    /// Which one; the id of the space for the role that everybody holds.
    pub role: RoleId,
    /// What it is called.
    pub name: String,
    /// What it allows.
    pub permissions: Permissions,
    /// Higher ranks act on lower ones.
    pub rank: u16,
}

/// A role is gone, and with it what it allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleRemoved {
    /// Which one.
    pub role: RoleId,
}

/// What a room is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomKind {
    /// Messages.
    Text,
    /// Live audio and video, with messages beside.
    Voice,
}

/// A room was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomCreated {
    /// The new room.
    pub room: RoomId,
    /// What it is called.
    pub name: String,
    /// What it is for.
    pub kind: RoomKind,
}

/// A room changed; an absent field stayed as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomChanged {
    /// Which one.
    pub room: RoomId,
    /// The new name.
    pub name: Option<String>,
    /// The new topic; empty for none.
    pub topic: Option<String>,
    /// Slow mode: how many seconds one waits between two messages; 0 for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_mode_s: Option<u32>,
    /// How much of it those see who come later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<RoomHistory>,
}

/// A room can be read but takes nothing new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomArchived {
    /// Which one.
    pub room: RoomId,
}

/// A room stands elsewhere in the list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoomPlaced {
    /// Which one.
    pub room: RoomId,
    /// In which category; in none when absent.
    pub category: Option<CategoryId>,
    /// Lower ones stand first.
    pub position: u16,
}

/// Rooms can be put together under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CategoryCreated {
    /// The new category.
    pub category: CategoryId,
    /// What it is called.
    pub name: String,
    /// Lower ones stand first.
    pub position: u16,
}

/// A category changed; an absent field stayed as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CategoryChanged {
    /// Which one.
    pub category: CategoryId,
    /// The new name.
    pub name: Option<String>,
    /// Lower ones stand first.
    pub position: Option<u16>,
}

/// A category is gone, and with it what was overridden in it. No room was in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CategoryRemoved {
    /// Which one.
    pub category: CategoryId,
}

/// Where an override counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In one room.
    Room(RoomId),
    /// In all rooms of a category that have no overrides of their own.
    Category(CategoryId),
}

/// For whom an override counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// For the holders of a role.
    Role(RoleId),
    /// For one account.
    Account(AccountId),
}

/// Somebody may do more or less in a place than in the rest of the space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OverrideSet {
    /// Where.
    pub place: Place,
    /// For whom.
    pub whom: Whom,
    /// What is allowed there beside what roles allow.
    pub allow: Permissions,
    /// What is denied there although roles allow it.
    pub deny: Permissions,
}

/// Somebody may do the same in a place as in the rest of the space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OverrideRemoved {
    /// Where.
    pub place: Place,
    /// For whom.
    pub whom: Whom,
}

/// What a rule looks for in texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterKind {
    /// Words; `*` stands for any letters.
    Words,
    /// Links that lead elsewhere than to these domains.
    OnlyLinksTo,
    /// Links to these domains.
    NoLinksTo,
    /// Invitations into other spaces of this installation.
    NoInvites,
}

/// What becomes of a text that a rule catches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterAction {
    /// It is refused.
    #[default]
    Refuse,
    /// It waits for a moderator.
    Hold,
}

impl FilterAction {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    fn is_refuse(&self) -> bool {
        *self == Self::Refuse
    }
}

/// What must not be said in a space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FilterRule {
    /// What it is called.
    pub name: String,
    /// What it looks for.
    pub kind: FilterKind,
    /// The words or domains.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
    /// For how many seconds who says it nevertheless may only read; not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_out_s: Option<u32>,
    /// What becomes of it.
    #[serde(default, skip_serializing_if = "FilterAction::is_refuse")]
    pub action: FilterAction,
    /// Roles whose holders may say it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exempt: BTreeSet<RoleId>,
}

/// These are the rules for what is said in the space, and no others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FiltersSet {
    /// In the order in which they are looked at.
    pub rules: Vec<FilterRule>,
}

/// From how many joins on it is taken for a raid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RaidBrakeSet {
    /// More than so many within a minute; 0 to count none.
    pub joins_per_minute: u32,
    /// How long those who come then may only read, in seconds.
    pub hold_s: u32,
}

/// Somebody came while joins were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Arrived {
    /// Who.
    pub account: AccountId,
    /// When.
    pub at: Timestamp,
}

/// Who comes from now on may only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RaidBegun {
    /// Until then, unless it is ended before.
    pub until: Timestamp,
    /// Who said so; absent when too many came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AccountId>,
    /// Whose space it is, who is told.
    pub owner: AccountId,
}

/// Who came during a raid may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RaidEnded {
    /// Who said so.
    pub by: AccountId,
    /// When.
    pub at: Timestamp,
}

/// Somebody may bring people in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteCreated {
    /// The new invitation.
    pub invite: InviteId,
    /// SHA-256 of the secret part of its code, hex; the code itself is never stored.
    pub digest: String,
    /// Who made it.
    pub by: AccountId,
    /// How many may come; no limit when absent.
    pub max_uses: Option<u32>,
    /// Until when; for ever when absent.
    pub expires_at: Option<Timestamp>,
}

/// One of a limited number of uses is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteUsed {
    /// Which invitation.
    pub invite: InviteId,
    /// Who came.
    pub account: AccountId,
}

/// An invitation is void.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteRevoked {
    /// Which one.
    pub invite: InviteId,
}

/// Programs can post into a room by an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookCreated {
    /// The account that they post as, which may nothing else.
    pub webhook: AccountId,
    /// Into which room.
    pub room: RoomId,
    /// SHA-256 of the secret part of its address, hex.
    pub digest: String,
    /// Who made it.
    pub by: AccountId,
}

/// A webhook has another address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookSecretChanged {
    /// Which one.
    pub webhook: AccountId,
    /// SHA-256 of the secret part of its address, hex.
    pub digest: String,
}

/// Nobody posts by a webhook any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WebhookRemoved {
    /// Which one.
    pub webhook: AccountId,
}

/// Something that can stand behind the name of a slash command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlashOption {
    /// What it is called.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// Whether the command makes no sense without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

/// A bot offers something, or offers it differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlashCommandDefined {
    /// Who takes it.
    pub bot: AccountId,
    /// What it is called, without the `/`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What can stand behind its name.
    pub options: Vec<SlashOption>,
}

/// A slash command is there no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlashCommandRemoved {
    /// Which one.
    pub name: String,
}

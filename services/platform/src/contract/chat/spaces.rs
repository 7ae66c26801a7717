//! Spaces, their categories, roles and exceptions.

use serde::{Deserialize, Serialize};
use veza_events::{
    CategoryId, Permissions, RoleId, RoomId, SpaceId,
    space::{History, Place, Whom},
};

use crate::event_log::Position;

/// What members of a new space may do at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Everyone posts and invites.
    Open,
    /// Everyone posts; leaders invite.
    #[default]
    Team,
    /// Everyone reads and reacts; leaders post.
    Announcement,
    /// Nobody sees anything without a role.
    Private,
}

/// Make a space, with a first room called `general`.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreateSpace {
    /// Derived from the command: `command.derive(actor, "space")`.
    pub space: SpaceId,
    /// What it is called.
    pub name: String,
    /// What its members may do at first.
    pub preset: Preset,
}

/// A space exists.
#[derive(Debug, Serialize, Deserialize)]
pub struct SpaceCreated {
    /// The space.
    pub space: SpaceId,
    /// Its first room.
    pub room: RoomId,
    /// Where it was written.
    pub position: Position,
}

/// Change a space; absent fields stay.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeSpace {
    /// Which one.
    pub space: SpaceId,
    /// The new name.
    pub name: Option<String>,
    /// How much of its rooms those see who come later.
    #[serde(default)]
    pub history: Option<History>,
    /// Whether pages that messages link to are shown beside them.
    #[serde(default)]
    pub previews: Option<bool>,
}

/// Make a group of rooms.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreateCategory {
    /// Where.
    pub space: SpaceId,
    /// What it is called.
    pub name: String,
    /// Lower ones stand first.
    pub position: u16,
}

/// A category exists.
#[derive(Debug, Serialize, Deserialize)]
pub struct CategoryCreated {
    /// The category.
    pub category: CategoryId,
    /// Where it was written.
    pub position: Position,
}

/// Change a category; absent fields stay.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeCategory {
    /// Where.
    pub space: SpaceId,
    /// Which one.
    pub category: CategoryId,
    /// The new name.
    pub name: Option<String>,
    /// Lower ones stand first.
    pub position: Option<u16>,
}

/// Remove a category that has no rooms.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveCategory {
    /// Where.
    pub space: SpaceId,
    /// Which one.
    pub category: CategoryId,
}

/// Allow or deny somebody more in a place than in the rest of the space.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetOverride {
    /// In which space.
    pub space: SpaceId,
    /// Where in it.
    pub place: Place,
    /// For whom.
    pub whom: Whom,
    /// Allowed beside what roles allow.
    pub allow: Permissions,
    /// Denied although roles allow it.
    pub deny: Permissions,
}

/// Let the rest of the space be the rule again.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveOverride {
    /// In which space.
    pub space: SpaceId,
    /// Where in it.
    pub place: Place,
    /// For whom.
    pub whom: Whom,
}

/// Make a role, or make it anew.
#[derive(Debug, Serialize, Deserialize)]
pub struct DefineRole {
    /// Where.
    pub space: SpaceId,
    /// Which one: chosen by the caller, or the space's own id for everyone's.
    pub role: RoleId,
    /// What it is called.
    pub name: String,
    /// What it allows.
    pub permissions: Permissions,
    /// Higher ranks act on lower ones.
    pub rank: u16,
}

/// Ask whether one may have all that was said in a space; writes nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct MayExport {
    /// Which space.
    pub space: SpaceId,
}

/// One may.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportAllowed {
    /// The last event of the space that this is based on.
    pub seq: u64,
}

/// Take a role away from everybody.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveRole {
    /// Where.
    pub space: SpaceId,
    /// Which one.
    pub role: RoleId,
}

//! Permissions on the wire: lists of names.

use poem_openapi::Enum;
use serde::Deserialize;
use veza_events::Permissions;

/// One thing that a role can allow.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "veza_events::Permission", rename_all = "snake_case")]
pub(super) enum Permission {
    /// See the rooms and read what is said there.
    View,
    /// Post messages.
    Post,
    /// Invite others into the space.
    Invite,
    /// Create, change and archive rooms.
    ManageRooms,
    /// Mute members, and lift it.
    Mute,
    /// Remove members from the space.
    Remove,
    /// Ban accounts from the space, and lift it.
    Ban,
    /// Define roles below one's own and give them to members.
    ManageRoles,
    /// Change the space itself.
    ManageSpace,
    /// Add reactions to messages.
    React,
    /// Attach files to messages.
    Attach,
    /// Mention everybody in a room, or a whole role.
    MentionAll,
    /// Delete messages of others, pin and unpin, pass over slow mode.
    ManageMessages,
    /// Read the audit log and the reports.
    ViewAudit,
    /// Make webhooks and bring in bots.
    ManageIntegrations,
    /// Speak in calls, with voice and camera.
    Speak,
    /// Share a screen in calls.
    ShareScreen,
    /// Mute others in calls, move them and end calls.
    ModerateCalls,
    /// Record calls.
    Record,
}

/// The set as a list.
pub(super) fn shown(permissions: Permissions) -> Vec<Permission> {
    permissions.iter().map(Into::into).collect()
}

/// The list as a set.
pub(super) fn set(permissions: Vec<Permission>) -> Permissions {
    permissions
        .into_iter()
        .map(veza_events::Permission::from)
        .collect()
}

//! Scopes on the wire: lists of names.

use poem_openapi::Enum;
use serde::Deserialize;
use veza_events::Scopes;

/// What the token of a bot is good for, beside what its account may do.
#[derive(Clone, Copy, Enum, Deserialize)]
#[oai(remote = "veza_events::Scope")]
pub(super) enum Scope {
    /// Read what is said: timelines, threads, pins, files, search, the WebSocket's rooms.
    #[serde(rename = "messages:read")]
    #[oai(rename = "messages:read")]
    MessagesRead,
    /// Post, edit, delete, react, pin, upload, open threads.
    #[serde(rename = "messages:write")]
    #[oai(rename = "messages:write")]
    MessagesWrite,
    /// Read who is in a space, its roles and who may what.
    #[serde(rename = "members:read")]
    #[oai(rename = "members:read")]
    MembersRead,
    /// Mute, time out, remove and ban, give roles, read the audit log.
    #[serde(rename = "members:manage")]
    #[oai(rename = "members:manage")]
    MembersManage,
    /// Make and change rooms, categories, roles, overrides, invitations and the space itself.
    #[serde(rename = "spaces:manage")]
    #[oai(rename = "spaces:manage")]
    SpacesManage,
    /// Take slash commands.
    #[serde(rename = "commands")]
    #[oai(rename = "commands")]
    Commands,
    /// Be in calls: watch, stream, moderate.
    #[serde(rename = "calls")]
    #[oai(rename = "calls")]
    Calls,
}

/// The set as a list.
pub(super) fn shown(scopes: Scopes) -> Vec<Scope> {
    scopes.iter().map(Into::into).collect()
}

/// The list as a set.
pub(super) fn set(scopes: Vec<Scope>) -> Scopes {
    scopes.into_iter().map(veza_events::Scope::from).collect()
}

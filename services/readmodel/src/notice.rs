//! What is said after a commit or a change: to the devices of an account, in its chain; to gateways, as plain
//! NATS messages that are never stored.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use veza_events::{
    AccountId, MessageId, RoleId, RoomId, ScheduledId, SessionId, SpaceId, Timestamp, member::Standing,
};

/// Something about an account that its devices should hear, told through `platform::notices`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountNotice {
    /// The event that it tells of, as `<stream>/<sequence>`; it can be read. Absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Wire name of the event's type, or of the change.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Which things it is about; nothing personal.
    pub data: NoticeData,
}

/// Ids of what an [`AccountNotice`] is about; absent fields do not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoticeData {
    /// The session that began or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The space whose membership changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<SpaceId>,
    /// The membership after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// Roles after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<RoleId>>,
    /// Whether the account may not post after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted: Option<bool>,
    /// Who did it, when it was somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<AccountId>,
    /// How far the account has read in these rooms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<BTreeMap<RoomId, u64>>,
    /// The room whose settings changed, or in which the account is mentioned; with `space`, the space it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<RoomId>,
    /// What the account is told of it; absent for what holds by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<NotificationLevel>,
    /// Until when it is told nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute_until: Option<Timestamp>,
    /// The message that waits for its time, or did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<ScheduledId>,
    /// Why it was not said when its time came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The message that mentions the account, or that a scheduled one became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    /// How it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mentioned_as: Option<MentionKind>,
}

/// How a message speaks of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MentionKind {
    /// By name.
    Account,
    /// As a holder of a role.
    Role,
    /// As one of those who are there just now.
    Here,
    /// As everybody in the room.
    Everyone,
}

/// Of which messages an account is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationLevel {
    /// Of all.
    All,
    /// Of those that mention it.
    Mentions,
    /// Of none.
    Nothing,
}

/// How far the read model of one stream is. Published on [`PositionNotice::subject`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionNotice {
    /// Everything up to this sequence can be read.
    pub seq: u64,
}

impl PositionNotice {
    /// Where notices about `stream` are published.
    pub fn subject(stream: &str) -> String {
        format!("notice.projection.{stream}")
    }
}

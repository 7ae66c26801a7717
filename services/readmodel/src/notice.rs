//! What the projector says after a commit, as plain NATS messages that are never stored: who misses one
//! notices by the sequences, and asks.

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, RoleId, SessionId, SpaceId, Timestamp, member::Standing};

/// Something about an account that its devices should hear. Published on [`AccountNotice::subject`]
/// once it can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountNotice {
    /// The stream that stores the event.
    pub stream: String,
    /// Its sequence there.
    pub seq: u64,
    /// Wire name of the event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Which things it is about; nothing personal.
    pub data: NoticeData,
}

/// Ids of what an [`AccountNotice`] is about; absent fields do not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl AccountNotice {
    /// Where notices about `account` are published.
    pub fn subject(account: AccountId) -> String {
        format!("notice.account.{account}")
    }
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

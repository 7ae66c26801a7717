//! Facts about one report of a message: that somebody filed it, and what came of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, MessageId, ReportId, RoomId, Sealed, SpaceId, catalogue::events};

events! {
    /// What can happen to a report.
    pub enum ReportEvent {
        "report.filed.v1" => Filed seals [note],
        "report.resolved.v1" => Resolved seals [note],
    }
}

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportReason {
    /// Advertising, or the same again and again.
    Spam,
    /// It attacks or pursues somebody.
    Harassment,
    /// It attacks people for what they are.
    Hate,
    /// Violence, or a threat of it.
    Violence,
    /// Nudity or sex.
    Sexual,
    /// It is against the law.
    Illegal,
    /// Its author may be in danger.
    SelfHarm,
    /// Something else, which the note says.
    Other,
}

/// What moderators did about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportAction {
    /// Nothing had to be done.
    Dismissed,
    /// The message was taken back.
    Deleted,
    /// Its author was told.
    Warned,
    /// Its author was silenced, for some time or for good.
    Silenced,
    /// Its author was shown the door.
    Removed,
    /// Its author must stay out.
    Banned,
}

/// Somebody reported a message. What it said then is what stood in the log before this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Filed {
    /// The report; its id follows from the message and who reports it.
    pub report: ReportId,
    /// In which space.
    pub space: SpaceId,
    /// In which room, or thread.
    pub room: RoomId,
    /// The room whose rights count there.
    pub gate: RoomId,
    /// Which message.
    pub message: MessageId,
    /// Sequence at which it was posted.
    pub posted: u64,
    /// Who wrote it.
    pub author: AccountId,
    /// Who reports it.
    pub by: AccountId,
    /// What is wrong with it.
    pub reason: ReportReason,
    /// More about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Sealed<String>>,
}

/// Somebody looked at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolved {
    /// The report.
    pub report: ReportId,
    /// In which space.
    pub space: SpaceId,
    /// The message that it was about.
    pub message: MessageId,
    /// Who did.
    pub by: AccountId,
    /// What was done.
    pub action: ReportAction,
    /// More about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Sealed<String>>,
}

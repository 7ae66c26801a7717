//! Keeping the peace.

use serde::{Deserialize, Serialize};
use veza_events::{
    AccountId, MessageId, ReportId, RoomId, SpaceId, Timestamp,
    report::{ReportAction, ReportReason},
    space::FilterRule,
};

use crate::event_log::Position;

/// Take many messages of a room back at once. Who wrote them the worker reads in the log, at the sequences given.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeleteMessages {
    /// Where the room is.
    pub space: SpaceId,
    /// In which room.
    pub room: RoomId,
    /// The messages, each with where it stands in the space's stream; at most 100.
    pub messages: Vec<(MessageId, u64)>,
}

/// Let these be the rules for what is said in a space, and no others.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetFilters {
    /// Where.
    pub space: SpaceId,
    /// In the order in which they are looked at.
    pub rules: Vec<FilterRule>,
}

/// Ask for the rules; writes nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct GetFilters {
    /// Of which space.
    pub space: SpaceId,
}

/// The rules for what is said in a space.
#[derive(Debug, Serialize, Deserialize)]
pub struct FiltersFound {
    /// In the order in which they are looked at.
    pub rules: Vec<FilterRule>,
    /// The last event of the space that this is based on.
    pub seq: u64,
}

/// Report a message. Who wrote it the worker reads in the log, at the sequence given.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReportMessage {
    /// Where the room is.
    pub space: SpaceId,
    /// In which room.
    pub room: RoomId,
    /// Which message.
    pub message: MessageId,
    /// Where it stands in the space's stream.
    pub posted: u64,
    /// What is wrong with it.
    pub reason: ReportReason,
    /// More about that.
    #[serde(default)]
    pub note: Option<String>,
}

/// A report is there.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reported {
    /// The report.
    pub report: ReportId,
    /// Where it was written, or where it stands.
    pub position: Position,
}

/// Say what came of a report.
#[derive(Debug, Serialize, Deserialize)]
pub struct ResolveReport {
    /// In which space.
    pub space: SpaceId,
    /// Which one.
    pub report: ReportId,
    /// What was done.
    pub action: ReportAction,
    /// More about that.
    #[serde(default)]
    pub note: Option<String>,
}

/// Let a message be said that a rule holds back, or not.
#[derive(Debug, Serialize, Deserialize)]
pub struct DecideHeld {
    /// In which space.
    pub space: SpaceId,
    /// Which one.
    pub message: MessageId,
    /// Which of the two.
    pub approve: bool,
}

/// Say from how many joins on it is a raid.
#[derive(Debug, Serialize, Deserialize)]
pub struct SetRaidBrake {
    /// In which space.
    pub space: SpaceId,
    /// More than so many within a minute; 0 to count none.
    pub joins_per_minute: u32,
    /// How long those who come then may only read.
    pub hold_s: u32,
}

/// Say that there is a raid, or that it is over.
#[derive(Debug, Serialize, Deserialize)]
pub struct SwitchRaid {
    /// In which space.
    pub space: SpaceId,
    /// Which of the two.
    pub active: bool,
}

/// Let somebody speak who came during a raid.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReleaseMember {
    /// In which space.
    pub space: SpaceId,
    /// Whom.
    pub account: AccountId,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Ask whether there is a raid; writes nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct GetRaid {
    /// In which space.
    pub space: SpaceId,
}

/// How a space minds raids.
#[derive(Debug, Serialize, Deserialize)]
pub struct RaidFound {
    /// More joins than this within a minute are one; 0 when none are counted.
    pub joins_per_minute: u32,
    /// How long those who come then may only read.
    pub hold_s: u32,
    /// Until when there is one.
    pub until: Option<Timestamp>,
    /// The last event of the space that this is based on.
    pub seq: u64,
}

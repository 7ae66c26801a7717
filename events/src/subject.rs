//! Where an aggregate's events lie: its NATS subject and the stream that stores it.
//!
//! A subject names one aggregate and nothing else; the kind of event is a header. Subjects are always
//! literal in expectations, since overlapping wildcards are not checked soundly by three-node servers.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::{AccountId, MessageId, ReportId, RoomId, SpaceId};

/// How many shards the spaces of this installation are cut into. Fixed at installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards(u16);

impl Shards {
    /// `count` shards; at least one.
    pub const fn new(count: u16) -> Self {
        Self(if count == 0 { 1 } else { count })
    }

    /// How many there are.
    pub const fn count(self) -> u16 {
        self.0
    }

    /// The shard of a space: FNV-1a over its 16 bytes, modulo the count. Never changes.
    pub fn of(self, space: SpaceId) -> u16 {
        let hash = space
            .uuid()
            .as_bytes()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        u16::try_from(hash % u64::from(self.0)).expect("the remainder is below a u16")
    }
}

/// The subject of one aggregate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// `evt.account.<account>`
    Account(AccountId),
    /// `evt.handle.<digest>`: a claim on a name or an e-mail address, by its keyed digest in hex.
    Handle(String),
    /// `evt.<n>.space.<space>`
    Space(u16, SpaceId),
    /// `evt.<n>.member.<space>.<account>`
    Member(u16, SpaceId, AccountId),
    /// `evt.<n>.room.<room>`
    Room(u16, RoomId),
    /// `evt.<n>.report.<report>`
    Report(u16, ReportId),
    /// `evt.<n>.schedule.<space>.<account>`
    Schedule(u16, SpaceId, AccountId),
    /// `evt.<n>.call.<room>`: the calls of a room, one after another.
    Call(u16, RoomId),
    /// `evt.<n>.held.<message>`
    Held(u16, MessageId),
}

/// Why a text is not the subject of an aggregate.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the subject of an aggregate")]
pub struct SubjectError(String);

impl Subject {
    /// The stream that stores this aggregate: `ACCOUNTS` or `SPACES_<n>`.
    pub fn stream(&self) -> String {
        match self {
            Self::Account(_) | Self::Handle(_) => "ACCOUNTS".into(),
            Self::Space(shard, _)
            | Self::Member(shard, ..)
            | Self::Room(shard, _)
            | Self::Report(shard, _)
            | Self::Schedule(shard, ..)
            | Self::Call(shard, _)
            | Self::Held(shard, _) => {
                format!("SPACES_{shard}")
            }
        }
    }

    /// The subject under which stored events of this aggregate are republished.
    pub fn live(&self) -> String {
        self.to_string().replacen("evt.", "live.", 1)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(account) => write!(f, "evt.account.{account}"),
            Self::Handle(digest) => write!(f, "evt.handle.{digest}"),
            Self::Space(shard, space) => write!(f, "evt.{shard}.space.{space}"),
            Self::Member(shard, space, account) => write!(f, "evt.{shard}.member.{space}.{account}"),
            Self::Room(shard, room) => write!(f, "evt.{shard}.room.{room}"),
            Self::Report(shard, report) => write!(f, "evt.{shard}.report.{report}"),
            Self::Held(shard, message) => write!(f, "evt.{shard}.held.{message}"),
            Self::Schedule(shard, space, account) => write!(f, "evt.{shard}.schedule.{space}.{account}"),
            Self::Call(shard, room) => write!(f, "evt.{shard}.call.{room}"),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    /// Reads both forms, `evt.…` as stored and `live.…` as republished.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || SubjectError(text.to_owned());
        let uuid = |part: &str| part.parse::<Uuid>().map_err(|_| refused());
        let parts: Vec<&str> = text.split('.').collect();
        let ["evt" | "live", rest @ ..] = parts.as_slice() else {
            return Err(refused());
        };
        match rest {
            ["account", account] => Ok(Self::Account(uuid(account)?.into())),
            ["handle", digest] => Ok(Self::Handle((*digest).to_owned())),
            [shard, kind, ids @ ..] => {
                let shard = shard.parse().map_err(|_| refused())?;
                match (*kind, ids) {
                    ("space", [space]) => Ok(Self::Space(shard, uuid(space)?.into())),
                    ("member", [space, account]) => {
                        Ok(Self::Member(shard, uuid(space)?.into(), uuid(account)?.into()))
                    }
                    ("room", [room]) => Ok(Self::Room(shard, uuid(room)?.into())),
                    ("schedule", [space, account]) => {
                        Ok(Self::Schedule(shard, uuid(space)?.into(), uuid(account)?.into()))
                    }
                    ("held", [message]) => Ok(Self::Held(shard, uuid(message)?.into())),
                    ("report", [report]) => Ok(Self::Report(shard, uuid(report)?.into())),
                    ("call", [room]) => Ok(Self::Call(shard, uuid(room)?.into())),
                    _ => Err(refused()),
                }
            }
            _ => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space() -> SpaceId {
        SpaceId::new(Uuid::from_u128(7))
    }

    #[test]
    fn a_subject_reads_back_from_its_stored_and_its_live_form() {
        let subjects = [
            Subject::Account(AccountId::new(Uuid::from_u128(1))),
            Subject::Handle("ab12".into()),
            Subject::Space(0, space()),
            Subject::Member(3, space(), AccountId::new(Uuid::from_u128(2))),
            Subject::Room(1, RoomId::new(Uuid::from_u128(9))),
            Subject::Report(2, ReportId::new(Uuid::from_u128(8))),
            Subject::Held(5, MessageId::new(Uuid::from_u128(6))),
            Subject::Schedule(4, space(), AccountId::new(Uuid::from_u128(5))),
            Subject::Call(2, RoomId::new(Uuid::from_u128(9))),
        ];
        for subject in subjects {
            assert_eq!(subject.to_string().parse::<Subject>().unwrap(), subject);
            assert_eq!(subject.live().parse::<Subject>().unwrap(), subject);
        }
        for wrong in [
            "",
            "evt",
            "evt.account.x",
            "evt.0.space",
            "evt.0.thing.1",
            "cmd.account.1",
        ] {
            assert!(wrong.parse::<Subject>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_space_stays_in_its_shard() {
        assert_eq!(Shards::new(0).of(space()), 0);
        let other = SpaceId::new(Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_b302_099a_8057));
        assert_eq!(Shards::new(16).of(other), 3, "stored data depends on it");
    }
}

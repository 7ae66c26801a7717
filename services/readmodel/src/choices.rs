//! What accounts have chosen for their rooms and spaces: of which messages they are told. Kept in a bucket that
//! gateways write; here is only what it says.

mod hours;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use veza_events::{RoomId, SpaceId, Timestamp};

use crate::notice::NotificationLevel;

pub use hours::{QuietHours, is_zone, next_at};

/// Of what somebody is told by mail, once they have confirmed their address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailLevel {
    /// Of nothing.
    #[default]
    Off,
    /// Of mentions, answers and conversations between a few that they have missed for a while.
    Mentions,
    /// Of the same, once a day.
    Daily,
}

/// In which language mails are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// English.
    #[default]
    En,
    /// French.
    Fr,
}

/// How an account is told while it is away, of whatever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ways {
    /// Of what is told by mail.
    #[serde(default)]
    pub mail: MailLevel,
    /// When nothing is told, neither by push nor by mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<QuietHours>,
    /// By which clock (IANA name); UTC when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// In which language mails are written; English when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
}

impl Ways {
    /// When the quiet hours end, if they have begun.
    pub fn quiet_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.quiet?.until(self.zone.as_deref(), now)
    }
}

/// One choice; absent parts are as by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Of which messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<NotificationLevel>,
    /// Nothing is told until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute_until: Option<Timestamp>,
}

/// All choices of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    /// For spaces.
    #[serde(default)]
    pub spaces: BTreeMap<SpaceId, Choice>,
    /// For rooms; these count before their space's.
    #[serde(default)]
    pub rooms: BTreeMap<RoomId, Choice>,
    /// How it is told at all.
    #[serde(default)]
    pub ways: Ways,
}

impl Choices {
    /// Bucket of the choices, by account.
    pub const BUCKET: &str = "ACCOUNT_SETTINGS";

    /// Of which messages the account wants to be told at this time; all, if nothing was chosen. `gate` is the room
    /// that a thread hangs on, or the room itself.
    pub fn level(&self, space: SpaceId, room: RoomId, gate: RoomId, now: Timestamp) -> NotificationLevel {
        let nearest_first = [
            self.rooms.get(&room),
            self.rooms.get(&gate),
            self.spaces.get(&space),
        ];
        let chosen = || nearest_first.into_iter().flatten();
        if chosen().any(|choice| choice.mute_until.is_some_and(|until| until > now)) {
            return NotificationLevel::Nothing;
        }
        let level = chosen().find_map(|choice| choice.level);
        level.unwrap_or(NotificationLevel::All)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id<T: From<Uuid>>(n: u128) -> T {
        Uuid::from_u128(n).into()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_nearest_choice_counts_and_a_mute_anywhere_until_it_ends() {
        let (space, room, thread): (SpaceId, RoomId, RoomId) = (id(1), id(2), id(3));
        let level = |level| Choice {
            level: Some(level),
            mute_until: None,
        };
        let mut choices = Choices::default();
        let now = at("2026-01-02T03:04:05Z");
        let of = |choices: &Choices, room| choices.level(space, room, id(2), now);
        assert_eq!(of(&choices, room), NotificationLevel::All);
        choices.spaces.insert(space, level(NotificationLevel::Nothing));
        assert_eq!(of(&choices, thread), NotificationLevel::Nothing);
        choices.rooms.insert(room, level(NotificationLevel::Mentions));
        assert_eq!(of(&choices, room), NotificationLevel::Mentions);
        assert_eq!(of(&choices, thread), NotificationLevel::Mentions, "as its room");
        choices.rooms.insert(thread, level(NotificationLevel::All));
        assert_eq!(of(&choices, thread), NotificationLevel::All);
        let mute = |until| Choice {
            level: None,
            mute_until: Some(at(until)),
        };
        choices.spaces.insert(space, mute("2026-01-02T03:04:06Z"));
        assert_eq!(of(&choices, thread), NotificationLevel::Nothing);
        choices.spaces.insert(space, mute("2026-01-02T03:04:05Z"));
        assert_eq!(of(&choices, thread), NotificationLevel::All, "it is over");
    }
}

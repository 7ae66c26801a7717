//! Who is told of a message. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, Timestamp};
use veza_readmodel::Choice;
use veza_readmodel::notice::NotificationLevel;

/// Why a message concerns somebody; the stronger reason comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    /// It names them, or a role of theirs, or everybody.
    Mention,
    /// It answers what they said.
    Reply,
    /// It was said in a conversation between a few.
    Direct,
    /// They want to be told of everything in this room.
    All,
}

/// Everybody whom a message concerns, each for the strongest reason.
#[derive(Clone, Debug, Default)]
pub(crate) struct Concerned(BTreeMap<AccountId, Why>);

impl Concerned {
    pub(crate) fn add(&mut self, accounts: impl IntoIterator<Item = AccountId>, why: Why) {
        for account in accounts {
            let known = self.0.entry(account).or_insert(why);
            *known = why.min(*known);
        }
    }

    /// Without the author and those for whom `keep` does not hold; of more than `most`, those with the strongest
    /// reasons.
    pub(crate) fn into_list(
        self,
        author: AccountId,
        most: usize,
        keep: impl Fn(AccountId) -> bool,
    ) -> Vec<(AccountId, Why)> {
        let mut list: Vec<_> = self
            .0
            .into_iter()
            .filter(|(account, _)| *account != author && keep(*account))
            .collect();
        list.sort_by_key(|(_, why)| *why);
        list.truncate(most);
        list
    }
}

/// Whether somebody wants to be told, by what they chose, the nearest first: for the thread, its room, its space. Without
/// a choice that is of what is meant for them, and not of everything that is said.
pub(crate) fn wants(why: Why, chosen: &[Choice], now: Timestamp) -> bool {
    let muted = |choice: &Choice| choice.mute_until.is_some_and(|until| until > now);
    if chosen.iter().any(muted) {
        return false;
    }
    match chosen.iter().find_map(|choice| choice.level) {
        Some(NotificationLevel::Nothing) => false,
        Some(NotificationLevel::All) => true,
        Some(NotificationLevel::Mentions) => match why {
            Why::Mention | Why::Reply => true,
            Why::Direct | Why::All => false,
        },
        None => match why {
            Why::Mention | Why::Reply | Why::Direct => true,
            Why::All => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    fn account(n: u128) -> AccountId {
        Uuid::from_u128(n).into()
    }

    fn at(level: Option<NotificationLevel>) -> Choice {
        Choice {
            level,
            mute_until: None,
        }
    }

    fn now() -> Timestamp {
        datetime!(2026-01-02 03:04:05 UTC).into()
    }

    /// Of what is told, given the choices for room and space.
    fn told(room: Option<NotificationLevel>, space: Option<NotificationLevel>) -> Vec<Why> {
        [Why::Mention, Why::Reply, Why::Direct, Why::All]
            .into_iter()
            .filter(|why| wants(*why, &[at(room), at(space)], now()))
            .collect()
    }

    #[test]
    fn without_a_choice_people_are_told_of_what_is_meant_for_them() {
        assert_eq!(told(None, None), [Why::Mention, Why::Reply, Why::Direct]);
    }

    #[test]
    fn the_choice_for_the_room_counts_before_that_for_the_space() {
        use NotificationLevel::{All, Mentions, Nothing};
        assert_eq!(told(None, Some(Nothing)), []);
        assert_eq!(told(Some(Mentions), Some(Nothing)), [Why::Mention, Why::Reply]);
        assert_eq!(told(Some(Nothing), Some(All)), []);
        assert_eq!(told(Some(All), Some(Nothing)).len(), 4);
    }

    #[test]
    fn a_mute_holds_until_its_end_and_outweighs_every_level() {
        let until = |time: Timestamp| Choice {
            level: Some(NotificationLevel::All),
            mute_until: Some(time),
        };
        let later = datetime!(2026-01-02 03:04:06 UTC).into();
        let told = |chosen: &[Choice]| wants(Why::Mention, chosen, now());
        assert!(!told(&[until(later), at(None)]));
        assert!(!told(&[at(Some(NotificationLevel::All)), until(later)]));
        assert!(told(&[until(now()), at(None)]));
    }

    #[test]
    fn the_strongest_reason_counts_and_the_author_is_never_told() {
        let mut concerned = Concerned::default();
        concerned.add([account(1), account(2), account(3)], Why::Direct);
        concerned.add([account(2)], Why::Mention);
        concerned.add([account(2), account(4)], Why::All);
        let list = concerned.clone().into_list(account(1), 2, |_| true);
        assert_eq!(list, [(account(2), Why::Mention), (account(3), Why::Direct)]);
        let list = concerned.into_list(account(1), 9, |who| who == account(4));
        assert_eq!(list, [(account(4), Why::All)]);
    }
}

//! When accounts are to be told by mail of what they have missed: as their entries and what they chose say. Pure.

use std::collections::HashMap;
use std::time::Duration;

use veza_events::{AccountId, Timestamp};
use veza_platform::config::MailConfig;
use veza_platform::due::Due;
use veza_readmodel::{MailLevel, Ways, next_at};

use crate::missed::Waiting;

/// What the settings say of the times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// From the first message that was missed to the mail.
    pub(crate) delay: Duration,
    /// Least time between two mails.
    pub(crate) pause: Duration,
    /// When those are told who want one mail a day, in minutes since their midnight.
    pub(crate) daily_minute: u16,
}

/// What counts of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    since: Timestamp,
    told: Option<Timestamp>,
}

/// Who is told when.
pub(crate) struct Agenda {
    rules: Rules,
    waiting: HashMap<AccountId, Times>,
    ways: HashMap<AccountId, Ways>,
    due: Due<AccountId>,
}

impl Rules {
    pub(crate) fn of(mail: &MailConfig) -> Self {
        Self {
            delay: Duration::from_secs(mail.digest_delay_s),
            pause: Duration::from_secs(mail.digest_pause_s),
            daily_minute: mail.daily_hour.saturating_mul(60),
        }
    }

    /// When an account is told of what it has missed; who wants no mail any more is looked at immediately, to forget
    /// what waits.
    pub(crate) fn due(&self, waiting: &Waiting, ways: &Ways) -> Option<Timestamp> {
        let times = Times::of(waiting)?;
        Some(self.at(times, ways))
    }

    fn at(&self, times: Times, ways: &Ways) -> Timestamp {
        let due = match ways.mail {
            MailLevel::Off => return times.since,
            MailLevel::Mentions => (times.since.time() + self.delay).into(),
            MailLevel::Daily => {
                let since = times.told.map_or(times.since, |told| told.max(times.since));
                next_at(self.daily_minute, ways.zone.as_deref(), since)
            }
        };
        let paused = times.told.map(|told| (told.time() + self.pause).into());
        paused.map_or(due, |paused: Timestamp| paused.max(due))
    }
}

impl Times {
    fn of(waiting: &Waiting) -> Option<Self> {
        let since = waiting.since?;
        let told = waiting.told;
        Some(Self { since, told })
    }
}

impl Agenda {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            waiting: HashMap::new(),
            ways: HashMap::new(),
            due: Due::default(),
        }
    }

    /// Takes note of an account's entry.
    pub(crate) fn misses(&mut self, account: AccountId, waiting: &Waiting) {
        let times = Times::of(waiting);
        let known = self.waiting.get(&account).copied();
        match times {
            Some(times) => drop(self.waiting.insert(account, times)),
            None => drop(self.waiting.remove(&account)),
        }
        // One more message changes nothing, and does not end what was put off.
        if known != times {
            self.reckon(account);
        }
    }

    /// Takes note of what an account has chosen.
    pub(crate) fn chose(&mut self, account: AccountId, ways: &Ways) {
        let known = if *ways == Ways::default() {
            self.ways.remove(&account)
        } else {
            self.ways.insert(account, ways.clone())
        };
        if known.unwrap_or_default() != *ways {
            self.reckon(account);
        }
    }

    /// Puts somebody off, until then or until something changes.
    pub(crate) fn put_off(&mut self, account: AccountId, until: Timestamp) {
        if self.waiting.contains_key(&account) {
            self.due.put(account, until);
        }
    }

    /// Who is to be told now, the longest due first.
    pub(crate) fn due(&self, now: Timestamp, most: usize) -> Vec<AccountId> {
        self.due.by(now).take(most).collect()
    }

    /// How many have missed something.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn reckon(&mut self, account: AccountId) {
        let none = Ways::default();
        match self.waiting.get(&account) {
            Some(times) => {
                let ways = self.ways.get(&account).unwrap_or(&none);
                self.due.put(account, self.rules.at(*times, ways));
            }
            None => self.due.remove(&account),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn rules() -> Rules {
        Rules {
            delay: Duration::from_mins(15),
            pause: Duration::from_hours(1),
            daily_minute: 8 * 60,
        }
    }

    fn missed(since: &str, told: Option<&str>) -> Waiting {
        Waiting {
            since: Some(at(since)),
            told: told.map(at),
            ..Waiting::default()
        }
    }

    fn ways(mail: MailLevel) -> Ways {
        Ways {
            mail,
            zone: Some("Europe/Paris".to_owned()),
            ..Ways::default()
        }
    }

    #[test]
    fn somebody_is_told_after_a_while_and_not_soon_again() {
        let due = |told| rules().due(&missed("2026-01-01T10:00:00Z", told), &ways(MailLevel::Mentions));
        assert_eq!(due(None), Some(at("2026-01-01T10:15:00Z")));
        assert_eq!(
            due(Some("2026-01-01T09:50:00Z")),
            Some(at("2026-01-01T10:50:00Z"))
        );
        assert_eq!(
            due(Some("2026-01-01T02:00:00Z")),
            Some(at("2026-01-01T10:15:00Z"))
        );
        assert_eq!(rules().due(&Waiting::default(), &ways(MailLevel::Mentions)), None);
    }

    #[test]
    fn once_a_day_is_at_the_hour_where_somebody_lives() {
        let due = |since, told| rules().due(&missed(since, told), &ways(MailLevel::Daily));
        assert_eq!(
            due("2026-01-01T06:59:00Z", None),
            Some(at("2026-01-01T07:00:00Z"))
        );
        // Told a moment late, and something is missed right behind it: that is for tomorrow.
        let told = Some("2026-01-01T07:00:02Z");
        let tomorrow = Some(at("2026-01-02T07:00:00Z"));
        assert_eq!(due("2026-01-01T07:00:03Z", told), tomorrow);
        assert_eq!(
            due("2026-01-01T06:59:59Z", told),
            tomorrow,
            "another's clock is slow"
        );
    }

    #[test]
    fn another_choice_counts_for_what_waits_already() {
        let mut agenda = Agenda::new(rules());
        let account: AccountId = Uuid::from_u128(1).into();
        let due = |agenda: &Agenda, now| agenda.due(at(now), 9);
        agenda.chose(account, &ways(MailLevel::Daily));
        agenda.misses(account, &missed("2026-01-01T10:00:00Z", None));
        assert!(due(&agenda, "2026-01-01T10:15:00Z").is_empty());
        agenda.chose(account, &ways(MailLevel::Mentions));
        assert!(due(&agenda, "2026-01-01T10:14:59Z").is_empty());
        assert_eq!(due(&agenda, "2026-01-01T10:15:00Z"), [account]);
        agenda.put_off(account, at("2026-01-01T12:00:00Z"));
        agenda.misses(account, &missed("2026-01-01T10:00:00Z", None));
        assert!(due(&agenda, "2026-01-01T11:59:00Z").is_empty(), "it is put off");
        // Who wants none any more is looked at immediately.
        agenda.chose(account, &Ways::default());
        assert_eq!(due(&agenda, "2026-01-01T10:00:00Z"), [account]);
        agenda.misses(account, &Waiting::default());
        agenda.put_off(account, at("2026-01-01T12:00:00Z"));
        assert!(agenda.due.is_empty() && agenda.ways.is_empty());
        assert_eq!(agenda.len(), 0);
    }

    #[test]
    fn who_waits_longest_comes_first() {
        let mut agenda = Agenda::new(rules());
        let accounts: Vec<AccountId> = (1..=3).map(|n| Uuid::from_u128(n).into()).collect();
        for (account, since) in accounts.iter().zip(["10:03", "10:01", "10:02"]) {
            agenda.chose(*account, &ways(MailLevel::Mentions));
            agenda.misses(*account, &missed(&format!("2026-01-01T{since}:00Z"), None));
        }
        let due = agenda.due(at("2026-01-01T11:00:00Z"), 2);
        assert_eq!(due, [accounts[1], accounts[2]]);
    }
}

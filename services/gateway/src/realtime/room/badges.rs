//! Badges: how far a room is, and what is new in it for those who do not follow it event by event.

use veza_events::room::{Mentions, RoomEvent};
use veza_events::{AccountId, Event, Sealed};
use veza_platform::ledger::Recorded;

use super::Room;
use crate::realtime::frames::{Badge, Level};

/// Messages that are counted for the next badges; beyond, badges do not say how many are new.
const MAX_NEWS: usize = 1_024;

/// A message, as far as a badge tells of it.
#[derive(Clone, Debug)]
pub(in crate::realtime) struct News {
    by: AccountId,
    mentions: Option<Mentions>,
}

impl News {
    /// What badges tell of an event.
    pub(in crate::realtime) fn of(recorded: &Recorded) -> Option<Self> {
        let Event::Room(RoomEvent::MessagePosted(event)) = &recorded.event else {
            return None;
        };
        Some(Self {
            by: event.author,
            mentions: event.mentions.as_ref().and_then(Sealed::clear).cloned(),
        })
    }

    /// Roles are not among what a gateway knows of its sockets, so those who hold one are not found here.
    fn mentions(&self, account: AccountId) -> bool {
        self.mentions.as_ref().is_some_and(|mentions| {
            mentions.everyone || mentions.here || mentions.accounts.contains(&account)
        })
    }
}

/// What came since the last badges.
#[derive(Debug, Default)]
pub(super) struct Badges {
    /// Watchers that want badges.
    pub(super) watchers: usize,
    /// Messages by their place.
    news: Vec<(u64, News)>,
    /// Every message behind this place is in `news`.
    from: u64,
}

impl Badges {
    /// Notes the room's next event, and the message that it tells.
    pub(super) fn note(&mut self, seq: u64, news: Option<News>) {
        if self.watchers == 0 || self.news.len() >= MAX_NEWS {
            self.begin(seq);
        } else if let Some(news) = news {
            self.news.push((seq, news));
        }
    }

    /// From here on messages are counted.
    pub(super) fn begin(&mut self, from: u64) {
        self.news.clear();
        self.from = from;
    }

    /// What is new for `account` behind `seen`.
    fn of(&self, account: AccountId, seen: u64, head: u64) -> Badge {
        let mut others = self
            .news
            .iter()
            .filter(|(seq, news)| *seq > seen && news.by != account);
        Badge {
            head,
            new: (seen >= self.from).then(|| others.clone().count() as u64),
            mentioned: others.any(|(_, news)| news.mentions(account)),
        }
    }
}

impl Room {
    /// Tells watchers that want no events how far the room is, if it moved.
    pub(in crate::realtime) fn tell_badges(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let head = state.ring.head();
        if state.badges.watchers > 0 {
            for watcher in &mut state.watchers {
                let waits = watcher.level == Level::Badge && !watcher.held && !watcher.suspended;
                if waits && watcher.sent < head {
                    let badge = state.badges.of(watcher.account, watcher.sent, head);
                    watcher.outbox.push_badge(self.id, badge);
                    watcher.sent = head;
                }
            }
        }
        state.badges.begin(head);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn account(n: u128) -> AccountId {
        Uuid::from_u128(n).into()
    }

    fn news(by: u128, mentioned: &[u128]) -> News {
        let mentions = Mentions {
            accounts: mentioned.iter().map(|n| account(*n)).collect(),
            ..Mentions::default()
        };
        News {
            by: account(by),
            mentions: Some(mentions),
        }
    }

    fn badge(head: u64, new: Option<u64>, mentioned: bool) -> Badge {
        Badge { head, new, mentioned }
    }

    #[test]
    fn ones_own_messages_and_what_is_no_message_are_not_news() {
        let mut badges = Badges {
            watchers: 1,
            ..Badges::default()
        };
        badges.begin(10);
        badges.note(11, Some(news(1, &[2])));
        badges.note(12, Some(news(2, &[])));
        badges.note(13, None);
        badges.note(14, Some(news(1, &[])));
        assert_eq!(badges.of(account(1), 10, 14), badge(14, Some(1), false));
        assert_eq!(badges.of(account(2), 10, 14), badge(14, Some(2), true));
        assert_eq!(
            badges.of(account(2), 11, 14),
            badge(14, Some(1), false),
            "told before"
        );
        assert_eq!(
            badges.of(account(3), 9, 14),
            badge(14, None, false),
            "9 is not counted from"
        );
    }

    #[test]
    fn more_than_is_counted_is_not_guessed() {
        let mut badges = Badges {
            watchers: 1,
            ..Badges::default()
        };
        for seq in 1..=MAX_NEWS as u64 + 2 {
            badges.note(seq, Some(news(1, &[])));
        }
        let head = MAX_NEWS as u64 + 2;
        assert_eq!(badges.of(account(2), 0, head), badge(head, None, false));
        assert_eq!(badges.of(account(2), head - 1, head).new, Some(1));
        badges.watchers = 0;
        badges.note(head + 1, Some(news(1, &[])));
        assert!(badges.news.is_empty(), "nobody asks");
    }
}

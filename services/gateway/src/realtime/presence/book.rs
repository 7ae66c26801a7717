//! Who is here, who is seen elsewhere, and who on screen wants to know. Pure: time is an argument, and what is
//! to be sent is returned.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;
use veza_events::AccountId;

use crate::realtime::frames::{Mood, PresenceState};
use crate::realtime::sockets::SocketKey;

/// What one gateway says of an account. The order is what counts when several say something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Seen {
    /// It has no device there.
    Gone,
    /// Its devices there are away.
    Away,
    /// One of its devices there is in use.
    Online,
    /// One of its devices there wants it to be seen nowhere.
    Hidden,
}

impl Seen {
    fn shown(self) -> PresenceState {
        match self {
            Self::Gone | Self::Hidden => PresenceState::Offline,
            Self::Away => PresenceState::Away,
            Self::Online => PresenceState::Online,
        }
    }
}

impl From<Mood> for Seen {
    fn from(mood: Mood) -> Self {
        match mood {
            Mood::Online => Self::Online,
            Mood::Away => Self::Away,
            Mood::Invisible => Self::Hidden,
        }
    }
}

/// States by account.
pub(super) type States = BTreeMap<AccountId, Seen>;

#[derive(Debug, Default)]
pub(super) struct Book {
    /// Accounts with sockets here, or a moment ago.
    own: HashMap<AccountId, Own>,
    /// What other gateways say of accounts that somebody here watches.
    others: HashMap<AccountId, HashMap<Uuid, Seen>>,
    /// When each other gateway was last heard.
    gateways: HashMap<Uuid, Instant>,
    watches: HashMap<SocketKey, Watch>,
    watchers: HashMap<AccountId, HashSet<SocketKey>>,
    /// What other gateways are still to be told.
    news: States,
    /// Sockets to look at.
    dirty: HashSet<SocketKey>,
}

#[derive(Debug)]
struct Own {
    sockets: HashMap<SocketKey, Mood>,
    /// Since when it has no socket, and what it was before.
    gone: Option<(Instant, Seen)>,
}

impl Own {
    fn seen(&self) -> Seen {
        let moods = self.sockets.values().map(|mood| Seen::from(*mood));
        moods
            .max()
            .or(self.gone.map(|(_, seen)| seen))
            .unwrap_or(Seen::Gone)
    }
}

#[derive(Debug)]
struct Watch {
    account: AccountId,
    targets: BTreeSet<AccountId>,
    /// What the socket was told of each.
    told: BTreeMap<AccountId, PresenceState>,
}

impl Book {
    /// A socket has said who it is.
    pub(super) fn enter(&mut self, account: AccountId, socket: SocketKey, mood: Mood) {
        let before = self.own_seen(account);
        let own = self.own.entry(account).or_insert_with(|| Own {
            sockets: HashMap::new(),
            gone: None,
        });
        own.sockets.insert(socket, mood);
        own.gone = None;
        self.changed(account, before);
    }

    /// A socket is gone; its account stays what it was for a while.
    pub(super) fn leave(&mut self, account: AccountId, socket: SocketKey, now: Instant) {
        self.unwatch(socket);
        let before = self.own_seen(account);
        if let Some(own) = self.own.get_mut(&account) {
            own.sockets.remove(&socket);
            if own.sockets.is_empty() && own.gone.is_none() {
                own.gone = Some((now, before));
            }
        }
        self.changed(account, before);
    }

    /// Replaces what a socket watches. Returns those that nobody here watched before: others are to be asked.
    pub(super) fn watch(
        &mut self,
        socket: SocketKey,
        account: AccountId,
        targets: BTreeSet<AccountId>,
    ) -> Vec<AccountId> {
        let told = self
            .unwatch(socket)
            .map(|watch| watch.told)
            .unwrap_or_default()
            .into_iter()
            .filter(|(target, _)| targets.contains(target))
            .collect();
        let mut new = Vec::new();
        for target in &targets {
            let watchers = self.watchers.entry(*target).or_default();
            if watchers.is_empty() {
                new.push(*target);
            }
            watchers.insert(socket);
        }
        let watch = Watch {
            account,
            targets,
            told,
        };
        self.watches.insert(socket, watch);
        self.dirty.insert(socket);
        new
    }

    fn unwatch(&mut self, socket: SocketKey) -> Option<Watch> {
        self.dirty.remove(&socket);
        let watch = self.watches.remove(&socket)?;
        for target in &watch.targets {
            if let Some(watchers) = self.watchers.get_mut(target) {
                watchers.remove(&socket);
                if watchers.is_empty() {
                    self.watchers.remove(target);
                    self.others.remove(target);
                }
            }
        }
        Some(watch)
    }

    /// An account left a space: whoever watches it, or is watched by it, may not be allowed to any more. Returns
    /// what is to be asked again; until then nothing more is told of them.
    pub(super) fn doubt(&mut self, account: AccountId) -> Vec<(SocketKey, AccountId, BTreeSet<AccountId>)> {
        let mut sockets: Vec<SocketKey> = self
            .watchers
            .get(&account)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let own = self
            .own
            .get(&account)
            .into_iter()
            .flat_map(|own| own.sockets.keys());
        sockets.extend(own.filter(|socket| self.watches.contains_key(socket)));
        sockets.sort_unstable();
        sockets.dedup();
        let doubtful = sockets.into_iter().filter_map(|socket| {
            let watch = self.watches.get(&socket)?;
            Some((socket, watch.account, watch.targets.clone()))
        });
        doubtful.collect()
    }

    /// What a socket may watch of what it watches. What it loses it is told to be offline.
    pub(super) fn keep(&mut self, socket: SocketKey, allowed: &BTreeSet<AccountId>) -> Vec<AccountId> {
        let Some(watch) = self.watches.get(&socket) else {
            return Vec::new();
        };
        let lost: Vec<AccountId> = watch.targets.difference(allowed).copied().collect();
        let targets = watch.targets.intersection(allowed).copied().collect();
        let account = watch.account;
        let shown: Vec<AccountId> = lost
            .into_iter()
            .filter(|target| {
                watch
                    .told
                    .get(target)
                    .is_some_and(|told| *told != PresenceState::Offline)
            })
            .collect();
        self.watch(socket, account, targets);
        shown
    }

    /// Another gateway says how accounts are there.
    pub(super) fn heard(&mut self, gateway: Uuid, states: &States, now: Instant) -> bool {
        let known = self.gateways.insert(gateway, now).is_some();
        for (account, seen) in states {
            let Some(watchers) = self.watchers.get(account) else {
                continue;
            };
            let told = self.others.entry(*account).or_default();
            let before = match seen {
                Seen::Gone => told.remove(&gateway),
                seen => told.insert(gateway, *seen),
            };
            if before.unwrap_or(Seen::Gone) != *seen {
                self.dirty.extend(watchers);
            }
        }
        !known
    }

    /// Forgets gateways that were silent for `silence`, and accounts that have been gone for `grace`.
    pub(super) fn expire(&mut self, now: Instant, silence: Duration, grace: Duration) {
        let dead: Vec<Uuid> = self
            .gateways
            .iter()
            .filter(|(_, heard)| now.duration_since(**heard) >= silence)
            .map(|(gateway, _)| *gateway)
            .collect();
        for gateway in dead {
            self.gateways.remove(&gateway);
            for (account, told) in &mut self.others {
                if told.remove(&gateway).is_some() {
                    self.dirty
                        .extend(self.watchers.get(account).into_iter().flatten());
                }
            }
        }
        let gone = self.own.iter().filter(|(_, own)| {
            own.gone
                .is_some_and(|(since, _)| now.duration_since(since) >= grace)
        });
        for (account, before) in gone
            .map(|(account, own)| (*account, own.seen()))
            .collect::<Vec<_>>()
        {
            self.own.remove(&account);
            self.changed(account, before);
        }
    }

    /// What other gateways are to be told; of these accounts, or of all that changed.
    pub(super) fn news(&mut self) -> States {
        std::mem::take(&mut self.news)
    }

    /// How accounts are here; those that are not are left out.
    pub(super) fn here(&self, accounts: &[AccountId]) -> States {
        let here = accounts.iter().filter_map(|account| {
            let own = self.own.get(account)?;
            Some((*account, own.seen()))
        });
        here.collect()
    }

    /// Everybody who is watched here.
    pub(super) fn watched(&self) -> Vec<AccountId> {
        self.watchers.keys().copied().collect()
    }

    /// What each socket is to be told now.
    pub(super) fn changes(&mut self) -> Vec<(SocketKey, BTreeMap<AccountId, PresenceState>)> {
        let dirty = std::mem::take(&mut self.dirty);
        let changes = dirty.into_iter().filter_map(|socket| {
            let watch = self.watches.get(&socket)?;
            let states = watch.targets.iter().map(|target| (*target, self.state(*target)));
            let changed: BTreeMap<_, _> = states
                .filter(|(target, state)| watch.told.get(target) != Some(state))
                .collect();
            (!changed.is_empty()).then_some((socket, changed))
        });
        changes.collect()
    }

    /// The socket was told, or has no room for it now and is told later.
    pub(super) fn told(&mut self, socket: SocketKey, states: BTreeMap<AccountId, PresenceState>, done: bool) {
        if let Some(watch) = self.watches.get_mut(&socket) {
            if done {
                watch.told.extend(states);
            } else {
                self.dirty.insert(socket);
            }
        }
    }

    /// How many accounts are here and watched, for metrics.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.own.len(), self.watchers.len())
    }

    fn state(&self, account: AccountId) -> PresenceState {
        let elsewhere = self.others.get(&account).into_iter().flat_map(HashMap::values);
        let all = elsewhere.copied().chain([self.own_seen(account)]);
        all.max().unwrap_or(Seen::Gone).shown()
    }

    fn own_seen(&self, account: AccountId) -> Seen {
        self.own.get(&account).map_or(Seen::Gone, Own::seen)
    }

    fn changed(&mut self, account: AccountId, before: Seen) {
        let seen = self.own_seen(account);
        if seen != before {
            self.news.insert(account, seen);
            self.dirty
                .extend(self.watchers.get(&account).into_iter().flatten());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(12);
    const SILENCE: Duration = Duration::from_secs(15);

    fn account(n: u128) -> AccountId {
        Uuid::from_u128(n).into()
    }

    fn socket(n: u64) -> SocketKey {
        SocketKey::of(n)
    }

    /// A book in which socket 100 of account 9 watches account 1.
    fn watched() -> Book {
        let mut book = Book::default();
        book.watch(socket(100), account(9), [account(1)].into());
        assert_eq!(told(&mut book), Some(PresenceState::Offline));
        book
    }

    fn told(book: &mut Book) -> Option<PresenceState> {
        let mut state = None;
        for (socket, states) in book.changes() {
            state = states.get(&account(1)).copied();
            book.told(socket, states, true);
        }
        state
    }

    #[test]
    fn an_account_is_what_its_liveliest_device_is() {
        let mut book = watched();
        book.enter(account(1), socket(1), Mood::Away);
        assert_eq!(told(&mut book), Some(PresenceState::Away));
        book.enter(account(1), socket(2), Mood::Online);
        assert_eq!(told(&mut book), Some(PresenceState::Online));
        book.enter(account(1), socket(2), Mood::Away);
        assert_eq!(told(&mut book), Some(PresenceState::Away));
        assert_eq!(book.news(), [(account(1), Seen::Away)].into());
    }

    #[test]
    fn one_device_that_hides_hides_all_of_them() {
        let mut book = watched();
        book.enter(account(1), socket(1), Mood::Online);
        told(&mut book);
        book.enter(account(1), socket(2), Mood::Invisible);
        assert_eq!(told(&mut book), Some(PresenceState::Offline));
        let now = Instant::now();
        book.heard(Uuid::from_u128(7), &[(account(1), Seen::Online)].into(), now);
        assert_eq!(told(&mut book), None, "nor does a device elsewhere show it");
    }

    #[test]
    fn who_comes_back_soon_was_never_gone() {
        let mut book = watched();
        let now = Instant::now();
        book.enter(account(1), socket(1), Mood::Online);
        told(&mut book);
        book.news();
        book.leave(account(1), socket(1), now);
        book.expire(now + GRACE / 2, SILENCE, GRACE);
        book.enter(account(1), socket(2), Mood::Online);
        book.expire(now + GRACE * 2, SILENCE, GRACE);
        assert_eq!((told(&mut book), book.news()), (None, States::new()));
        book.leave(account(1), socket(2), now);
        book.expire(now + GRACE, SILENCE, GRACE);
        assert_eq!(told(&mut book), Some(PresenceState::Offline));
        assert_eq!(book.news(), [(account(1), Seen::Gone)].into());
    }

    #[test]
    fn a_gateway_that_falls_silent_takes_its_accounts_with_it() {
        let mut book = watched();
        let (now, other) = (Instant::now(), Uuid::from_u128(7));
        assert!(book.heard(
            other,
            &[(account(1), Seen::Online), (account(2), Seen::Online)].into(),
            now
        ));
        assert_eq!(told(&mut book), Some(PresenceState::Online));
        assert_eq!(book.others.len(), 1, "nobody watches the other");
        assert!(!book.heard(other, &States::new(), now + SILENCE / 2));
        book.expire(now + SILENCE, SILENCE, GRACE);
        assert_eq!(told(&mut book), None);
        book.expire(now + SILENCE * 2, SILENCE, GRACE);
        assert_eq!(told(&mut book), Some(PresenceState::Offline));
    }

    #[test]
    fn what_a_socket_has_no_room_for_it_is_told_later() {
        let mut book = watched();
        book.enter(account(1), socket(1), Mood::Online);
        let (who, states) = book.changes().pop().unwrap();
        book.told(who, states, false);
        assert_eq!(told(&mut book), Some(PresenceState::Online));
    }

    #[test]
    fn who_may_not_see_somebody_any_more_is_told_offline_and_nothing_more() {
        let mut book = watched();
        book.enter(account(1), socket(1), Mood::Online);
        told(&mut book);
        let doubtful = book.doubt(account(1));
        assert_eq!(doubtful, [(socket(100), account(9), [account(1)].into())]);
        assert_eq!(book.keep(socket(100), &BTreeSet::new()), [account(1)]);
        book.enter(account(1), socket(1), Mood::Away);
        assert_eq!((told(&mut book), book.watched()), (None, Vec::new()));
    }
}

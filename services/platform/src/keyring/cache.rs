//! Keys in memory: bounded, aging, and usable beyond their age while Postgres is away.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use moka::sync::Cache as Memory;
use veza_events::{AccountId, KeyId};

use super::data_key::DataKey;

/// Longest use of a key that could not be looked up again.
const LONGEST_USE: Duration = Duration::from_hours(24);
/// How long "there is no such key" is believed.
const ABSENT_FOR: Duration = Duration::from_secs(2);
/// Most ids of absent keys in memory.
const MOST_ABSENT: u64 = 10_000;
/// How long Postgres is left alone after it did not answer.
const AWAY_FOR: Duration = Duration::from_secs(1);

pub(super) struct Cache {
    keys: Memory<KeyId, Held>,
    accounts: Memory<AccountId, KeyId>,
    absent: Memory<KeyId, ()>,
    fresh_for: Duration,
    away_until: Mutex<Option<Instant>>,
}

#[derive(Clone)]
struct Held {
    /// `None`: destroyed.
    key: Option<DataKey>,
    since: Instant,
}

/// What the memory has of a key.
pub(super) enum Found {
    /// Young enough, or Postgres is known to be away.
    Fresh(KeyId, Option<DataKey>),
    /// To be looked up again if that can be done.
    Old(KeyId, Option<DataKey>),
    /// Not in memory.
    Nothing,
}

impl Cache {
    pub(super) fn new(most: u64, fresh_for: Duration) -> Self {
        Self {
            keys: Memory::builder()
                .max_capacity(most)
                .time_to_live(LONGEST_USE)
                .build(),
            accounts: Memory::builder()
                .max_capacity(most)
                .time_to_live(LONGEST_USE)
                .build(),
            absent: Memory::builder()
                .max_capacity(MOST_ABSENT)
                .time_to_live(ABSENT_FOR)
                .build(),
            fresh_for,
            away_until: Mutex::new(None),
        }
    }

    pub(super) fn get(&self, id: KeyId) -> Found {
        match self.keys.get(&id) {
            Some(held) if held.since.elapsed() < self.fresh_for || self.is_postgres_away() => {
                Found::Fresh(id, held.key)
            }
            Some(held) => Found::Old(id, held.key),
            None if self.absent.contains_key(&id) => Found::Fresh(id, None),
            None => Found::Nothing,
        }
    }

    pub(super) fn of_account(&self, account: AccountId) -> Found {
        self.accounts
            .get(&account)
            .map_or(Found::Nothing, |id| self.get(id))
    }

    pub(super) fn keep(&self, account: AccountId, id: KeyId, key: Option<DataKey>) {
        let since = Instant::now();
        self.keys.insert(id, Held { key, since });
        self.accounts.insert(account, id);
    }

    /// The row is not there: forgotten if it was.
    pub(super) fn keep_absent(&self, id: KeyId) {
        self.keys.invalidate(&id);
        self.absent.insert(id, ());
    }

    pub(super) fn postgres_is_away(&self) {
        *self.lock() = Some(Instant::now() + AWAY_FOR);
    }

    pub(super) fn is_postgres_away(&self) -> bool {
        self.lock().is_some_and(|until| Instant::now() < until)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.away_until
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

//! What is kept in memory of everybody, so that a message that concerns nobody costs nothing: who has devices, and
//! who wants to be told of everything somewhere. Both follow their buckets.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use veza_events::{AccountId, RoomId, SpaceId};
use veza_platform::event_log::EventLog;
use veza_platform::kv::{Change, Kv};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::push::{Changed, PushSubscriptions};
use veza_readmodel::notice::NotificationLevel;
use veza_readmodel::{Choices, MailLevel};

/// Pause after something that cannot be read.
const PAUSE: Duration = Duration::from_millis(100);
/// Buckets that are followed.
const FOLLOWED: usize = 2;

/// The two lists.
#[derive(Debug, Default)]
pub(crate) struct Known {
    state: RwLock<State>,
    /// Buckets that have been read to their end once.
    current: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    devices: HashSet<AccountId>,
    /// Who wants mail.
    mailed: HashSet<AccountId>,
    rooms: HashMap<RoomId, HashSet<AccountId>>,
    spaces: HashMap<SpaceId, HashSet<AccountId>>,
    /// What an account stands under, to be taken out when it chooses anew.
    wants: HashMap<AccountId, (Vec<RoomId>, Vec<SpaceId>)>,
}

impl Known {
    /// Follows the buckets for as long as the role lives.
    pub(crate) fn follow(lifecycle: &Lifecycle, log: &EventLog, devices: &PushSubscriptions) -> Arc<Self> {
        let known = Arc::new(Self::default());
        let (mut watch, mine, soft) = (devices.watch(), Arc::clone(&known), lifecycle.soft.clone());
        lifecycle.spawn("devices", async move {
            loop {
                let change = tokio::select! {
                    change = watch.next() => change,
                    () = soft.cancelled() => return,
                };
                match change {
                    Ok(Changed::Has(account)) => {
                        mine.write().devices.insert(account);
                    }
                    Ok(Changed::Lost(account)) => {
                        mine.write().devices.remove(&account);
                    }
                    Ok(Changed::Current) => {
                        mine.current.fetch_add(1, Ordering::AcqRel);
                    }
                    Ok(Changed::Nothing) => {}
                    Err(error) => {
                        tracing::debug!(%error, "an entry about devices cannot be read");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        });
        let choices: Kv<Choices> = Kv::open(log, Choices::BUCKET);
        let (mut watch, mine, soft) = (choices.watch(), Arc::clone(&known), lifecycle.soft.clone());
        lifecycle.spawn("choices", async move {
            loop {
                let change = tokio::select! {
                    change = watch.next() => change,
                    () = soft.cancelled() => return,
                };
                match change {
                    Ok(Change::Put { key, entry }) => mine.chose(&key, &entry.value),
                    Ok(Change::Removed { key, .. }) => mine.chose(&key, &Choices::default()),
                    Ok(Change::Current) => {
                        mine.current.fetch_add(1, Ordering::AcqRel);
                    }
                    Err(error) => {
                        tracing::debug!(%error, "an entry about choices cannot be read");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        });
        known
    }

    /// Whether everything that was there from the start has been read.
    pub(crate) fn is_current(&self) -> bool {
        self.current.load(Ordering::Acquire) >= FOLLOWED
    }

    pub(crate) fn has_devices(&self, account: AccountId) -> bool {
        self.read().devices.contains(&account)
    }

    pub(crate) fn is_mailed(&self, account: AccountId) -> bool {
        self.read().mailed.contains(&account)
    }

    /// Whether there is a way to tell somebody anything.
    pub(crate) fn can_be_told(&self, account: AccountId) -> bool {
        let state = self.read();
        state.devices.contains(&account) || state.mailed.contains(&account)
    }

    /// Everybody who can be told something.
    pub(crate) fn everybody(&self) -> Vec<AccountId> {
        let state = self.read();
        state.devices.union(&state.mailed).copied().collect()
    }

    /// Who wants to be told of everything in a room.
    pub(crate) fn want_all(&self, space: SpaceId, room: RoomId) -> Vec<AccountId> {
        let state = self.read();
        let (room, space) = (state.rooms.get(&room), state.spaces.get(&space));
        room.into_iter().chain(space).flatten().copied().collect()
    }

    fn chose(&self, key: &str, choices: &Choices) {
        let Ok(account) = key.parse::<AccountId>() else {
            return;
        };
        let all = Some(NotificationLevel::All);
        let rooms = choices.rooms.iter().filter(|(_, choice)| choice.level == all);
        let spaces = choices.spaces.iter().filter(|(_, choice)| choice.level == all);
        let rooms: Vec<RoomId> = rooms.map(|(room, _)| *room).collect();
        let spaces: Vec<SpaceId> = spaces.map(|(space, _)| *space).collect();
        let mut state = self.write();
        match choices.ways.mail {
            MailLevel::Off => state.mailed.remove(&account),
            MailLevel::Mentions | MailLevel::Daily => state.mailed.insert(account),
        };
        let (old_rooms, old_spaces) = state.wants.remove(&account).unwrap_or_default();
        for room in old_rooms {
            take_out(&mut state.rooms, &room, account);
        }
        for space in old_spaces {
            take_out(&mut state.spaces, &space, account);
        }
        for room in &rooms {
            state.rooms.entry(*room).or_default().insert(account);
        }
        for space in &spaces {
            state.spaces.entry(*space).or_default().insert(account);
        }
        if !rooms.is_empty() || !spaces.is_empty() {
            state.wants.insert(account, (rooms, spaces));
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take_out<K: std::hash::Hash + Eq>(map: &mut HashMap<K, HashSet<AccountId>>, key: &K, account: AccountId) {
    if let Some(accounts) = map.get_mut(key) {
        accounts.remove(&account);
        if accounts.is_empty() {
            map.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use veza_readmodel::Choice;

    use super::*;

    #[test]
    fn who_chooses_anew_is_taken_out_of_where_they_were() {
        let known = Known::default();
        let account: AccountId = Uuid::from_u128(1).into();
        let (space, room): (SpaceId, RoomId) = (Uuid::from_u128(2).into(), Uuid::from_u128(3).into());
        let choice = |level| Choice {
            level: Some(level),
            mute_until: None,
        };
        let mut choices = Choices::default();
        choices.spaces.insert(space, choice(NotificationLevel::All));
        known.chose(&account.to_string(), &choices);
        assert_eq!(known.want_all(space, room), [account]);
        choices.spaces.insert(space, choice(NotificationLevel::Nothing));
        choices.rooms.insert(room, choice(NotificationLevel::All));
        known.chose(&account.to_string(), &choices);
        assert_eq!(known.want_all(Uuid::from_u128(9).into(), room), [account]);
        assert!(known.want_all(space, Uuid::from_u128(9).into()).is_empty());
        choices.ways.mail = MailLevel::Daily;
        known.chose(&account.to_string(), &choices);
        assert!(known.can_be_told(account) && known.is_mailed(account) && !known.has_devices(account));
        assert_eq!(known.everybody(), [account]);
        known.chose(&account.to_string(), &Choices::default());
        let state = known.read();
        assert!(
            state.mailed.is_empty()
                && state.rooms.is_empty()
                && state.spaces.is_empty()
                && state.wants.is_empty()
        );
    }
}

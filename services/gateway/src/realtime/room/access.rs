//! Who may go on reading a room.

use tokio::time::Instant;
use veza_events::{AccountId, Permission, RoomId};
use veza_platform::contract::chat::Access;

use super::Room;
use crate::realtime::sockets::SocketKey;

/// The last events that bear on an access: an answer based on less is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::realtime) struct Need {
    /// Of the space.
    pub(in crate::realtime) space: u64,
    /// Of the membership.
    pub(in crate::realtime) member: u64,
}

impl Need {
    fn met_by(self, access: &Access) -> bool {
        access.space_seq >= self.space && access.member_seq >= self.member
    }

    fn join(&mut self, other: Self) {
        self.space = self.space.max(other.space);
        self.member = self.member.max(other.member);
    }
}

/// What became of a look-up of an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::realtime) enum Granted {
    /// Its watchers go on.
    Yes,
    /// It may not read: these sockets do not watch any more.
    No(Vec<SocketKey>),
    /// The answer is older than an event that bears on it; ask again.
    Stale,
}

impl Room {
    /// Stops the watchers of `account`, or of all, until an access that is based on `need` is granted. Returns
    /// whose they are.
    pub(in crate::realtime) fn suspend(&self, account: Option<AccountId>, need: Need) -> Vec<AccountId> {
        let mut accounts = Vec::new();
        let mut state = self.lock();
        for watcher in &mut state.watchers {
            if account.is_none_or(|account| account == watcher.account) {
                watcher.suspended = true;
                watcher.need.join(need);
                accounts.push(watcher.account);
            }
        }
        accounts
    }

    /// Lets the watchers of `account` go on, or removes them, as `access` says.
    pub(in crate::realtime) fn grant(&self, account: AccountId, access: &Access, now: Instant) -> Granted {
        let mut guard = self.lock();
        let state = &mut *guard;
        let mine = state.watchers.iter().filter(|watcher| watcher.account == account);
        if mine.clone().any(|watcher| !watcher.need.met_by(access)) {
            return Granted::Stale;
        }
        if !may_read(access, self.gate) {
            let sockets: Vec<_> = mine.map(|watcher| watcher.socket).collect();
            for &socket in &sockets {
                state.remove(socket, now);
            }
            return Granted::No(sockets);
        }
        for watcher in state
            .watchers
            .iter_mut()
            .filter(|watcher| watcher.account == account)
        {
            watcher.suspended = false;
            watcher.hidden = access.hidden_up_to(self.gate);
            watcher.go_on(self.id, &state.ring);
        }
        Granted::Yes
    }
}

/// Whether an access lets an account read a room.
pub(in crate::realtime) fn may_read(access: &Access, room: RoomId) -> bool {
    let mut rooms = access.rooms.iter();
    access.joined && rooms.any(|(id, allowed)| *id == room && allowed.has(Permission::View))
}

//! The questions that doors ask. Each answers in bounded time, also when Postgres or Redis is away.

use std::time::Duration;

use veza_events::{AccountId, RoomId, SessionId, SpaceId};

use crate::rows::{
    Account, Invite, JoinedSpace, List, Member, PageOf, PrivateAccount, Range, Role, Room, Session, Space,
    Timeline,
};
use crate::{ReadError, ReadMetrics, ReadOptions};

/// The read models. Cheap to clone.
#[derive(Clone)]
pub struct ReadModel {}

impl ReadModel {
    /// The read models behind these addresses. Connects when first asked, so it does not matter in which
    /// order servers start.
    ///
    /// # Errors
    /// [`ReadError::Defect`] when an address cannot be understood.
    pub async fn connect(options: ReadOptions, metrics: ReadMetrics) -> Result<Self, ReadError> {
        let _ = (options, metrics);
        unimplemented!()
    }

    /// Whether Postgres answers; for readiness.
    pub async fn ping(&self) -> Result<(), ReadError> {
        unimplemented!()
    }

    /// What anybody may know of an account.
    pub async fn account(&self, account: AccountId) -> Result<Option<Account>, ReadError> {
        let _ = account;
        unimplemented!()
    }

    /// The same of several, at most 200; unknown ones are left out.
    pub async fn accounts(&self, accounts: &[AccountId]) -> Result<Vec<Account>, ReadError> {
        let _ = accounts;
        unimplemented!()
    }

    /// What only the owner may know of an account.
    pub async fn account_private(&self, account: AccountId) -> Result<Option<PrivateAccount>, ReadError> {
        let _ = account;
        unimplemented!()
    }

    /// The account's open sessions, oldest first.
    pub async fn sessions(&self, account: AccountId) -> Result<Vec<Session>, ReadError> {
        let _ = account;
        unimplemented!()
    }

    /// One open session of an account.
    pub async fn session(
        &self,
        account: AccountId,
        session: SessionId,
    ) -> Result<Option<Session>, ReadError> {
        let _ = (account, session);
        unimplemented!()
    }

    /// The spaces that an account is in, in order of their making.
    pub async fn spaces_of(&self, account: AccountId, page: &PageOf) -> Result<List<JoinedSpace>, ReadError> {
        let _ = (account, page);
        unimplemented!()
    }

    /// A space.
    pub async fn space(&self, space: SpaceId) -> Result<Option<Space>, ReadError> {
        let _ = space;
        unimplemented!()
    }

    /// The roles of a space, highest rank first; everyone's among them.
    pub async fn roles(&self, space: SpaceId) -> Result<Vec<Role>, ReadError> {
        let _ = space;
        unimplemented!()
    }

    /// The rooms of a space, in order of their making, archived ones too.
    pub async fn rooms(&self, space: SpaceId) -> Result<Vec<Room>, ReadError> {
        let _ = space;
        unimplemented!()
    }

    /// A room.
    pub async fn room(&self, room: RoomId) -> Result<Option<Room>, ReadError> {
        let _ = room;
        unimplemented!()
    }

    /// One membership, also of a banned account.
    pub async fn member(&self, space: SpaceId, account: AccountId) -> Result<Option<Member>, ReadError> {
        let _ = (space, account);
        unimplemented!()
    }

    /// Who is in a space, with names; banned accounts are not listed.
    pub async fn members(&self, space: SpaceId, page: &PageOf) -> Result<List<Member>, ReadError> {
        let _ = (space, page);
        unimplemented!()
    }

    /// The invitations of a space that are not revoked, newest first.
    pub async fn invites(&self, space: SpaceId) -> Result<Vec<Invite>, ReadError> {
        let _ = space;
        unimplemented!()
    }

    /// Messages of a room, from the cache when it is at least at `at_least` (a sequence of the space's
    /// stream; 0 for any). The room must be one of the space. `limit` is brought into 1 to 200.
    pub async fn timeline(
        &self,
        space: SpaceId,
        room: RoomId,
        range: Range,
        limit: u16,
        at_least: u64,
    ) -> Result<Timeline, ReadError> {
        let _ = (space, room, range, limit, at_least);
        unimplemented!()
    }

    /// How far the tables of `stream` are; 0 before the first event.
    pub async fn position(&self, stream: &str) -> Result<u64, ReadError> {
        let _ = stream;
        unimplemented!()
    }

    /// Waits until the tables of `stream` have reached `seq`. Answers at once, without a query, when that
    /// is already known.
    ///
    /// # Errors
    /// [`ReadError::Behind`] when it takes longer than `within`.
    pub async fn wait_for(&self, stream: &str, seq: u64, within: Duration) -> Result<(), ReadError> {
        let _ = (stream, seq, within);
        unimplemented!()
    }

    /// Takes note of a position heard from the projector, which spares waiters a query.
    pub fn note_position(&self, stream: &str, seq: u64) {
        let _ = (stream, seq);
    }
}

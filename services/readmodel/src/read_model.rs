//! The questions that doors ask. Each answers in bounded time, also when Postgres or Redis is away.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use veza_events::space::Place;
use veza_events::{AccountId, AttachmentId, MessageId, RoomId, SessionId, Shards, SpaceId};

use crate::cache::CacheReader;
use crate::positions::Positions;
use crate::postgres::Postgres;
use crate::rows::{
    Account, Category, Invite, JoinedSpace, List, Member, MemberFilter, Message, MessageText, Override,
    PageOf, PlacedAttachment, PlacedMessage, PrivateAccount, Range, Reactor, Role, Room, Session, Space,
    Timeline,
};
use crate::search::{self, Hit, SearchWords, SearchedRooms};
use crate::{ReadError, ReadMetrics, ReadOptions, attachments, messages, queries, timelines};

/// The read models. Cheap to clone.
#[derive(Clone)]
pub struct ReadModel(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) postgres: Postgres,
    pub(crate) cache: Option<CacheReader>,
    pub(crate) shards: Shards,
    positions: Positions,
}

impl ReadModel {
    /// The read models behind these addresses. Connects when first asked, so it does not matter in which
    /// order servers start.
    ///
    /// # Errors
    /// [`ReadError::Defect`] when an address cannot be understood.
    pub async fn connect(options: ReadOptions, metrics: ReadMetrics) -> Result<Self, ReadError> {
        let cache = options
            .cache
            .as_ref()
            .map(|cache| CacheReader::connect(cache, metrics.clone()));
        Ok(Self(Arc::new(Inner {
            postgres: Postgres::connect(&options.postgres, metrics).await?,
            cache: cache.transpose()?,
            shards: options.shards,
            positions: Positions::default(),
        })))
    }

    /// Whether Postgres answers; for readiness.
    pub async fn ping(&self) -> Result<(), ReadError> {
        self.0.postgres.ask(queries::ping).await
    }

    /// What a door has looked up elsewhere and kept under `name`.
    pub async fn scrap(&self, name: &str) -> Option<String> {
        self.0.cache.as_ref()?.scrap(name).await
    }

    /// Keeps what a door has looked up elsewhere, for a while, so many at most; in vain while Redis is away.
    pub async fn keep_scrap(&self, name: &str, value: &str, life: Duration, most: usize) {
        if let Some(cache) = &self.0.cache {
            cache.keep_scrap(name, value, life, most).await;
        }
    }

    /// What anybody may know of an account.
    pub async fn account(&self, account: AccountId) -> Result<Option<Account>, ReadError> {
        Ok(self
            .account_private(account)
            .await?
            .map(|private| private.account))
    }

    /// The same of several, at most 200; unknown ones are left out.
    pub async fn accounts(&self, accounts: &[AccountId]) -> Result<Vec<Account>, ReadError> {
        let accounts = &accounts[..accounts.len().min(usize::from(PageOf::MAX))];
        self.0
            .postgres
            .ask(async |db| queries::accounts(&db, accounts).await)
            .await
    }

    /// What only the owner may know of an account.
    pub async fn account_private(&self, account: AccountId) -> Result<Option<PrivateAccount>, ReadError> {
        self.0
            .postgres
            .ask(async |db| queries::account(&db, account).await)
            .await
    }

    /// The account's open sessions, oldest first.
    pub async fn sessions(&self, account: AccountId) -> Result<Vec<Session>, ReadError> {
        self.0
            .postgres
            .ask(async |db| queries::sessions(&db, account).await)
            .await
    }

    /// One open session of an account.
    pub async fn session(
        &self,
        account: AccountId,
        session: SessionId,
    ) -> Result<Option<Session>, ReadError> {
        self.0
            .postgres
            .ask(async |db| queries::session(&db, account, session).await)
            .await
    }

    /// The spaces that an account is in, in order of their making.
    pub async fn spaces_of(&self, account: AccountId, page: &PageOf) -> Result<List<JoinedSpace>, ReadError> {
        let (after, limit) = page.bounds()?;
        let rows = self
            .0
            .postgres
            .ask(async |db| queries::spaces_of(&db, account, after, limit + 1).await)
            .await?;
        Ok(List::cut(rows, limit, |joined| joined.space.id.uuid()))
    }

    /// A space.
    pub async fn space(&self, space: SpaceId) -> Result<Option<Space>, ReadError> {
        self.0
            .postgres
            .ask(async |db| queries::space(&db, space).await)
            .await
    }

    /// The roles of a space, highest rank first; everyone's among them.
    pub async fn roles(&self, space: SpaceId) -> Result<Vec<Role>, ReadError> {
        self.0
            .postgres
            .ask(async |db| queries::roles(&db, space).await)
            .await
    }

    /// The groups of rooms of a space, as they are listed.
    pub async fn categories(&self, space: SpaceId) -> Result<Vec<Category>, ReadError> {
        self.0
            .postgres
            .ask(async |db| queries::categories(&db, space).await)
            .await
    }

    /// What differs in a room or category itself.
    pub async fn overrides(&self, place: Place) -> Result<Vec<Override>, ReadError> {
        let place = match place {
            Place::Room(room) => room.uuid(),
            Place::Category(category) => category.uuid(),
        };
        self.0
            .postgres
            .ask(async |db| queries::overrides(&db, place).await)
            .await
    }

    /// The rooms of a space, as they are listed, archived ones too.
    pub async fn rooms(&self, space: SpaceId) -> Result<Vec<Room>, ReadError> {
        self.0
            .postgres
            .ask(async |db| queries::rooms(&db, space).await)
            .await
    }

    /// A room.
    pub async fn room(&self, room: RoomId) -> Result<Option<Room>, ReadError> {
        self.0
            .postgres
            .ask(async |db| queries::room(&db, room).await)
            .await
    }

    /// One membership, also of a banned account.
    pub async fn member(&self, space: SpaceId, account: AccountId) -> Result<Option<Member>, ReadError> {
        self.0
            .postgres
            .ask(async |db| queries::member(&db, space, account).await)
            .await
    }

    /// Who is in a space, with names; banned accounts are not listed.
    pub async fn members(
        &self,
        space: SpaceId,
        filter: &MemberFilter,
        page: &PageOf,
    ) -> Result<List<Member>, ReadError> {
        let (after, limit) = page.bounds()?;
        let rows = self
            .0
            .postgres
            .ask(async |db| queries::members(&db, space, filter, after, limit + 1).await)
            .await?;
        Ok(List::cut(rows, limit, |member| member.account.uuid()))
    }

    /// The invitations of a space that are not revoked, newest first; at most 200.
    pub async fn invites(&self, space: SpaceId) -> Result<Vec<Invite>, ReadError> {
        self.0
            .postgres
            .ask(async |db| queries::invites(&db, space, u64::from(PageOf::MAX)).await)
            .await
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
        let limit = usize::from(limit.clamp(1, PageOf::MAX));
        timelines::read(&self.0, space, room, range, limit, at_least).await
    }

    /// Messages that a search finds in `rooms`, newest first.
    pub async fn search(
        &self,
        search: &SearchWords,
        rooms: &SearchedRooms,
        page: &PageOf,
    ) -> Result<List<Hit>, ReadError> {
        let (after, limit) = page.bounds()?;
        let hits = self
            .0
            .postgres
            .ask(async |db| search::find(&db, search, rooms, after, limit + 1).await)
            .await?;
        Ok(List::cut(hits, limit, |hit| hit.message.id.uuid()))
    }

    /// A file of a message, and where that is.
    pub async fn attachment(&self, id: AttachmentId) -> Result<Option<PlacedAttachment>, ReadError> {
        self.0
            .postgres
            .ask(async |db| attachments::one(&db, id).await)
            .await
    }

    /// The space of a room or thread, and the room whose rights count there.
    pub async fn place(&self, room: RoomId) -> Result<Option<(SpaceId, RoomId)>, ReadError> {
        self.0
            .postgres
            .ask(async |db| messages::place(&db, room).await)
            .await
    }

    /// A message, wherever it is.
    pub async fn message(&self, message: MessageId) -> Result<Option<PlacedMessage>, ReadError> {
        let mut found = self
            .0
            .postgres
            .ask(async |db| messages::message(&db, message).await)
            .await?;
        if let Some(placed) = &mut found {
            timelines::add_files(&self.0, std::slice::from_mut(&mut placed.message)).await?;
        }
        Ok(found)
    }

    /// All texts that a message had, if it was edited, oldest first.
    pub async fn texts(&self, message: MessageId, page: &PageOf) -> Result<List<MessageText>, ReadError> {
        let (after, limit) = page.after()?;
        let rows = self
            .0
            .postgres
            .ask(async |db| messages::texts(&db, message, after, limit + 1).await)
            .await?;
        Ok(List::cut_by(rows, limit, |text| text.seq.to_string()))
    }

    /// Who reacted to a message by one emoji.
    pub async fn reactors(
        &self,
        message: MessageId,
        emoji: &str,
        page: &PageOf,
    ) -> Result<List<Reactor>, ReadError> {
        let (after, limit) = page.bounds()?;
        let rows = self
            .0
            .postgres
            .ask(async |db| messages::reactors(&db, message, emoji, after, limit + 1).await)
            .await?;
        Ok(List::cut(rows, limit, |reactor| reactor.account.uuid()))
    }

    /// Which reactions to these messages are of `account`, as far as the rows do not tell by themselves.
    pub async fn own_reactions(
        &self,
        account: AccountId,
        messages: &[Message],
    ) -> Result<Vec<(MessageId, String)>, ReadError> {
        let untold = |message: &&Message| {
            let mut reactions = message.reactions.iter();
            reactions.any(|reaction| reaction.has(account).is_none())
        };
        let asked: Vec<Uuid> = messages
            .iter()
            .filter(untold)
            .map(|message| message.id.uuid())
            .collect();
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        self.0
            .postgres
            .ask(async |db| messages::own_reactions(&db, account, asked.clone()).await)
            .await
    }

    /// Pinned messages of a room that stand behind `hidden`, newest pin first.
    pub async fn pins(&self, room: RoomId, hidden: u64, page: &PageOf) -> Result<List<Message>, ReadError> {
        let (after, limit) = page.after()?;
        let before = if after == 0 { u64::MAX } else { after };
        let rows = self
            .0
            .postgres
            .ask(async |db| messages::pins(&db, room, before, hidden, limit + 1).await)
            .await?;
        let list = List::cut_by(rows, limit, |(pinned, _)| pinned.to_string());
        let mut items: Vec<Message> = list.items.into_iter().map(|(_, message)| message).collect();
        timelines::add_files(&self.0, &mut items).await?;
        Ok(List {
            items,
            next: list.next,
        })
    }

    /// How many messages of a room are pinned, apart from one.
    pub async fn count_pins(&self, room: RoomId, apart: MessageId) -> Result<usize, ReadError> {
        self.0
            .postgres
            .ask(async |db| messages::count_pins(&db, room, apart).await)
            .await
    }

    /// Whether messages of a room up to `until` are other than they were then.
    pub async fn changed_behind(&self, room: RoomId, until: u64) -> Result<bool, ReadError> {
        self.0
            .postgres
            .ask(async |db| messages::changed_behind(&db, room, until).await)
            .await
    }

    /// Those of `messages` that were taken back.
    pub async fn deleted(&self, messages: &[MessageId]) -> Result<Vec<MessageId>, ReadError> {
        let ids: Vec<Uuid> = messages.iter().map(|message| message.uuid()).collect();
        self.0
            .postgres
            .ask(async |db| messages::deleted(&db, ids.clone()).await)
            .await
    }

    /// How far the tables of `stream` are; 0 before the first event.
    pub async fn position(&self, stream: &str) -> Result<u64, ReadError> {
        let position = self
            .0
            .postgres
            .ask(async |db| queries::position(&db, stream).await)
            .await?;
        self.note_position(stream, position);
        Ok(position)
    }

    /// Waits until the tables of `stream` have reached `seq`. Answers at once, without a query, when that
    /// is already known.
    ///
    /// # Errors
    /// [`ReadError::Behind`] when it takes longer than `within`.
    pub async fn wait_for(&self, stream: &str, seq: u64, within: Duration) -> Result<(), ReadError> {
        self.0
            .positions
            .wait_for(stream, seq, within, || self.position(stream))
            .await
    }

    /// Takes note of a position heard from the projector, which spares waiters a query.
    pub fn note_position(&self, stream: &str, seq: u64) {
        self.0.positions.note(stream, seq);
    }
}

//! Stand-ins for what is behind a gateway: members, tickets, keys, and a worker that stores what it is told.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_nats::HeaderMap;
use futures::future::BoxFuture;
use uuid::Uuid;
use veza_events::member::{Left, Membership, Standing};
use veza_events::room::{
    MessageDeleted, MessageEdited, MessagePinned, MessagePosted, MessageUnpinned, Opened, ReactionAdded,
    ReactionRemoved, RoomEvent,
};
use veza_events::space::RoleDefined;
use veza_events::{
    AccountId, CommandId, Envelope, Event, MessageId, Permissions, RoomId, Sealed, SessionId, SpaceId,
    Subject,
};
use veza_gateway::Reads;
use veza_gateway::realtime::{About, Identity, Place, Services};
use veza_platform::ambient;
use veza_platform::contract::chat::{Access, MessageChange, Post, Posted};
use veza_platform::contract::media::{CallDone, CallJoined, CallPlaced, InCall, JoinCall, PlaceCall};
use veza_platform::contract::{Caller, Problem, ProblemKind};
use veza_platform::event_log::{AppendError, Draft, EventLog, Expect, Position, Record};
use veza_platform::ledger::{RecordError, Recorded, read_envelope};
use veza_readmodel::Timeline;

pub(crate) struct World {
    pub(crate) log: EventLog,
    pub(crate) space: SpaceId,
    tickets: Mutex<HashMap<String, Identity>>,
    ended: Mutex<HashSet<SessionId>>,
    rooms: Mutex<HashSet<RoomId>>,
    /// Who may read everything, and the last event of each membership.
    members: Mutex<HashMap<AccountId, (bool, u64)>>,
    space_seq: Mutex<u64>,
    pub(crate) keys_away: AtomicBool,
    /// Anybody gets in, and may read everything: for load.
    pub(crate) open_door: AtomicBool,
    pub(crate) workers_away: AtomicBool,
    /// Commands that are held until this is over.
    pub(crate) slow_commands: tokio::sync::Semaphore,
    pub(crate) posts: AtomicUsize,
    pub(crate) reads: Arc<Reads>,
    /// Nobody knows these.
    pub(crate) strangers: Mutex<HashSet<AccountId>>,
    deleted: Mutex<HashSet<MessageId>>,
}

impl World {
    pub(crate) fn new(log: EventLog) -> Arc<Self> {
        Arc::new(Self {
            reads: Arc::new(Reads::new(&log, std::time::Duration::from_millis(300))),
            strangers: Mutex::default(),
            log,
            space: ambient::new_uuid().into(),
            tickets: Mutex::default(),
            ended: Mutex::default(),
            rooms: Mutex::default(),
            members: Mutex::default(),
            space_seq: Mutex::default(),
            keys_away: AtomicBool::new(false),
            open_door: AtomicBool::new(false),
            workers_away: AtomicBool::new(false),
            slow_commands: tokio::sync::Semaphore::new(1_000),
            posts: AtomicUsize::new(0),
            deleted: Mutex::default(),
        })
    }

    /// A member of the space.
    pub(crate) fn member(&self) -> AccountId {
        let account = ambient::new_uuid().into();
        self.members.lock().unwrap().insert(account, (true, 0));
        account
    }

    /// A ticket of a new session.
    pub(crate) fn ticket(&self, account: AccountId) -> (String, SessionId) {
        let (ticket, session) = (ambient::new_uuid().to_string(), ambient::new_uuid().into());
        self.tickets.lock().unwrap().insert(
            ticket.clone(),
            Identity {
                account,
                session,
                scopes: None,
            },
        );
        (ticket, session)
    }

    pub(crate) fn end(&self, session: SessionId) {
        self.ended.lock().unwrap().insert(session);
    }

    /// A room with its first event.
    pub(crate) async fn room(&self) -> (RoomId, u64) {
        let room: RoomId = ambient::new_uuid().into();
        let opened = Opened {
            space: self.space,
            room,
            parent: None,
            about: None,
        };
        let seq = self
            .store(Subject::Room(0, room), Event::Room(opened.into()), None)
            .await;
        self.rooms.lock().unwrap().insert(room);
        (room, seq)
    }

    /// A message, as a worker stores it.
    pub(crate) async fn say(&self, room: RoomId, author: AccountId, body: &str) -> u64 {
        let command = ambient::new_uuid().into();
        self.say_as(room, author, body, command).await.0
    }

    async fn say_as(&self, room: RoomId, author: AccountId, body: &str, command: CommandId) -> (u64, Uuid) {
        let message: Uuid = command.derive(author.uuid(), "message");
        let posted = MessagePosted {
            space: self.space,
            room,
            message: message.into(),
            author,
            body: Sealed::Closed(format!("sealed:{body}")),
            reply_to: None,
            attachments: Vec::new(),
            mentions: None,
            imported: None,
            shown_as: None,
            parent: None,
        };
        let seq = self
            .store(
                Subject::Room(0, room),
                Event::Room(posted.into()),
                Some((author, command)),
            )
            .await;
        (seq, message)
    }

    /// Takes an account out of the space: what is stored next must not reach it.
    pub(crate) async fn remove(&self, account: AccountId) -> u64 {
        let left = Left {
            space: self.space,
            account,
            by: account,
            membership: Membership {
                standing: Standing::Out,
                ..Membership::default()
            },
        };
        let seq = self
            .store(
                Subject::Member(0, self.space, account),
                Event::Member(left.into()),
                None,
            )
            .await;
        self.members.lock().unwrap().insert(account, (false, seq));
        seq
    }

    /// Changes a role, after which those in `lose` may read nothing.
    pub(crate) async fn change_roles(&self, lose: &[AccountId]) -> u64 {
        for account in lose {
            self.members.lock().unwrap().insert(*account, (false, 0));
        }
        let defined = RoleDefined {
            role: ambient::new_uuid().into(),
            name: "x".into(),
            permissions: Permissions::NONE,
            rank: 1,
        };
        let seq = self
            .store(Subject::Space(0, self.space), Event::Space(defined.into()), None)
            .await;
        *self.space_seq.lock().unwrap() = seq;
        seq
    }

    pub(crate) async fn store(
        &self,
        subject: Subject,
        event: Event,
        by: Option<(AccountId, CommandId)>,
    ) -> u64 {
        let envelope = Envelope {
            id: ambient::new_uuid(),
            source: "veza/test".into(),
            kind: event.kind().to_owned(),
            time: ambient::now().into(),
            actor: by.map(|(account, _)| account),
            cause: by.map(|(_, command)| command),
            key: None,
            digest: None,
        };
        let mut headers = HeaderMap::new();
        for (name, value) in envelope.headers() {
            headers.insert(name, value);
        }
        let draft = Draft {
            subject: subject.to_string(),
            expect: Expect::Any,
            msg_id: by.map_or_else(String::new, |(account, command)| format!("{account}:{command}")),
            headers,
            payload: event.encode().unwrap().into(),
        };
        loop {
            match self.log.append(draft.clone()).await {
                Ok(appended) => return appended.position.seq,
                Err(AppendError::Unavailable { retry_after }) => tokio::time::sleep(retry_after).await,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn changed(
        &self,
        room: RoomId,
        posted: u64,
        message: MessageId,
        author: AccountId,
        change: MessageChange,
    ) -> RoomEvent {
        let (space, parent) = (self.space, None);
        match change {
            MessageChange::Edit { body, .. } => MessageEdited {
                space,
                room,
                message,
                posted,
                author,
                body: Sealed::Closed(format!("sealed:{body}")),
                mentions: None,
                parent,
            }
            .into(),
            MessageChange::Delete => {
                self.deleted.lock().unwrap().insert(message);
                MessageDeleted {
                    space,
                    room,
                    message,
                    posted,
                    author,
                    by: author,
                    parent,
                }
                .into()
            }
            MessageChange::React { emoji } => ReactionAdded {
                space,
                room,
                message,
                posted,
                account: author,
                emoji,
                parent,
            }
            .into(),
            MessageChange::Unreact { emoji } => ReactionRemoved {
                space,
                room,
                message,
                posted,
                account: author,
                emoji,
                parent,
            }
            .into(),
            MessageChange::Pin => MessagePinned {
                space,
                room,
                message,
                posted,
                by: author,
                parent,
            }
            .into(),
            MessageChange::Unpin => MessageUnpinned {
                space,
                room,
                message,
                posted,
                by: author,
                parent,
            }
            .into(),
        }
    }

    fn membership(&self, account: AccountId) -> (bool, u64) {
        let unknown = (self.open_door.load(Ordering::SeqCst), 0);
        self.members
            .lock()
            .unwrap()
            .get(&account)
            .copied()
            .unwrap_or(unknown)
    }

    fn open(&self, record: Record) -> Result<Recorded, RecordError> {
        if self.keys_away.load(Ordering::SeqCst) {
            return Err(RecordError::Keys(Problem::unavailable("no keys", 10)));
        }
        let subject = record.subject.parse()?;
        let envelope = read_envelope(&record)?;
        let mut event = Event::decode(&envelope.kind, &record.payload)?;
        event.visit_sealed(&mut |field| {
            field.open(&mut |text| serde_json::to_vec(text.strip_prefix("sealed:")?).ok());
        });
        Ok(Recorded {
            position: record.position,
            prev: record.prev,
            subject,
            envelope,
            event,
        })
    }
}

impl Services for World {
    fn place_call(&self, _: Caller, _: PlaceCall) -> BoxFuture<'_, Result<CallPlaced, Problem>> {
        Box::pin(async { Err(Problem::unavailable("no media worker is running", 10)) })
    }

    fn join_call(&self, _: String, _: Caller, _: JoinCall) -> BoxFuture<'_, Result<CallJoined, Problem>> {
        Box::pin(async { Err(Problem::unavailable("no media worker is running", 10)) })
    }

    fn in_call(&self, _: String, _: Caller, _: InCall) -> BoxFuture<'_, Result<CallDone, Problem>> {
        Box::pin(async { Err(Problem::unavailable("no media worker is running", 10)) })
    }

    fn redeem(&self, ticket: String) -> BoxFuture<'_, Result<Identity, Problem>> {
        let holder = match ticket.parse::<Uuid>() {
            Ok(account) if self.open_door.load(Ordering::SeqCst) => Some(Identity {
                account: account.into(),
                session: account.into(),
                scopes: None,
            }),
            _ => self.tickets.lock().unwrap().remove(&ticket),
        };
        let refused = || Problem::new(ProblemKind::Unauthenticated, "ticket.invalid", "no such ticket");
        Box::pin(async move { holder.ok_or_else(refused) })
    }

    fn is_over(&self, session: SessionId) -> bool {
        self.ended.lock().unwrap().contains(&session)
    }

    fn place_of(&self, room: RoomId) -> BoxFuture<'_, Result<Place, Problem>> {
        let known = self.rooms.lock().unwrap().contains(&room);
        let refused = || Problem::new(ProblemKind::NotFound, "room.not_found", "no such room");
        let place = Place {
            space: self.space,
            shard: 0,
            gate: room,
        };
        Box::pin(async move { if known { Ok(place) } else { Err(refused()) } })
    }

    fn access(&self, _: SpaceId, account: AccountId) -> BoxFuture<'_, Result<Arc<Access>, Problem>> {
        if self.workers_away.load(Ordering::SeqCst) {
            return Box::pin(async { Err(Problem::unavailable("no worker", 10)) });
        }
        let (joined, member_seq) = self.membership(account);
        let rooms = self
            .rooms
            .lock()
            .unwrap()
            .iter()
            .map(|room| (*room, Permissions::all()))
            .collect();
        let space_seq = *self.space_seq.lock().unwrap();
        let access = Access {
            joined,
            permissions: Permissions::all(),
            rooms,
            categories: Vec::new(),
            hidden: Vec::new(),
            space_seq,
            member_seq,
        };
        Box::pin(async move { Ok(Arc::new(access)) })
    }

    fn post(&self, caller: Caller, post: Post) -> BoxFuture<'_, Result<Posted, Problem>> {
        Box::pin(async move {
            let _turn = self.slow_commands.acquire().await.unwrap();
            self.posts.fetch_add(1, Ordering::SeqCst);
            let account = caller.account()?;
            if !self.membership(account).0 {
                return Err(Problem::new(
                    ProblemKind::Forbidden,
                    "member.not_joined",
                    "join first",
                ));
            }
            let (seq, message) = self.say_as(post.room, account, &post.body, caller.command).await;
            let position = Position {
                stream: "SPACES_0".into(),
                seq,
            };
            Ok(Posted {
                message: message.into(),
                position,
                duplicate: false,
                held: false,
            })
        })
    }

    fn mark_read(&self, account: AccountId, room: RoomId, seq: u64) -> BoxFuture<'_, Result<u64, Problem>> {
        Box::pin(async move {
            self.place_of(room).await?;
            self.reads.mark(account, room, seq)?;
            Ok(seq)
        })
    }

    fn acquainted(
        &self,
        _: AccountId,
        mut others: Vec<AccountId>,
        _: Option<(String, u64)>,
    ) -> BoxFuture<'_, Result<Vec<AccountId>, Problem>> {
        let strangers = self.strangers.lock().unwrap();
        others.retain(|account| !strangers.contains(account));
        Box::pin(async move { Ok(others) })
    }

    fn change(
        &self,
        caller: Caller,
        about: About,
        change: MessageChange,
    ) -> BoxFuture<'_, Result<Posted, Problem>> {
        Box::pin(async move {
            let (room, posted) = about.seen_at.unwrap();
            let author = caller.account()?;
            let event = self.changed(room, posted, about.message, author, change);
            let by = Some((author, caller.command));
            let seq = self.store(Subject::Room(0, room), Event::Room(event), by).await;
            let position = Position {
                stream: "SPACES_0".into(),
                seq,
            };
            Ok(Posted {
                message: about.message,
                position,
                duplicate: false,
                held: false,
            })
        })
    }

    fn deleted(&self, messages: Vec<MessageId>) -> BoxFuture<'_, Vec<MessageId>> {
        let deleted = self.deleted.lock().unwrap().clone();
        Box::pin(async move { messages.into_iter().filter(|id| deleted.contains(id)).collect() })
    }

    fn read(&self, record: Record) -> BoxFuture<'static, Result<Recorded, RecordError>> {
        let opened = self.open(record);
        Box::pin(async move { opened })
    }

    fn history(
        &self,
        _: SpaceId,
        _: RoomId,
        _: u64,
        _: u16,
    ) -> BoxFuture<'_, Result<Option<Timeline>, Problem>> {
        Box::pin(async { Err(Problem::unavailable("no read model", 10)) })
    }
}

//! What a client asks for, one after another per socket. Every command is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use tokio::time::Instant;
use veza_events::{AccountId, AttachmentId, CommandId, MessageId, RoomId, Scope, room::Mentions};
use veza_platform::ambient;
use veza_platform::config::RealtimeConfig;
use veza_platform::contract::chat::{MessageChange, Post, Posted};
use veza_platform::contract::{Caller, Problem, ProblemKind};
use veza_platform::notices::Missed;

use super::calls::CallCommand;
use super::frames::{CloseCode, Level, Mood, Outgoing, ResetReason, ResumeFrom};
use super::hub::Hub;
use super::outbox::Outbox;
use super::room::Room;
use super::sockets::{Hears, Peer, SocketKey};
use crate::changes::About;
use crate::scopes::{self, Needs};

/// Rooms of one `watch` that are looked up at once.
const WATCHING: usize = 16;

/// A socket that is open for commands.
pub(super) struct Session {
    pub(super) hub: Arc<Hub>,
    pub(super) peer: Arc<Peer>,
    pub(super) limits: Arc<RealtimeConfig>,
}

/// What a client can ask for once it has said who it is. `id` comes back in the answer.
#[derive(Debug)]
pub(super) enum Command {
    /// Follow rooms.
    Watch { id: u64, rooms: BTreeMap<RoomId, Level> },
    /// Follow rooms no more.
    Unwatch { id: u64, rooms: Vec<RoomId> },
    /// A room was read.
    Read { id: u64, room: RoomId, seq: u64 },
    /// Somebody is typing.
    Typing { room: RoomId },
    /// Whom to tell of, and how to be seen.
    Presence {
        id: u64,
        watch: Option<BTreeSet<AccountId>>,
        state: Option<Mood>,
    },
    /// Post a message.
    Send {
        id: u64,
        room: RoomId,
        command: CommandId,
        body: String,
        reply_to: Option<MessageId>,
        attachments: Vec<AttachmentId>,
    },
    /// Something about a call.
    Call { id: u64, call: CallCommand },
    /// Do something about a message.
    Change {
        id: u64,
        command: CommandId,
        about: About,
        change: MessageChange,
    },
}

impl Command {
    /// What it asks of the token of a bot.
    fn needs(&self) -> Needs {
        match self {
            Self::Call { .. } => Needs::Scope(Scope::Calls),
            Self::Unwatch { .. } | Self::Presence { .. } => Needs::Token,
            Self::Watch { .. } | Self::Read { .. } => Needs::Scope(Scope::MessagesRead),
            Self::Typing { .. } | Self::Send { .. } | Self::Change { .. } => {
                Needs::Scope(Scope::MessagesWrite)
            }
        }
    }

    /// The id that comes back in its answer; none where there is no answer.
    fn id(&self) -> Option<u64> {
        match self {
            Self::Watch { id, .. }
            | Self::Unwatch { id, .. }
            | Self::Read { id, .. }
            | Self::Presence { id, .. }
            | Self::Send { id, .. }
            | Self::Call { id, .. }
            | Self::Change { id, .. } => Some(*id),
            Self::Typing { .. } => None,
        }
    }
}

impl Session {
    /// Does a command and queues its answer.
    pub(super) async fn run(&self, command: Command) {
        if let Err(problem) = scopes::admit(self.peer.identity.scopes, Some(command.needs())) {
            self.peer.outbox.push(&Outgoing::error(command.id(), &problem));
            return;
        }
        let (id, outcome) = match command {
            Command::Watch { id, rooms } => (id, self.watch(id, rooms).await),
            Command::Unwatch { id, rooms } => return self.unwatch(id, &rooms),
            Command::Read { id, room, seq } => (id, self.read(id, room, seq).await),
            Command::Typing { room } => return self.typing(room).await,
            Command::Presence { id, watch, state } => (id, self.presence(id, watch, state).await),
            Command::Send {
                id,
                room,
                command,
                body,
                reply_to,
                attachments,
            } => (
                id,
                self.send(id, room, command, body, reply_to, attachments).await,
            ),
            Command::Call { id, call } => (id, self.call(id, call).await),
            Command::Change {
                id,
                command,
                about,
                change,
            } => (id, self.change(id, command, about, change).await),
        };
        if let Err(problem) = outcome {
            self.peer.outbox.push(&Outgoing::error(Some(id), &problem));
        }
    }

    async fn watch(&self, id: u64, rooms: BTreeMap<RoomId, Level>) -> Result<(), Problem> {
        if rooms.len() > self.limits.max_watched_rooms {
            return Err(too_many_rooms());
        }
        let (watched, refused) = self.watch_all(rooms).await;
        let heads = watched.iter().map(|(room, head)| (room.id, *head)).collect();
        let refused = refused
            .into_iter()
            .map(|(room, problem)| (room, problem.code))
            .collect();
        self.peer
            .outbox
            .push(&Outgoing::Ok { id, heads, refused }.frame());
        // Only now, so that no event of a room comes before the answer.
        for (room, _) in watched {
            room.release(self.peer.key);
        }
        Ok(())
    }

    /// Begins to watch rooms, all held back; with each, the sequence from which it goes on.
    pub(super) async fn watch_all(
        &self,
        rooms: BTreeMap<RoomId, Level>,
    ) -> (Watched, Vec<(RoomId, Problem)>) {
        let each = rooms
            .into_iter()
            .map(|(room, level)| async move { self.watch_one(room, level).await.map_err(|why| (room, why)) });
        let mut outcomes = futures::stream::iter(each).buffer_unordered(WATCHING);
        let (mut watched, mut refused) = (Vec::new(), Vec::new());
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(room) => watched.push(room),
                Err(why) => refused.push(why),
            }
        }
        (watched, refused)
    }

    async fn watch_one(&self, id: RoomId, level: Level) -> Result<(Arc<Room>, u64), Problem> {
        let (hub, peer) = (&self.hub, &self.peer);
        let place = hub.services.place_of(id).await?;
        hub.may_read(place, peer.identity.account).await?;
        let room = hub.open(id, place).await?;
        if !peer.add(&room, self.limits.max_watched_rooms) {
            return Err(too_many_rooms());
        }
        let head = room.watch(peer.key, peer.identity.account, &peer.outbox, level);
        if let Err(problem) = hub.admit(&room, peer).await {
            self.forget(id);
            return Err(problem);
        }
        Ok((room, head))
    }

    /// Begins to watch a room that could not be reached when the client said hello; held back until it is filled.
    /// `None` when the client does not want it any more.
    ///
    /// # Errors
    /// As for a `watch`.
    pub(super) async fn enter(&self, id: RoomId) -> Result<Option<Arc<Room>>, Problem> {
        let entered = self.watch_one(id, Level::Full).await;
        let unavailable = matches!(&entered, Err(problem) if problem.kind == ProblemKind::Unavailable);
        if unavailable || self.peer.arrived(id) {
            return entered.map(|(room, _)| Some(room));
        }
        self.forget(id);
        Ok(None)
    }

    fn unwatch(&self, id: u64, rooms: &[RoomId]) {
        for room in rooms {
            self.peer.arrived(*room);
            self.forget(*room);
        }
        self.done(id, BTreeMap::new());
    }

    async fn read(&self, id: u64, room: RoomId, seq: u64) -> Result<(), Problem> {
        let account = self.peer.identity.account;
        let seq = self.hub.services.mark_read(account, room, seq).await?;
        self.done(id, [(room, seq)].into());
        Ok(())
    }

    async fn presence(
        &self,
        id: u64,
        watch: Option<BTreeSet<AccountId>>,
        state: Option<Mood>,
    ) -> Result<(), Problem> {
        let (presence, peer) = (&self.hub.presence, &self.peer);
        let targets = match watch {
            None => None,
            Some(all) if all.len() > self.limits.max_watched_accounts => {
                let detail = "a socket cannot watch that many accounts";
                let code = "account.too_many_watched";
                return Err(Problem::new(ProblemKind::TooMany, code, detail));
            }
            Some(all) => {
                let asked = all.into_iter().collect();
                let account = peer.identity.account;
                Some(self.hub.services.acquainted(account, asked, None).await?)
            }
        };
        if let Some(mood) = state {
            presence.enter(peer, mood);
        }
        self.done(id, BTreeMap::new());
        if let Some(targets) = targets {
            presence.watch(peer, targets.into_iter().collect()).await;
        }
        Ok(())
    }

    pub(super) fn done(&self, id: u64, heads: BTreeMap<RoomId, u64>) {
        let ok = Outgoing::Ok {
            id,
            heads,
            refused: BTreeMap::new(),
        };
        self.peer.outbox.push(&ok.frame());
    }

    fn forget(&self, room: RoomId) {
        if let Some(room) = self.peer.remove(room) {
            room.unwatch(self.peer.key, Instant::now());
        }
    }

    async fn send(
        &self,
        id: u64,
        room: RoomId,
        command: CommandId,
        body: String,
        reply_to: Option<MessageId>,
        attachments: Vec<AttachmentId>,
    ) -> Result<(), Problem> {
        let services = &self.hub.services;
        let space = match self.peer.watched(room) {
            Some(room) => room.space,
            None => services.place_of(room).await?.space,
        };
        let identity = self.peer.identity;
        let caller = Caller {
            command,
            account: Some(identity.account),
            session: Some(identity.session),
            seen: None,
        };
        let posted = services
            .post(
                caller,
                Post {
                    space,
                    room,
                    body,
                    reply_to,
                    attachments,
                    mentions: Mentions::default(),
                },
            )
            .await?;
        self.acknowledge(id, command, &posted);
        Ok(())
    }

    async fn change(
        &self,
        id: u64,
        command: CommandId,
        about: About,
        change: MessageChange,
    ) -> Result<(), Problem> {
        let identity = self.peer.identity;
        let caller = Caller {
            command,
            account: Some(identity.account),
            session: Some(identity.session),
            seen: None,
        };
        let stored = self.hub.services.change(caller, about, change).await?;
        self.acknowledge(id, command, &stored);
        Ok(())
    }

    fn acknowledge(&self, id: u64, command: CommandId, posted: &Posted) {
        let ack = Outgoing::Ack {
            id,
            command_id: command,
            message: posted.message,
            seq: posted.position.seq,
            duplicate: posted.duplicate,
            held: posted.held,
        };
        self.peer.outbox.push(&ack.frame());
    }
}

pub(super) type Watched = Vec<(Arc<Room>, u64)>;

/// A socket that has not said who it is.
pub(super) struct Stranger {
    pub(super) hub: Arc<Hub>,
    pub(super) key: SocketKey,
    pub(super) outbox: Arc<Outbox>,
    pub(super) limits: Arc<RealtimeConfig>,
}

/// What became of a `hello`.
pub(super) enum Greeted {
    /// The socket is open for commands, and has these gaps to fill.
    Welcome(Arc<Session>, Vec<(RoomId, u64)>),
    /// It is to be closed.
    Refused(CloseCode),
}

impl Stranger {
    /// Trades the ticket for an identity, watches what is to be resumed, and says `ready`.
    pub(super) async fn hello(self, ticket: String, resume: ResumeFrom, deflate: bool) -> Greeted {
        let Self {
            hub,
            key,
            outbox,
            limits,
        } = self;
        let refuse = |problem: &Problem, code| {
            outbox.push(&Outgoing::error(None, problem));
            Greeted::Refused(code)
        };
        let identity = match hub.services.redeem(ticket).await {
            Ok(identity) => identity,
            Err(problem) if problem.kind == ProblemKind::Unavailable => {
                return refuse(&problem, CloseCode::Restarting);
            }
            Err(problem) => return refuse(&problem, CloseCode::Unauthenticated),
        };
        if resume.rooms.len() > limits.max_watched_rooms {
            return refuse(&too_many_rooms(), CloseCode::Flood);
        }
        let Some(peer) = hub.sockets.enter(key, identity, &outbox, Hears::All) else {
            return refuse(&too_many_sockets(), CloseCode::TooMany);
        };
        let place = match hub.notices.place(identity.account, resume.account).await {
            Ok(place) => place,
            Err(problem) => return refuse(&problem, CloseCode::Restarting),
        };
        hub.presence.enter(&peer, Mood::default());
        if deflate && limits.deflate_min_bytes > 0 {
            outbox.deflate();
        }
        let session = Arc::new(Session { hub, peer, limits });
        let fills = session.ready(resume, place).await;
        Greeted::Welcome(session, fills)
    }
}

impl Session {
    /// Says `ready`. Returns the gaps to fill, the rooms of which are held back until then. Rooms that cannot be
    /// reached just now are among them: they are entered as soon as they can be.
    async fn ready(&self, resume: ResumeFrom, place: Missed) -> Vec<(RoomId, u64)> {
        let levels = resume.rooms.keys().map(|room| (*room, Level::Full)).collect();
        let identity = self.peer.identity;
        let (watched, refused) = match scopes::admit(identity.scopes, Some(Needs::Scope(Scope::MessagesRead)))
        {
            Ok(()) => self.watch_all(levels).await,
            Err(problem) => (
                Vec::new(),
                resume.rooms.keys().map(|room| (*room, problem.clone())).collect(),
            ),
        };
        let ready = Outgoing::Ready {
            session: identity.session,
            account: identity.account,
            heartbeat_ms: self.limits.heartbeat_ms,
            max_frame: self.limits.max_frame_bytes,
            now: ambient::now().into(),
            heads: watched.iter().map(|(room, head)| (room.id, *head)).collect(),
            account_head: place.head(),
            deflate: self.peer.outbox.deflates(),
        };
        self.peer.outbox.push(&ready.frame());
        let mut gaps = Vec::with_capacity(watched.len());
        for (room, problem) in refused {
            if problem.kind == ProblemKind::Unavailable {
                self.peer.await_room(room);
                gaps.push(room);
            } else {
                self.refuse_resume(room, &problem);
            }
        }
        self.peer.chain.begin(resume.account, place, &self.peer.outbox);
        gaps.extend(watched.iter().map(|(room, _)| room.id));
        let from = |room| Some((room, *resume.rooms.get(&room)?));
        gaps.into_iter().filter_map(from).collect()
    }

    /// Says that a room cannot be resumed.
    pub(super) fn refuse_resume(&self, room: RoomId, problem: &Problem) {
        if matches!(problem.kind, ProblemKind::NotFound | ProblemKind::Forbidden) {
            let reset = Outgoing::Reset {
                room: Some(room),
                why: ResetReason::Access,
                head: None,
            };
            self.peer.outbox.push(&reset.frame());
        } else {
            self.peer.outbox.push(&Outgoing::error(None, problem));
        }
    }
}

pub(super) fn too_many_sockets() -> Problem {
    let detail = "this account has too many open sockets; close one";
    Problem::new(ProblemKind::TooMany, "connection.too_many", detail)
}

pub(super) fn too_many_rooms() -> Problem {
    let detail = "a socket cannot watch that many rooms";
    Problem::new(ProblemKind::TooMany, "room.too_many_watched", detail)
}

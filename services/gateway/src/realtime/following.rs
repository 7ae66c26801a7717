//! Rooms followed without a socket, by somebody who takes one thing after another: the same accesses, chains and
//! fills as on a socket. What is taken too slowly is left out there, and filled in here without being asked.

use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::Deserialize;
use tokio::time::Instant;
use veza_events::attachment::{AboutAttachment, AttachmentKind};
use veza_events::room::Mentions;
use veza_events::{AccountId, AttachmentId, CommandId, MessageId, RoomId, Timestamp};
use veza_platform::contract::{Problem, ProblemKind};

use super::Realtime;
use super::commands::{Session, too_many_rooms, too_many_sockets};
use super::frames::{CloseCode, Level, split_first};
use super::gaps::{Gap, Gaps};
use super::hub::Hub;
use super::outbox::{Outbox, OutboxLimits, Taken};
use super::resume;
use super::services::Identity;
use super::sockets::{Hears, SocketKey};

pub(crate) use super::frames::ResetReason;

/// Bytes that are taken at once, about.
const BATCH: usize = 64 * 1024;

/// The code of a fill for a room that is followed no more.
const NOT_WATCHED: &str = "room.not_watched";

/// What somebody who follows rooms is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// That nothing happened for a while.
    Nothing,
    /// Everything of a room up to here was told.
    Reached { room: RoomId, seq: u64 },
    /// Something happened.
    Event(Box<Happened>),
    /// What was missed cannot be told; without a head, the room is followed no more.
    Reset {
        room: RoomId,
        why: ResetReason,
        head: Option<u64>,
    },
}

/// An event of a room, as its frame says.
#[derive(Debug, Deserialize)]
pub(crate) struct Happened {
    pub(crate) room: RoomId,
    pub(crate) seq: u64,
    prev: Option<u64>,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) by: Option<AccountId>,
    pub(crate) at: Timestamp,
    pub(crate) command_id: Option<CommandId>,
    pub(crate) data: Content,
}

/// What it says, as far as its kind says anything.
#[derive(Debug, Deserialize)]
pub(crate) struct Content {
    pub(crate) message: Option<MessageId>,
    pub(crate) posted: Option<u64>,
    pub(crate) body: Option<String>,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) emoji: Option<String>,
    pub(crate) mentions: Option<Mentions>,
    pub(crate) shown_as: Option<String>,
    #[serde(default)]
    pub(crate) attachments: Vec<File>,
}

/// A file of a message.
#[derive(Debug, Deserialize)]
pub(crate) struct File {
    pub(crate) id: AttachmentId,
    pub(crate) kind: AttachmentKind,
    pub(crate) size: u64,
    #[serde(flatten)]
    pub(crate) about: Option<AboutAttachment>,
}

/// The frames that count here.
#[derive(Debug, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
enum Heard {
    Event(Box<Happened>),
    Fill {
        room: RoomId,
        to: u64,
        events: Vec<Happened>,
    },
    Lag {
        heads: BTreeMap<RoomId, u64>,
    },
    Reset {
        room: Option<RoomId>,
        why: ResetReason,
        head: Option<u64>,
    },
    Error {
        code: String,
        detail: String,
        retry_after_ms: Option<u64>,
    },
    #[serde(other)]
    Else,
}

/// Some rooms, followed until this is dropped.
pub(crate) struct Following {
    session: Arc<Session>,
    /// Up to where everything of each room was told.
    told: BTreeMap<RoomId, u64>,
    gaps: Gaps,
    filling: Option<BoxFuture<'static, Option<Gap>>>,
    /// Pieces of joined frames that were taken.
    pieces: VecDeque<Bytes>,
    /// Bytes that were read since some were last taken.
    read: usize,
    ready: VecDeque<Told>,
    _seat: Seat,
}

/// A place among the sockets.
struct Seat {
    hub: Arc<Hub>,
    key: SocketKey,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.sockets.leave(self.key, Instant::now());
    }
}

impl Realtime {
    /// Follows rooms, each behind what was seen of it, or from now on.
    ///
    /// # Errors
    /// `room.not_found` when one of them may not be read, `room.too_many_watched`, `connection.too_many`,
    /// `platform.unavailable`.
    pub(crate) async fn follow(
        &self,
        identity: Identity,
        rooms: BTreeMap<RoomId, Option<u64>>,
    ) -> Result<Following, Problem> {
        let (hub, limits) = (Arc::clone(&self.hub), Arc::clone(&self.limits));
        if self.is_draining() {
            return Err(over(CloseCode::Restarting));
        }
        let most = limits.max_watched_rooms;
        if rooms.len() > most {
            return Err(too_many_rooms());
        }
        let outbox = Arc::new(Outbox::new(OutboxLimits {
            lag_bytes: limits.lag_queue_bytes,
            max_bytes: limits.max_queue_bytes,
        }));
        let seat = Seat {
            key: hub.sockets.open(&outbox),
            hub: Arc::clone(&hub),
        };
        let peer = hub.sockets.enter(seat.key, identity, &outbox, Hears::Rooms);
        let peer = peer.ok_or_else(too_many_sockets)?;
        let session = Arc::new(Session { hub, peer, limits });
        let levels = rooms.keys().map(|room| (*room, Level::Full)).collect();
        let (watched, mut refused) = session.watch_all(levels).await;
        if let Some((_, problem)) = refused.pop() {
            return Err(problem);
        }
        let mut following = Following {
            told: BTreeMap::new(),
            gaps: Gaps::default(),
            filling: None,
            pieces: VecDeque::new(),
            read: 0,
            ready: VecDeque::new(),
            _seat: seat,
            session,
        };
        for (room, head) in watched {
            let seen = rooms.get(&room.id).copied().flatten();
            following.reach(room.id, seen.unwrap_or(head));
            match seen {
                Some(from) => drop(following.gaps.ask(room.id, from, most)),
                None => room.release(following.session.peer.key),
            }
        }
        Ok(following)
    }
}

impl Following {
    /// What is told next; `None` once no room is left.
    ///
    /// # Errors
    /// Why it is over: `session.ended`, `platform.unavailable`.
    pub(crate) async fn next(&mut self) -> Result<Option<Told>, Problem> {
        let patience = Duration::from_millis(self.session.limits.heartbeat_ms);
        loop {
            if let Some(told) = self.ready.pop_front() {
                return Ok(Some(told));
            }
            if self.told.is_empty() {
                return Ok(None);
            }
            match tokio::time::timeout(patience, poll_fn(|cx| self.poll_frame(cx))).await {
                Err(_) => return Ok(Some(Told::Nothing)),
                Ok(Ok(json)) => self.hear(&json)?,
                Ok(Err(code)) => return Err(over(code)),
            }
        }
    }

    /// The JSON of the next frame.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, CloseCode>> {
        self.fill(cx);
        loop {
            if let Some(joined) = self.pieces.front_mut() {
                let before = joined.len();
                let json = split_first(joined);
                self.read += before - joined.len();
                if json.is_none() {
                    self.read += joined.len();
                    self.pieces.pop_front();
                }
                match json {
                    Some(json) => return Poll::Ready(Ok(json)),
                    None => continue,
                }
            }
            let outbox = &self.session.peer.outbox;
            match outbox.take(std::mem::take(&mut self.read), &mut self.pieces, BATCH, cx) {
                Taken::Some => {}
                Taken::Nothing => return Poll::Pending,
                Taken::Close(code) => return Poll::Ready(Err(code)),
            }
        }
    }

    /// Goes on filling what is missing.
    fn fill(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(filling) = &mut self.filling {
                let Poll::Ready(left) = filling.as_mut().poll(cx) else {
                    return;
                };
                self.filling = None;
                self.gaps.tried(left);
            }
            let Some((gap, pause)) = self.gaps.next() else {
                return;
            };
            let session = Arc::clone(&self.session);
            self.filling = Some(Box::pin(async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                resume::fill(&session, gap).await
            }));
        }
    }

    fn hear(&mut self, json: &[u8]) -> Result<(), Problem> {
        let heard = serde_json::from_slice(json).map_err(|error| Problem::internal(&error))?;
        match heard {
            Heard::Event(event) => self.event(event),
            Heard::Fill { room, to, events } => {
                for event in events {
                    self.filled(event);
                }
                if self.told.get(&room).is_some_and(|told| *told < to) {
                    self.reach(room, to);
                }
            }
            Heard::Lag { heads } => heads.into_keys().for_each(|room| self.ask(room)),
            Heard::Reset {
                room: Some(room),
                why,
                head,
            } => {
                if let Some(head) = head {
                    self.told.insert(room, head);
                } else {
                    self.told.remove(&room);
                    self.gaps.drop_room(room);
                }
                self.ready.push_back(Told::Reset { room, why, head });
            }
            // It was lost while a gap of it waited, and is told of as that.
            Heard::Error { code, .. } if code == NOT_WATCHED => {}
            Heard::Error {
                code: _,
                detail,
                retry_after_ms,
            } => return Err(Problem::unavailable(&detail, retry_after_ms.unwrap_or(1_000))),
            Heard::Reset { room: None, .. } | Heard::Else => {}
        }
        Ok(())
    }

    /// What does not follow on what was told waits for the fill that brings it again.
    fn event(&mut self, event: Box<Happened>) {
        match self.told.get_mut(&event.room) {
            Some(told) if event.seq > *told && event.prev == Some(*told) => {
                *told = event.seq;
                self.ready.push_back(Told::Event(event));
            }
            Some(told) if event.seq > *told => self.ask(event.room),
            Some(_) | None => {}
        }
    }

    fn filled(&mut self, event: Happened) {
        if let Some(told) = self.told.get_mut(&event.room)
            && event.seq > *told
        {
            *told = event.seq;
            self.ready.push_back(Told::Event(Box::new(event)));
        }
    }

    fn ask(&mut self, room: RoomId) {
        if let Some(told) = self.told.get(&room) {
            self.gaps.ask(room, *told, self.session.limits.max_watched_rooms);
        }
    }

    fn reach(&mut self, room: RoomId, seq: u64) {
        self.told.insert(room, seq);
        self.ready.push_back(Told::Reached { room, seq });
    }
}

/// Why it cannot go on.
fn over(code: CloseCode) -> Problem {
    match code {
        CloseCode::Revoked => {
            let detail = "the session has ended; sign in again";
            Problem::new(ProblemKind::Unauthenticated, "session.ended", detail)
        }
        CloseCode::Restarting => {
            Problem::unavailable("this gateway restarts; subscribe again from where you are", 1_000)
        }
        CloseCode::Slow
        | CloseCode::Unauthenticated
        | CloseCode::Heartbeat
        | CloseCode::Protocol
        | CloseCode::Binary
        | CloseCode::NotUtf8
        | CloseCode::Flood
        | CloseCode::TooLarge
        | CloseCode::TooMany => Problem::unavailable(
            "more happens than you take; subscribe again from where you are",
            1_000,
        ),
    }
}

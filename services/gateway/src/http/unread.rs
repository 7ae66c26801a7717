//! `/v1/unread`, and how far one has read a room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use uuid::Uuid;
use veza_events::{AccountId, Permission, RoomId, SpaceId};
use veza_platform::contract::Problem;
use veza_platform::contract::ProblemKind;
use veza_readmodel::ReadTo;

use super::body::Json;
use super::fresh::Fresh;
use super::page::Items;
use super::problem::Failure;
use super::reply::Found;
use super::session::Session;
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on read markers.
pub(super) struct Unread(pub(super) Arc<Gateway>);

/// How far a room was read.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct Seen {
    /// The last event that was seen.
    seq: u64,
}

/// Where the marker is.
#[derive(Object)]
struct Marker {
    /// The last event that was read, as far as the room goes. A marker never moves back.
    seq: u64,
}

/// What is new in a room or thread.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct NewInRoom {
    /// The room, or thread.
    room: Uuid,
    /// The room that the thread hangs on; absent for a room.
    thread_of: Option<Uuid>,
    /// In which space.
    space: Uuid,
    /// Last event of its timeline.
    head: u64,
    /// How far the account has read; at least from when it joined the space.
    marker: u64,
    /// Messages of others behind the marker that are still there.
    unread: u64,
    /// Messages of others behind the marker that speak of one; no more than 1,000 each by name, by a role and by a
    /// word for all.
    mentions: u64,
}

#[OpenApi(tag = "Chapter::Rooms")]
impl Unread {
    /// Say how far one has read a room. It is written within two seconds, and the account's other devices hear of it.
    #[oai(path = "/v1/rooms/:room/read", method = "put", operation_id = "mark_read")]
    async fn mark(
        &self,
        session: Session,
        room: Path<Uuid>,
        Json(body): Json<Seen>,
    ) -> Result<Found<Marker>, Failure> {
        let seq = self
            .0
            .mark_read(session.account(), (*room).into(), body.seq)
            .await?;
        Ok(Found::new(Marker { seq }))
    }

    /// What is new in all rooms that one may see, and in the threads that one takes part in.
    ///
    /// A thread is among them when something in it is new to who wrote the message that it is about, answered in it or
    /// was called into it by name. One's own messages and those that were deleted do not count.
    #[oai(path = "/v1/unread", method = "get", operation_id = "list_unread")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
    ) -> Result<Found<Items<NewInRoom>>, Failure> {
        let account = session.account();
        let markers = self.0.reads.of(account).await?;
        let spaces = self.0.read.joined_at(account).await.map_err(of_read_model)?;
        let rooms = self.visible(account, &spaces).await?;
        let joined: BTreeMap<SpaceId, u64> = spaces.into_iter().collect();
        let read_to = |room: RoomId, space: SpaceId, since: u64| {
            let own = markers.get(&room).copied().unwrap_or(0);
            let joined = joined.get(&space).copied().unwrap_or(0);
            let marker = own.max(joined).max(since);
            ReadTo { room, space, marker }
        };
        let threads = self.0.read.threads_of(account).await.map_err(of_read_model)?;
        let threads: Vec<_> = threads
            .into_iter()
            .filter(|thread| rooms.contains(&(thread.space, thread.room)))
            .collect();
        let in_rooms: Vec<ReadTo> = rooms
            .iter()
            .map(|(space, room)| read_to(*room, *space, 0))
            .collect();
        let in_threads: Vec<ReadTo> = threads
            .iter()
            .map(|thread| read_to(thread.thread, thread.space, thread.since))
            .collect();
        let parents = threads
            .iter()
            .map(|thread| (thread.thread, thread.room))
            .collect();
        let mut items = self.counted(account, &in_rooms, &BTreeMap::new()).await?;
        items.extend(self.counted(account, &in_threads, &parents).await?);
        Ok(Found::new(Items::all(items, |item| item)))
    }
}

impl Unread {
    /// The rooms that an account may see in these spaces.
    async fn visible(
        &self,
        account: AccountId,
        spaces: &[(SpaceId, u64)],
    ) -> Result<BTreeSet<(SpaceId, RoomId)>, Failure> {
        let mut rooms = BTreeSet::new();
        for (space, _) in spaces {
            match self.0.access.joined(account, *space).await {
                Ok(access) => {
                    let visible = access.rooms.iter().filter(|(_, may)| may.has(Permission::View));
                    rooms.extend(visible.map(|(room, _)| (*space, *room)));
                }
                // It has left meanwhile.
                Err(problem) if problem.kind == ProblemKind::NotFound => {}
                Err(problem) => return Err(Problem::into(problem)),
            }
        }
        Ok(rooms)
    }

    /// What is new in these; of threads only those in which something is.
    async fn counted(
        &self,
        account: AccountId,
        rooms: &[ReadTo],
        threads: &BTreeMap<RoomId, RoomId>,
    ) -> Result<Vec<NewInRoom>, Failure> {
        if rooms.is_empty() {
            return Ok(Vec::new());
        }
        let places: BTreeMap<RoomId, &ReadTo> = rooms.iter().map(|read| (read.room, read)).collect();
        let counts = self.0.read.unread(account, rooms).await.map_err(of_read_model)?;
        let items = counts.into_iter().filter_map(|count| {
            let place = places.get(&count.room)?;
            let thread_of = threads.get(&count.room);
            (thread_of.is_none() || count.unread > 0).then(|| NewInRoom {
                room: count.room.uuid(),
                thread_of: thread_of.map(|room| room.uuid()),
                space: place.space.uuid(),
                head: count.head,
                marker: place.marker,
                unread: count.unread,
                mentions: count.mentions,
            })
        });
        Ok(items.collect())
    }
}

//! `/v1/unread`, and how far one has read a room.

use std::collections::BTreeMap;
use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use uuid::Uuid;
use veza_events::{Permission, RoomId, SpaceId};
use veza_platform::contract::Problem;
use veza_platform::contract::ProblemKind;

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
struct ReadTo {
    /// The last event that was seen.
    seq: u64,
}

/// Where the marker is.
#[derive(Object)]
struct Marker {
    /// The last event that was read, as far as the room goes. A marker never moves back.
    seq: u64,
}

/// What is new in a room.
#[derive(Object)]
struct NewInRoom {
    /// The room.
    room: Uuid,
    /// In which space.
    space: Uuid,
    /// Last event of its timeline.
    head: u64,
    /// How far the account has read; at least from when it joined the space.
    marker: u64,
    /// Messages behind the marker.
    unread: u64,
}

#[OpenApi(tag = "Chapter::Rooms")]
impl Unread {
    /// Say how far one has read a room. It is written within two seconds, and the account's other devices hear of it.
    #[oai(path = "/v1/rooms/:room/read", method = "put", operation_id = "mark_read")]
    async fn mark(
        &self,
        session: Session,
        room: Path<Uuid>,
        Json(body): Json<ReadTo>,
    ) -> Result<Found<Marker>, Failure> {
        let seq = self
            .0
            .mark_read(session.account(), (*room).into(), body.seq)
            .await?;
        Ok(Found::new(Marker { seq }))
    }

    /// What is new in all rooms that one may see.
    #[oai(path = "/v1/unread", method = "get", operation_id = "list_unread")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
    ) -> Result<Found<Items<NewInRoom>>, Failure> {
        let account = session.account();
        let mut markers = self.0.reads.of(account).await?;
        let spaces = self.0.read.joined_at(account).await.map_err(of_read_model)?;
        let mut rooms: BTreeMap<RoomId, (SpaceId, u64)> = BTreeMap::new();
        for (space, joined) in spaces {
            match self.0.access.joined(account, space).await {
                Ok(access) => {
                    let visible = access.rooms.iter().filter(|(_, may)| may.has(Permission::View));
                    for (room, _) in visible {
                        let marker = markers.remove(room).unwrap_or(0).max(joined);
                        rooms.insert(*room, (space, marker));
                    }
                }
                // It has left meanwhile.
                Err(problem) if problem.kind == ProblemKind::NotFound => {}
                Err(problem) => return Err(Problem::into(problem)),
            }
        }
        let asked: Vec<_> = rooms.iter().map(|(room, (_, marker))| (*room, *marker)).collect();
        let counts = self.0.read.unread(&asked).await.map_err(of_read_model)?;
        let items = counts.into_iter().filter_map(|count| {
            let (space, marker) = rooms.get(&count.room)?;
            Some(NewInRoom {
                room: count.room.uuid(),
                space: space.uuid(),
                head: count.head,
                marker: *marker,
                unread: count.messages.saturating_sub(count.read),
            })
        });
        Ok(Found::new(Items::all(items, |item| item)))
    }
}

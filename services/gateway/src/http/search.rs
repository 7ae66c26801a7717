//! `/v1/search`

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use poem_openapi::param::Query;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;
use veza_events::{AccountId, Permission, RoomId, SpaceId};
use veza_platform::contract::{Problem, ProblemKind};
use veza_readmodel::{Hit, List, SearchWords, SearchedRooms};

use super::fresh::Fresh;
use super::message_rows::{Format, Message, formatted_each, shown};
use super::page::{self, Items};
use super::problem::Failure;
use super::reply::Found;
use super::session::Session;
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Spaces whose access is asked for at once.
const ASKING: usize = 16;

/// Searching.
pub(super) struct Search(pub(super) Arc<Gateway>);

/// A message that was found.
#[derive(Object)]
struct FoundMessage {
    /// The message.
    message: Message,
    /// In which room.
    room: Uuid,
    /// In which space.
    space: Uuid,
    /// The part of its text around what was found; all of it when it is short.
    snippet: String,
    /// What in the snippet was found: pairs of where it begins and where it ends, in characters (Unicode scalar values).
    highlights: Vec<Vec<u32>>,
}

impl FoundMessage {
    fn shown(message: Message, hit: Hit) -> Self {
        let position = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let pair = |(begin, end)| vec![position(begin), position(end)];
        Self {
            room: hit.room.uuid(),
            space: hit.space.uuid(),
            message,
            snippet: hit.snippet.text,
            highlights: hit.snippet.marks.into_iter().map(pair).collect(),
        }
    }
}

#[OpenApi(tag = "Chapter::Rooms")]
impl Search {
    #[expect(clippy::too_many_arguments, reason = "one for each parameter of the address")]
    /// Find messages, newest first.
    ///
    /// Looks in every room that you may read, also in conversations between a few. `q` takes words in any form (English, French and ten more languages),
    /// `"phrases"`, `-without`, and filters: `from:ada`, `in:general`, `has:link`, `before:2026-01-31`,
    /// `after:2026-01-31`, `on:2026-01-31` (days in UTC).
    #[oai(path = "/v1/search", method = "get", operation_id = "search_messages")]
    async fn search(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        /// What to look for.
        q: Query<String>,
        /// Only in this space.
        space: Query<Option<Uuid>>,
        /// Only in this room.
        room: Query<Option<Uuid>>,
        cursor: Query<Option<String>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u16>>,
        /// In which form texts are wanted beside their Markdown.
        format: Query<Option<Format>>,
    ) -> Result<Found<Items<FoundMessage>>, Failure> {
        let words = SearchWords::parse(&q)
            .map_err(|error| Problem::new(ProblemKind::Malformed, "search.query", error.to_string()))?;
        let rooms = self.rooms(session.account(), *space, *room).await?;
        let page = page::part(cursor.0, limit.0);
        let hits = self
            .0
            .read
            .search(&words, &rooms, &page)
            .await
            .map_err(of_read_model)?;
        let rows = hits.items.iter().map(|hit| hit.message.clone()).collect();
        let mut messages = shown(&self.0, session.account(), rows).await?;
        let spaces: Vec<_> = hits.items.iter().map(|hit| hit.space).collect();
        formatted_each(&self.0, format.0, &spaces, &mut messages).await;
        let list = List {
            items: messages.into_iter().zip(hits.items).collect(),
            next: hits.next,
        };
        Ok(Found::new(Items::part(list, |(message, hit)| {
            FoundMessage::shown(message, hit)
        })))
    }
}

impl Search {
    /// The rooms to look in: those asked for, as far as the account may read them.
    async fn rooms(
        &self,
        account: AccountId,
        space: Option<Uuid>,
        room: Option<Uuid>,
    ) -> Result<SearchedRooms, Problem> {
        if let Some(room) = room.map(RoomId::from) {
            let place = self.0.rooms.place(room).await?;
            if space.is_some_and(|space| SpaceId::from(space) != place.space) {
                return Ok(SearchedRooms::default());
            }
            let access = &self.0.access;
            let hidden = access.hidden_in_room(account, place.space, place.gate).await?;
            return Ok(SearchedRooms {
                rooms: vec![room],
                hidden: (hidden > 0).then_some((room, hidden)).into_iter().collect(),
            });
        }
        let spaces = match space {
            Some(space) => vec![space.into()],
            None => self.spaces(account).await?,
        };
        let only = space.is_some();
        let accesses = futures::stream::iter(spaces).map(|space| async move {
            if only {
                self.0.access.joined(account, space).await
            } else {
                self.0.access.of(account, space).await
            }
        });
        let accesses: Vec<_> = accesses.buffer_unordered(ASKING).try_collect().await?;
        let mut found = SearchedRooms::default();
        for access in accesses {
            let readable = access
                .rooms
                .iter()
                .filter(|(_, allowed)| allowed.has(Permission::View));
            found.rooms.extend(readable.map(|(room, _)| *room));
            found.hidden.extend_from_slice(&access.hidden);
        }
        Ok(found)
    }

    /// Everything that the account is in, conversations between a few too.
    async fn spaces(&self, account: AccountId) -> Result<Vec<SpaceId>, Problem> {
        let joined = self.0.read.joined_at(account).await.map_err(of_read_model)?;
        Ok(joined.into_iter().map(|(space, _)| space).collect())
    }
}

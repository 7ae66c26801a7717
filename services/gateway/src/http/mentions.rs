//! `/v1/mentions`: where one is spoken of.

use std::sync::Arc;

use poem_openapi::param::Query;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;
use veza_events::AccountId;
use veza_platform::contract::{Problem, ProblemKind};
use veza_readmodel::{List, PageOf, rows};

use super::fresh::Fresh;
use super::message_rows::{Format, Message, formatted_each, shown};
use super::page::{self, Items};
use super::problem::Failure;
use super::reply::Found;
use super::session::Session;
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Parts of the list that are read for one answer, while what they have may not be read any more.
const MAX_PARTS: usize = 4;

/// The inbox of mentions.
pub(super) struct MentionsInbox(pub(super) Arc<Gateway>);

/// How a message speaks of one.
#[derive(Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum MentionedAs {
    /// By name.
    Account,
    /// As a holder of a role.
    Role,
    /// As one of those who are there just now.
    Here,
    /// As everybody in the room.
    Everyone,
}

/// A message that speaks of one.
#[derive(Object)]
struct Mention {
    /// How; the nearest if in several ways.
    mentioned_as: MentionedAs,
    /// In which space.
    space: Uuid,
    /// In which room, or thread.
    room: Uuid,
    /// The message.
    message: Message,
}

fn mentioned_as(kind: &str) -> MentionedAs {
    match kind {
        "role" => MentionedAs::Role,
        "here" => MentionedAs::Here,
        "everyone" => MentionedAs::Everyone,
        _ => MentionedAs::Account,
    }
}

#[OpenApi(tag = "Chapter::Rooms")]
impl MentionsInbox {
    /// Messages that speak of one, newest first, in all rooms that one may read now.
    ///
    /// By `@handle`, the `@name` of a role that one holds, `@room`, `@everyone` or `@here`. One's own messages and those
    /// of people whom one has blocked are not among them. A part may have fewer items than asked for; it is the
    /// last one when `next` is absent.
    #[oai(path = "/v1/mentions", method = "get", operation_id = "list_mentions")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        /// `next` of the part before.
        cursor: Query<Option<String>>,
        /// At most so many; 50 when absent.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<u16>>,
        /// In which form texts are wanted beside their Markdown.
        format: Query<Option<Format>>,
    ) -> Result<Found<Items<Mention>>, Failure> {
        let account = session.account();
        let List { items, next } = self.readable(account, page::part(cursor.0, limit.0)).await?;
        let about: Vec<_> = items
            .iter()
            .map(|one| (mentioned_as(&one.kind), one.placed.space, one.placed.room))
            .collect();
        let messages = items.into_iter().map(|one| one.placed.message).collect();
        let mut messages = shown(&self.0, account, messages).await?;
        let spaces: Vec<_> = about.iter().map(|(_, space, _)| *space).collect();
        formatted_each(&self.0, format.0, &spaces, &mut messages).await;
        let items = messages.into_iter().zip(about).collect();
        Ok(Found::new(Items::part(
            List { items, next },
            |(message, (mentioned_as, space, room))| Mention {
                mentioned_as,
                space: space.uuid(),
                room: room.uuid(),
                message,
            },
        )))
    }
}

impl MentionsInbox {
    /// A part of the list without what the account may not read.
    async fn readable(&self, account: AccountId, mut page: PageOf) -> Result<List<rows::Mentioned>, Failure> {
        let mut items = Vec::new();
        for _ in 0..MAX_PARTS {
            let part = self
                .0
                .read
                .mentions(account, &page)
                .await
                .map_err(of_read_model)?;
            for mentioned in part.items {
                let place = &mentioned.placed;
                let hidden = self
                    .0
                    .access
                    .hidden_in_room(account, place.space, place.gate)
                    .await;
                match hidden {
                    Ok(hidden) if place.message.seq > hidden => items.push(mentioned),
                    Ok(_) => {}
                    Err(problem) if problem.kind == ProblemKind::NotFound => {}
                    Err(problem) => return Err(Problem::into(problem)),
                }
            }
            page.cursor = part.next;
            if page.cursor.is_none() || !items.is_empty() {
                break;
            }
        }
        Ok(List {
            items,
            next: page.cursor,
        })
    }
}

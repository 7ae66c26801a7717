//! Reading a timeline: from the cache if it has it, else from Postgres, and then into the cache.

use veza_events::{AccountId, MessageId, RoomId, SpaceId};

use crate::ReadError;
use crate::cache::{CachedName, CachedTimeline, Place};
use crate::read_model::Inner;
use crate::rows::{Message, Range, Timeline};
use crate::{attachments, queries};

/// Stream of the accounts and of their names.
const ACCOUNTS: &str = "ACCOUNTS";

pub(crate) async fn read(
    inner: &Inner,
    space: SpaceId,
    room: RoomId,
    range: Range,
    limit: usize,
    at_least: u64,
) -> Result<Timeline, ReadError> {
    let mut timeline = read_messages(inner, space, room, range, limit, at_least).await?;
    add_files(inner, &mut timeline.messages).await?;
    Ok(timeline)
}

/// The files of those messages that have some. They never change, so it does not matter that they are read
/// a moment later.
pub(crate) async fn add_files(inner: &Inner, messages: &mut [Message]) -> Result<(), ReadError> {
    let with_files = messages.iter().filter(|message| message.files > 0);
    let ids: Vec<MessageId> = with_files.map(|message| message.id).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let found = inner
        .postgres
        .ask(async |db| attachments::of_messages(&db, &ids).await)
        .await?;
    for placed in found {
        if let Some(message) = messages.iter_mut().find(|message| message.id == placed.message) {
            message.attachments.push(placed.attachment);
        }
    }
    Ok(())
}

async fn read_messages(
    inner: &Inner,
    space: SpaceId,
    room: RoomId,
    range: Range,
    limit: usize,
    at_least: u64,
) -> Result<Timeline, ReadError> {
    let stream = format!("SPACES_{}", inner.shards.of(space));
    let place = match &inner.cache {
        Some(cache) => match cache.timeline(&stream, room, range, limit, at_least).await {
            CachedTimeline::Hit {
                mut messages,
                more,
                head,
                as_of,
            } => {
                name_authors(inner, &mut messages).await?;
                return Ok(Timeline {
                    messages,
                    more,
                    head,
                    as_of,
                });
            }
            CachedTimeline::Miss(place) => place,
        },
        None => None,
    };
    match (&inner.cache, place, range) {
        (Some(cache), Some(place), Range::Latest) => {
            let wanted = cache.warm_messages().max(limit + 1);
            let stretch = ask(inner, &stream, space, room, range, wanted).await?;
            let newest = &stretch.messages[stretch.messages.len().saturating_sub(cache.warm_messages())..];
            if stretch.head > 0 {
                cache
                    .warm(&stream, &place, room, stretch.as_of, stretch.head, newest)
                    .await;
            }
            Ok(stretch.cut(range, limit))
        }
        _ => Ok(ask(inner, &stream, space, room, range, limit + 1)
            .await?
            .cut(range, limit)),
    }
}

async fn ask(
    inner: &Inner,
    stream: &str,
    space: SpaceId,
    room: RoomId,
    range: Range,
    limit: usize,
) -> Result<queries::Stretch, ReadError> {
    inner
        .postgres
        .ask(async |db| queries::timeline(&db, stream, space, room, range, limit).await)
        .await
}

impl queries::Stretch {
    /// The part that was asked for, of one that may be longer.
    fn cut(self, range: Range, limit: usize) -> Timeline {
        let Self {
            mut messages,
            head,
            as_of,
        } = self;
        let more = messages.len() > limit;
        match range {
            Range::After(_) => messages.truncate(limit),
            Range::Latest | Range::Before(_) => drop(messages.drain(..messages.len().saturating_sub(limit))),
        }
        Timeline {
            messages,
            more,
            head,
            as_of,
        }
    }
}

impl Timeline {
    /// What of it lies behind `hidden`, at most `limit` messages: nobody sees that there is more. To be read with
    /// [`Range::behind`] and [`with_one_more`].
    #[must_use]
    pub fn behind(mut self, hidden: u64, range: Range, limit: u16) -> Self {
        if hidden == 0 {
            return self;
        }
        let (read, limit) = (self.messages.len(), usize::from(limit));
        self.messages.retain(|message| message.seq > hidden);
        let shown = self.messages.len();
        self.more = shown > limit || (self.more && shown == read);
        match range {
            Range::After(_) => self.messages.truncate(limit),
            Range::Latest | Range::Before(_) => drop(self.messages.drain(..shown.saturating_sub(limit))),
        }
        self
    }
}

/// How many messages to read where some are hidden: one more tells whether there are more to be shown.
#[must_use]
pub fn with_one_more(limit: u16, hidden: u64) -> u16 {
    limit.saturating_add(u16::from(hidden > 0))
}

impl Range {
    /// The part of it that lies behind `hidden`.
    #[must_use]
    pub fn behind(self, hidden: u64) -> Self {
        match self {
            Self::After(seq) => Self::After(seq.max(hidden)),
            Self::Latest | Self::Before(_) => self,
        }
    }
}

/// Puts the present names of their authors into messages from the cache.
async fn name_authors(inner: &Inner, messages: &mut [Message]) -> Result<(), ReadError> {
    let mut authors: Vec<AccountId> = messages.iter().map(|message| message.author).collect();
    authors.sort_unstable();
    authors.dedup();
    let Some(cache) = inner.cache.as_ref().filter(|_| !authors.is_empty()) else {
        return Ok(());
    };
    let (mut names, place) = cache.names(ACCOUNTS, &authors).await;
    let missing: Vec<AccountId> = authors
        .iter()
        .zip(&names)
        .filter(|(_, name)| name.is_none())
        .map(|(author, _)| *author)
        .collect();
    if !missing.is_empty() {
        let found = look_up(inner, place.as_ref(), &missing).await?;
        names.extend(found.into_iter().map(Some));
    }
    let names: Vec<CachedName> = names.into_iter().flatten().collect();
    for message in messages {
        if let Some(name) = names.iter().find(|name| name.account == message.author) {
            message.author_handle.clone_from(&name.handle);
            message.author_display_name.clone_from(&name.display_name);
            message.author_bot = name.bot;
        }
    }
    Ok(())
}

async fn look_up(
    inner: &Inner,
    place: Option<&Place>,
    accounts: &[AccountId],
) -> Result<Vec<CachedName>, ReadError> {
    let (position, found) = inner
        .postgres
        .ask(async |db| queries::names(&db, ACCOUNTS, accounts).await)
        .await?;
    if let (Some(cache), Some(place)) = (&inner.cache, place)
        && !found.is_empty()
    {
        cache.warm_names(ACCOUNTS, place, position, &found).await;
    }
    Ok(found)
}

//! Messages as the API shows them.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use poem_openapi::{Enum, Object};
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::{AccountId, MessageId, SpaceId, room};
use veza_readmodel::{Named, rows};

use super::files::{self, File};
use super::problem::Failure;
use crate::markdown::{self, Meant, Target};
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Spaces in which names are looked up at once.
const LOOKING: usize = 8;

/// A message, with its author as it is now.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct Message {
    /// The message.
    id: Uuid,
    /// Where it stands in the timeline.
    seq: u64,
    /// Who wrote it.
    author: Uuid,
    /// The author's handle; absent for an erased account.
    author_handle: Option<String>,
    /// The author's shown name, or the one that a webhook went by this once; absent for an erased account.
    author_display_name: Option<String>,
    /// Whether a program acts for the author.
    author_bot: bool,
    /// What it says; absent once the message is deleted or the author's account is erased.
    body: Option<String>,
    /// The same as HTML that can be put into a page as it is; only when it was asked for by `format=html`.
    html: Option<String>,
    /// Which message it answers.
    reply_to: Option<Uuid>,
    /// When it was posted.
    posted_at: OffsetDateTime,
    /// When it got its present text; absent while that is the first one.
    edited_at: Option<OffsetDateTime>,
    /// When it was deleted; then nothing else of it is left.
    deleted_at: Option<OffsetDateTime>,
    /// Whether it is pinned in its room.
    pinned: bool,
    /// Of whom and what it speaks; absent if of nobody and nothing.
    mentions: Option<Mentions>,
    /// Reactions, in the order in which each first came.
    reactions: Vec<Reaction>,
    /// The thread about it.
    thread: Option<Thread>,
    /// Files that came with it.
    attachments: Option<Vec<File>>,
    /// How it was first said, if that was elsewhere; `author` then is who brought it.
    imported: Option<Imported>,
}

/// Where messages were first said.
#[derive(Enum)]
#[oai(rename_all = "snake_case", remote = "room::ImportSource")]
enum ImportSource {
    /// Mattermost.
    Mattermost,
    /// Slack.
    Slack,
}

/// How a message was first said, elsewhere.
#[derive(Object)]
struct Imported {
    /// Where.
    source: ImportSource,
    /// What its author was called there.
    author: String,
    /// When.
    at: OffsetDateTime,
    /// How it was reacted to there.
    reactions: Vec<ImportedReaction>,
}

/// How often a message was reacted to by one emoji.
#[derive(Object)]
struct ImportedReaction {
    /// What the emoji was called there.
    emoji: String,
    /// How often.
    count: u64,
}

impl From<room::Imported> for Imported {
    fn from(imported: room::Imported) -> Self {
        let reaction = |reaction: room::ImportedReaction| ImportedReaction {
            emoji: reaction.emoji,
            count: reaction.count,
        };
        Self {
            source: imported.source.into(),
            author: imported.author,
            at: imported.at.time(),
            reactions: imported.reactions.into_iter().map(reaction).collect(),
        }
    }
}

/// Of whom and what a message speaks.
#[derive(Object)]
struct Mentions {
    /// People.
    accounts: Vec<Uuid>,
    /// Roles.
    roles: Vec<Uuid>,
    /// Rooms.
    rooms: Vec<Uuid>,
    /// Everybody who may read the room.
    everyone: bool,
    /// Everybody who is there just now.
    here: bool,
}

/// All reactions of one kind to a message.
#[derive(Object)]
struct Reaction {
    /// One emoji, or the `:name:` of a custom one.
    emoji: String,
    /// How many.
    count: u64,
    /// Whether the caller is among them.
    own: bool,
}

/// The thread about a message.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Thread {
    /// Its timeline: to be read, watched and written to as any room.
    room: Uuid,
    /// Messages in it.
    replies: u64,
    /// When the newest was posted.
    last_reply_at: Option<OffsetDateTime>,
}

impl From<room::Mentions> for Mentions {
    fn from(mentions: room::Mentions) -> Self {
        Self {
            accounts: mentions.accounts.into_iter().map(AccountId::uuid).collect(),
            roles: mentions
                .roles
                .into_iter()
                .map(veza_events::RoleId::uuid)
                .collect(),
            rooms: mentions
                .rooms
                .into_iter()
                .map(veza_events::RoomId::uuid)
                .collect(),
            everyone: mentions.everyone,
            here: mentions.here,
        }
    }
}

impl From<rows::ThreadSummary> for Thread {
    fn from(thread: rows::ThreadSummary) -> Self {
        Self {
            room: thread.room.uuid(),
            replies: thread.replies,
            last_reply_at: thread.last_reply_at.map(veza_events::Timestamp::time),
        }
    }
}

/// Messages as `account` sees them.
///
/// # Errors
/// `platform.unavailable`.
pub(super) async fn shown(
    gateway: &Gateway,
    account: AccountId,
    messages: Vec<rows::Message>,
) -> Result<Vec<Message>, Failure> {
    let own = gateway.read.own_reactions(account, &messages).await;
    let own = own.map_err(of_read_model)?;
    let is_own = |message: MessageId, reaction: &rows::Reaction| {
        let listed = || {
            own.iter()
                .any(|(id, emoji)| *id == message && *emoji == reaction.emoji)
        };
        reaction.has(account).unwrap_or_else(listed)
    };
    Ok(messages
        .into_iter()
        .map(|row| Message::shown(row, is_own))
        .collect())
}

impl Message {
    fn shown(row: rows::Message, is_own: impl Fn(MessageId, &rows::Reaction) -> bool) -> Self {
        let reaction = |reaction: rows::Reaction| Reaction {
            own: is_own(row.id, &reaction),
            emoji: reaction.emoji,
            count: reaction.count,
        };
        let author_name = row.author_name().map(str::to_owned);
        Self {
            id: row.id.uuid(),
            seq: row.seq,
            author: row.author.uuid(),
            author_handle: row.author_handle,
            author_display_name: author_name,
            author_bot: row.author_bot,
            body: row.body,
            html: None,
            reply_to: row.reply_to.map(MessageId::uuid),
            posted_at: row.posted_at.time(),
            edited_at: row.edited_at.map(veza_events::Timestamp::time),
            deleted_at: row.deleted_at.map(veza_events::Timestamp::time),
            pinned: row.pinned,
            mentions: Some(row.mentions)
                .filter(|mentions| !mentions.is_empty())
                .map(Mentions::from),
            reactions: row.reactions.into_iter().map(reaction).collect(),
            thread: row.thread.map(Thread::from),
            imported: row.imported.map(Imported::from),
            attachments: files::some(row.attachments.into_iter().map(File::from).collect()),
        }
    }

    /// What its text means to whom, as far as it speaks of anybody.
    fn meant(&self, named: &[Named]) -> Meant {
        let mut meant = Meant::default();
        let Some(mentions) = &self.mentions else {
            return meant;
        };
        for one in named {
            let target = match one {
                Named::Account { account, .. } if mentions.accounts.contains(&account.uuid()) => {
                    Target::Account(account.uuid())
                }
                Named::Role { role, .. } if mentions.roles.contains(&role.uuid()) => {
                    Target::Role(role.uuid())
                }
                Named::Room { room, .. } if mentions.rooms.contains(&room.uuid()) => {
                    Target::Room(room.uuid())
                }
                Named::Account { .. } | Named::Role { .. } | Named::Room { .. } => continue,
            };
            meant.add(one.mark(), one.name(), target);
        }
        let all = [
            ("everyone", mentions.everyone, Target::Everyone),
            ("room", mentions.everyone, Target::Everyone),
            ("here", mentions.here, Target::Here),
        ];
        for (name, _, target) in all.into_iter().filter(|(_, spoken, _)| *spoken) {
            meant.add('@', name, target);
        }
        meant
    }
}

/// In which form texts are wanted beside the one in which they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
pub(super) enum Format {
    /// HTML of a closed set of tags, in `html`.
    Html,
}

/// Adds the form that is wanted to messages of one space.
pub(super) async fn formatted(
    gateway: &Gateway,
    space: SpaceId,
    format: Option<Format>,
    messages: &mut [Message],
) {
    formatted_each(gateway, format, &vec![space; messages.len()], messages).await;
}

/// The same, where each message is of the space at its place.
pub(super) async fn formatted_each(
    gateway: &Gateway,
    format: Option<Format>,
    spaces: &[SpaceId],
    messages: &mut [Message],
) {
    if format != Some(Format::Html) {
        return;
    }
    let all: BTreeSet<SpaceId> = spaces.iter().copied().collect();
    let shown = &*messages;
    let named = futures::stream::iter(all).map(|space| async move {
        let of_space = shown.iter().zip(spaces).filter(|(_, of)| **of == space);
        let speaking = of_space.filter(|(message, _)| message.mentions.is_some());
        let texts = speaking.filter_map(|(message, _)| message.body.as_deref());
        (space, gateway.names.of_texts(space, texts).await)
    });
    let named: BTreeMap<SpaceId, Vec<Named>> = named.buffer_unordered(LOOKING).collect().await;
    for (message, space) in messages.iter_mut().zip(spaces) {
        let meant = message.meant(named.get(space).map_or(&[], Vec::as_slice));
        message.html = message.body.as_deref().map(|body| markdown::html(body, &meant));
    }
}

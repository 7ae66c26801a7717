//! Recent timelines and names in Redis.
//!
//! Everything of a stream lies under a *generation*, named by a pointer that the projector holds in force
//! by a short lease. A projector that dies, or is cut off from Redis or Postgres, lets the lease lapse, and
//! readers go to Postgres by themselves. A new projector, a rebuild and any failed write begin a new
//! generation, so that nothing old is ever mistaken for new.
//!
//! | key | what |
//! |---|---|
//! | `c:{<stream>}:g` | the generation in force; 5 s lease |
//! | `…:<generation>:p` | position up to which changes have been applied |
//! | `…:<generation>:h:<room>` | sequence of the last event of a timeline |
//! | `…:<generation>:t:<room>` | its newest messages by sequence, and a mark below them that says from which sequence on none is missing |
//! | `…:<generation>:x:<room>` | sequence of the last event that changed a row, in whatever timeline |
//! | `…:<generation>:a:<account>` | names of an account |
//! | `c:{scraps}:all`, `c:{scraps}:s:<name>` | what doors looked up elsewhere, in no generation |
//!
//! A timeline enters the cache when somebody reads it, and follows its room from then on. The braces keep
//! a stream's keys on one node of a Redis cluster.

mod link;
mod reader;
mod scraps;
mod tls;
mod writer;

pub(crate) use reader::{CacheReader, CachedTimeline, Place};
pub use writer::{CacheChanges, CacheError, CacheWriter, RoomChange};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::{
    AccountId, MessageId, Timestamp,
    room::{Imported, Mentions},
};

use crate::rows::{Message, Reaction, ThreadSummary};

/// A message as it lies in the cache; names are looked up when it is read, since they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedMessage {
    /// The message.
    #[serde(rename = "m")]
    pub message: Uuid,
    /// Its sequence.
    #[serde(rename = "s")]
    pub seq: u64,
    /// Its author.
    #[serde(rename = "a")]
    pub author: Uuid,
    /// Its text.
    #[serde(rename = "b")]
    pub body: Option<String>,
    /// What it answers.
    #[serde(rename = "r", default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Uuid>,
    /// When it was posted.
    #[serde(rename = "t", with = "time::serde::rfc3339")]
    pub posted_at: OffsetDateTime,
    /// How many files came with it.
    #[serde(rename = "f", default, skip_serializing_if = "is_zero")]
    pub files: u16,
    /// How it was first said, if that was elsewhere.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// The name that its author went by this once.
    #[serde(rename = "w", default, skip_serializing_if = "Option::is_none")]
    pub shown_as: Option<String>,
    /// What became of it; most messages stay as they are.
    #[serde(flatten, default)]
    pub fate: Fate,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks like that")]
fn is_zero(count: &u16) -> bool {
    *count == 0
}

/// What became of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// Of whom and what it speaks.
    #[serde(rename = "n", default, skip_serializing_if = "Mentions::is_empty")]
    pub mentions: Mentions,
    /// When it got its present text.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub edited_at: Option<Timestamp>,
    /// When it was taken back.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<Timestamp>,
    /// Whether it is pinned.
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Reactions to it.
    #[serde(rename = "x", default, skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
    /// The thread about it.
    #[serde(rename = "h", default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<ThreadSummary>,
}

impl From<CachedMessage> for Message {
    fn from(cached: CachedMessage) -> Self {
        Self {
            id: cached.message.into(),
            seq: cached.seq,
            author: cached.author.into(),
            author_handle: None,
            author_display_name: None,
            author_bot: false,
            body: cached.body,
            reply_to: cached.reply_to.map(MessageId::new),
            posted_at: cached.posted_at.into(),
            files: cached.files,
            attachments: Vec::new(),
            mentions: cached.fate.mentions,
            imported: cached.imported,
            shown_as: cached.shown_as,
            edited_at: cached.fate.edited_at,
            deleted_at: cached.fate.deleted_at,
            pinned: cached.fate.pinned,
            reactions: cached.fate.reactions,
            thread: cached.fate.thread,
        }
    }
}

impl From<&Message> for CachedMessage {
    fn from(message: &Message) -> Self {
        Self {
            message: message.id.uuid(),
            seq: message.seq,
            author: message.author.uuid(),
            body: message.body.clone(),
            reply_to: message.reply_to.map(MessageId::uuid),
            posted_at: message.posted_at.time(),
            files: message.files,
            imported: message.imported.clone(),
            shown_as: message.shown_as.clone(),
            fate: Fate {
                mentions: message.mentions.clone(),
                edited_at: message.edited_at,
                deleted_at: message.deleted_at,
                pinned: message.pinned,
                reactions: message.reactions.clone(),
                thread: message.thread,
            },
        }
    }
}

/// Names of an account as they lie in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CachedName {
    #[serde(rename = "a")]
    pub(crate) account: AccountId,
    #[serde(rename = "h")]
    pub(crate) handle: Option<String>,
    #[serde(rename = "d")]
    pub(crate) display_name: Option<String>,
    #[serde(rename = "b", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) bot: bool,
    #[serde(rename = "s")]
    pub(crate) seq: u64,
}

/// What all keys of a stream begin with.
fn prefix(stream: &str) -> String {
    format!("c:{{{stream}}}:")
}

/// The pointer to the generation in force.
fn pointer(stream: &str) -> String {
    format!("c:{{{stream}}}:g")
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

//! What is found in an export, whoever made it.

use time::OffsetDateTime;

/// Something that was found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found {
    /// A place where things were said; it comes before them.
    Channel(Channel),
    /// Something that was said.
    Message(Message),
    /// Something that is not taken, and why.
    Skipped(&'static str),
}

/// A place where things were said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Channel {
    /// What the export knows it by.
    pub(crate) key: String,
    /// What people know it by.
    pub(crate) name: String,
    /// Whether not everybody could see it.
    pub(crate) private: bool,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Message {
    /// The same in every export of the same place.
    pub(crate) key: String,
    /// Where.
    pub(crate) channel: String,
    /// By whom.
    pub(crate) author: String,
    /// When.
    pub(crate) at: OffsetDateTime,
    /// What, as Markdown.
    pub(crate) body: String,
    /// The key of what it answers.
    pub(crate) reply_to: Option<String>,
    /// Where its files are in the export.
    pub(crate) files: Vec<String>,
    /// How often it was reacted to how.
    pub(crate) reactions: Vec<(String, u64)>,
}

/// Milliseconds since 1970 as a time.
pub(crate) fn milliseconds(since: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(since) * 1_000_000).ok()
}

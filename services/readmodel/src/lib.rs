//! What the projector writes and the gateway reads: tables, queries, caches, notices.
//!
//! Rows are plain data; nobody decides anything on them. Everything here can be dropped and built again
//! from the log. Tables and caches are written by the projector alone; readers only put into a cache what
//! they found in a table.

mod attachments;
mod audience;
mod audit;
mod bots;
mod breaker;
mod choices;
mod convert;
mod directs;
mod error;
mod held;
mod integrations;
mod mentions;
mod metrics;
mod options;
mod positions;
mod postgres;
mod purge;
mod queries;
mod read_model;
mod search;
mod timelines;
mod unread;

pub mod cache;
pub mod entity;
pub mod messages;
pub mod notice;
mod reports;
pub mod rows;
mod scheduled;

pub use audit::AuditFilter;
pub use choices::{Choice, Choices, Language, MailLevel, QuietHours, Ways, is_zone, next_at};
pub use error::ReadError;
pub use mentions::{EverNamed, NameQuery, Named};
pub use metrics::ReadMetrics;
pub use options::{CacheOptions, PostgresOptions, ReadOptions};
pub use read_model::ReadModel;
pub use rows::{List, PageOf, Range, Timeline};
pub use search::{FILTERS, Has, Hit, MAX_CHARS, SearchWords, SearchedRooms, Snippet, WordsError};
pub use timelines::with_one_more;
pub use unread::{MESSAGES_PER_MARK, ReadTo, RoomCount, ThreadOfOne};

/// Name under which the projector keeps its positions.
pub const PROJECTION: &str = "read";

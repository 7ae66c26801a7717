//! What the projector writes and the gateway reads: tables, queries, caches, notices.
//!
//! Rows are plain data; nobody decides anything on them. Everything here can be dropped and built again
//! from the log. Tables are written by the projector alone.

mod error;
mod metrics;
mod options;
mod read_model;

pub mod notice;
pub mod rows;

pub use error::ReadError;
pub use metrics::ReadMetrics;
pub use options::{CacheOptions, PostgresOptions, ReadOptions};
pub use read_model::ReadModel;
pub use rows::{List, PageOf, Range, Timeline};

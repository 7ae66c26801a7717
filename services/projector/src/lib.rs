//! Builds the read models and caches from the log: in batches, each with its position in one transaction.
//!
//! No side effect belongs here that must happen once: what is built can be dropped and built again. Notices
//! are hints to those who could also look.

mod after;
mod audience;
mod batch;
pub mod exports;
pub mod imports;
mod janitor;
mod language;
mod metrics;
mod notices;
mod postgres;
mod role;
mod stream;
mod tables;
mod transaction;

pub mod projection;
pub mod workload;

pub use metrics::ProjectorMetrics;
pub use role::{cache_options, run};

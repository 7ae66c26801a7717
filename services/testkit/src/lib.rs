//! What tests need to meet the real thing: servers that start in a moment and leave nothing behind.
//!
//! A dev-dependency only. Whatever cannot be had panics with the reason: a test could not go on anyway.

mod certificates;
mod folder;
mod frames;
mod servers;
mod web;

pub use certificates::TestCertificates;
pub use folder::TestFolder;
pub use frames::Frames;
pub use servers::{
    OnFolder, Servers, TestCluster, TestNats, TestPostgres, TestRedis, TestS3, fresh_database, servers,
};
pub use veza_servers;
pub use web::{Met, Web};

pub mod history;
pub mod otlp;
pub mod push;

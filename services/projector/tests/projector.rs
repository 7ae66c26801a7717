//! The projector against real servers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it was")]

#[path = "projector/applying.rs"]
mod applying;
#[path = "projector/caches.rs"]
mod caches;
#[path = "projector/faults.rs"]
mod faults;
#[path = "projector/files.rs"]
mod files;
#[path = "projector/messages.rs"]
mod messages;
#[path = "projector/rebuilding.rs"]
mod rebuilding;
#[path = "projector/site.rs"]
mod site;
#[path = "projector/speed.rs"]
mod speed;
#[path = "projector/structure.rs"]
mod structure;
#[path = "projector/unread.rs"]
mod unread;

//! Chat workers with real servers: what people may do, what is stored, what races and outages do to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod files;
mod following;
mod interleaving;
mod messages;
mod moderating;
mod outage;
mod people;
mod racing;
mod repeating;
mod scheduling;
mod seeing;
mod site;

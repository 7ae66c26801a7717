//! The accounts role as gateways meet it: over the bus, on a real NATS and a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod administrator;
mod log;
mod names;
mod outage;
mod passwords;
mod refreshing;
mod sessions;
mod site;

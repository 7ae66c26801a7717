//! The WebSocket over real TCP, on a real log. Only workers, keys and tickets are stand-ins.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::disallowed_methods, reason = "a test has no role to spawn on")]

#[path = "realtime/access.rs"]
mod access;
#[path = "realtime/account.rs"]
mod account;
#[path = "realtime/changing.rs"]
mod changing;
#[path = "realtime/client.rs"]
mod client;
#[path = "realtime/closing.rs"]
mod closing;
#[path = "realtime/compressed.rs"]
mod compressed;
#[path = "realtime/contract.rs"]
mod contract;
#[path = "realtime/following.rs"]
mod following;
#[path = "realtime/outage.rs"]
mod outage;
#[path = "realtime/people.rs"]
mod people;
#[path = "realtime/reconnects.rs"]
mod reconnects;
#[path = "realtime/refusals.rs"]
mod refusals;
#[path = "realtime/stage.rs"]
mod stage;
#[path = "realtime/world.rs"]
mod world;

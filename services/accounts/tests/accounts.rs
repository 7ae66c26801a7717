//! The accounts role as gateways meet it: over the bus, on a real NATS and a real Postgres.

#[path = "accounts/administrator.rs"]
mod administrator;
#[path = "accounts/log.rs"]
mod log;
#[path = "accounts/names.rs"]
mod names;
#[path = "accounts/outage.rs"]
mod outage;
#[path = "accounts/passwords.rs"]
mod passwords;
#[path = "accounts/refreshing.rs"]
mod refreshing;
#[path = "accounts/sessions.rs"]
mod sessions;
#[path = "accounts/site.rs"]
mod site;

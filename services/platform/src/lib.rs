//! What every role needs to reach the outside: the event log, the command bus, keys, settings,
//! telemetry and an orderly life. No decision of the domain and no table of a read model belongs here.

pub mod ambient;
pub mod blobs;
pub mod bot_secret;
pub mod bus;
pub mod config;
pub mod contract;
pub mod due;
pub mod event_log;
pub mod exports;
pub mod health;
pub mod invite_code;
pub mod keyring;
pub mod kv;
pub mod ledger;
pub mod lifecycle;
pub mod links;
pub mod nats;
pub mod notices;
pub mod outgoing;
pub mod postgres;
pub mod push;
pub mod runtime;
pub mod seldom;
pub mod telemetry;
pub mod tokens;
pub mod uploads;
pub mod webhook_code;

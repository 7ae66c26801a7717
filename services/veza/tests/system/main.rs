//! The whole platform, role by role as separate processes on real servers, judged from outside.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

mod api_schema;
mod authority;
mod bots;
mod browsers;
mod calls;
mod chaos;
mod conversation;
mod digests;
mod directs;
mod drafts;
mod example;
mod export;
mod exports;
mod failures;
mod files;
mod grpc;
mod held;
mod history;
mod import;
mod integrations;
mod log;
mod mail;
mod mentions;
mod messages;
mod moderation;
mod moderators;
mod peace;
mod platform;
mod previews;
mod push;
mod scheduled;
mod search;
mod seen;
mod streams;
mod structure;
mod subscribe;
mod tracing;
mod unread;
mod up;

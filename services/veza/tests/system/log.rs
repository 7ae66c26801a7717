//! The log of a test's platform, read with its own keys.

use std::time::Duration;

use uuid::Uuid;
use veza_events::{Event, Shards, Subject, room::RoomEvent};
use veza_platform::{
    config::Config,
    event_log::{EventLog, LogOptions},
    keyring::Keyring,
    ledger::{Ledger, Recorded},
    lifecycle::Lifecycle,
};
use veza_testkit::history::Entry;

use crate::platform::Platform;

/// Every message of a room as the log has it.
pub(crate) async fn messages(platform: &Platform, room: Uuid) -> Vec<Entry> {
    let subject = Subject::Room(Shards::new(1).count() - 1, room.into());
    let events = events(platform, &subject).await;
    let entries = events.into_iter().filter_map(|recorded| {
        let Event::Room(RoomEvent::MessagePosted(posted)) = recorded.event else {
            return None;
        };
        Some(Entry {
            seq: recorded.position.seq,
            room,
            message: posted.message.uuid(),
            command: recorded.envelope.cause.unwrap().uuid(),
            body: posted.body.into_clear().unwrap(),
        })
    });
    entries.collect()
}

/// What happened in the calls of a room, without who and when.
pub(crate) async fn calls(platform: &Platform, room: Uuid) -> Vec<String> {
    let subject = Subject::Call(Shards::new(1).count() - 1, room.into());
    let events = events(platform, &subject).await;
    let kinds = events.iter().map(|recorded| recorded.event.kind());
    kinds
        .map(|kind| {
            kind.trim_start_matches("call.")
                .trim_end_matches(".v1")
                .to_owned()
        })
        .collect()
}

async fn events(platform: &Platform, subject: &Subject) -> Vec<Recorded> {
    let env = platform
        .fleet
        .env()
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()));
    let config = Config::load(None, env).unwrap();
    let life = Lifecycle::new("test");
    let client = veza_platform::nats::connect(&config.nats, "test", &life.soft)
        .await
        .unwrap();
    let log = EventLog::connect(client, LogOptions::new(&config.nats, &life));
    let keys = Keyring::open(
        veza_platform::postgres::connect(&config.postgres, "test")
            .await
            .unwrap(),
        &config.keys,
    )
    .unwrap();
    let ledger = Ledger::new(log, keys, "veza/test");
    assert_eq!(config.nats.shards, 1, "these tests run with one shard");
    let events = ledger.load(subject, 0).await.unwrap();
    life.drain(Duration::from_secs(5)).await.unwrap();
    events
}

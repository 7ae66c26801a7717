//! The log of a test's platform, read with its own keys.

use std::time::Duration;

use uuid::Uuid;
use veza_events::{Event, Shards, Subject, room::RoomEvent};
use veza_platform::{
    config::Config,
    event_log::{EventLog, LogOptions},
    keyring::Keyring,
    ledger::Ledger,
    lifecycle::Lifecycle,
};
use veza_testkit::history::Entry;

use crate::platform::Platform;

/// Every message of a room as the log has it.
pub(crate) async fn messages(platform: &Platform, room: Uuid) -> Vec<Entry> {
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
    let subject = Subject::Room(Shards::new(1).count() - 1, room.into());
    let events = ledger.load(&subject, 0).await.unwrap();
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
    let entries = entries.collect();
    life.drain(Duration::from_secs(5)).await.unwrap();
    entries
}

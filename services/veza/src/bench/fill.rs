//! A log to build read models from: sealed messages as the workers write them, appended in large batches.

use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;
use veza_events::{
    AccountId, CommandId, RoomId, Shards, SpaceId, Subject,
    room::{Mentions, MessagePosted, RoomEvent},
};
use veza_platform::{
    ambient,
    config::Config,
    contract::{Caller, chat::Post},
    event_log::{EventLog, Expect, LogOptions},
    keyring::Keyring,
    ledger::{Ledger, Write},
    lifecycle::Lifecycle,
};
use veza_servers::Fleet;

use crate::console::Console;

/// Events of one atomic batch.
const BATCH: usize = 500;
/// Batches under way at once.
const IN_FLIGHT: usize = 4;

/// The settings that the roles of a fleet run with.
pub(super) fn settings(fleet: &Fleet) -> anyhow::Result<Config> {
    let env = fleet
        .env()
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()));
    Ok(Config::load(None, env)?)
}

/// What most benches let people say.
pub(super) fn ordinary(number: usize) -> String {
    format!("message {number} of an ordinary length, as people write them to each other")
}

/// Appends `count` messages of `authors`, spread over `rooms`; `text` says what each tells.
pub(super) async fn messages(
    config: &Config,
    authors: &[Uuid],
    space: Uuid,
    rooms: &[Uuid],
    count: usize,
    text: fn(usize) -> String,
    console: &Console,
) -> anyhow::Result<()> {
    let life = Lifecycle::new("bench");
    let client = veza_platform::nats::connect(&config.nats, "bench", &life.soft).await?;
    let log = EventLog::connect(client, LogOptions::new(&config.nats, &life));
    let keys = Keyring::open(
        veza_platform::postgres::connect(&config.postgres, "bench").await?,
        &config.keys,
    )?;
    let ledger = Ledger::new(log, keys, "veza/bench");
    let space = SpaceId::new(space);
    let shard = Shards::new(u16::try_from(config.nats.shards)?).of(space);

    let bar = console.bar("events", count as u64);
    stream::iter((0..count).step_by(BATCH))
        .map(|first| {
            let (ledger, bar) = (&ledger, &bar);
            async move {
                let mut drafts = Vec::with_capacity(BATCH);
                for number in first..count.min(first + BATCH) {
                    let author = AccountId::new(authors[number % authors.len()]);
                    let room = RoomId::new(rooms[number % rooms.len()]);
                    drafts.extend(message(ledger, shard, space, room, author, text(number)).await?);
                }
                let stored = ledger.log().append_atomic(drafts).await?.len();
                bar.inc(stored as u64);
                anyhow::Ok(())
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<()>()
        .await?;
    bar.finish_and_clear();
    Ok(())
}

async fn message(
    ledger: &Ledger,
    shard: u16,
    space: SpaceId,
    room: RoomId,
    author: AccountId,
    body: String,
) -> anyhow::Result<Vec<veza_platform::event_log::Draft>> {
    let command = CommandId::new(ambient::new_uuid());
    let caller = Caller {
        command,
        account: Some(author),
        session: None,
        seen: None,
    };
    let post = Post {
        space,
        room,
        body,
        reply_to: None,
        attachments: Vec::new(),
        mentions: Mentions::default(),
    };
    let event = MessagePosted {
        space,
        room,
        message: command.derive(author.uuid(), "message"),
        author,
        body: post.body.clone().into(),
        reply_to: None,
        attachments: Vec::new(),
        mentions: None,
        imported: None,
        shown_as: None,
        parent: None,
    };
    let write = Write {
        subject: Subject::Room(shard, room),
        expect: Expect::Any,
        event: RoomEvent::from(event).into(),
    };
    Ok(ledger.prepare(&caller, &post, vec![write]).await?)
}

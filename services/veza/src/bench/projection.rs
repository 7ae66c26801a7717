//! Building read models: all of the log at once, and each event as it comes.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use anyhow::Context;
use clap::Args;
use futures::{StreamExt, stream};
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior, interval};
use uuid::Uuid;
use veza_events::{CommandId, Shards, room::Mentions};
use veza_platform::{
    ambient,
    bus::Bus,
    config::Config,
    contract::{Caller, chat::Post},
    lifecycle::Lifecycle,
};
use veza_servers::Fleet;

use super::{Outcome, Row, fill, platform, statistics::Times};
use crate::console::Console;

#[derive(Debug, Args)]
pub(crate) struct ProjectionArgs {
    /// Events of the rebuild.
    #[arg(long, default_value_t = 200_000)]
    events: usize,
    /// Messages per second of the live run.
    #[arg(long, default_value_t = 2_000.0)]
    rate: f64,
    /// Length of the live run, seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

const PEOPLE: usize = 8;
const ROOMS: usize = 50;
/// Posts under way at once in the live run.
const IN_FLIGHT: usize = 256;
/// How long the read models may take to catch up at the end.
const PATIENCE: Duration = Duration::from_mins(2);

pub(super) async fn run(args: &ProjectionArgs, console: &Console) -> anyhow::Result<Outcome> {
    let folder = platform::Folder::new()?;
    let step = console.step("starting the platform");
    let fleet = platform::start(&folder, &["accounts", "chat", "projector", "gateway"]).await?;
    let (people, space) = platform::people(&fleet.url(), PEOPLE).await?;
    let mut rooms = Vec::with_capacity(ROOMS);
    for number in 0..ROOMS {
        rooms.push(people[0].create_room(space, &format!("room-{number}")).await?);
    }
    let authors: Vec<Uuid> = people.iter().map(|person| person.account).collect();
    let config = fill::settings(&fleet)?;
    step.done();

    let mut outcome = Outcome::default();
    let step = console.step("live");
    live(args, &config, &authors, space, &rooms, &mut outcome).await?;
    step.done();

    let step = console.step("filling the log");
    fill::messages(
        &config,
        &authors,
        space,
        &rooms,
        args.events,
        fill::ordinary,
        console,
    )
    .await?;
    caught_up(&fleet, &mut outcome).await?;
    step.done();
    let rows = count(&fleet).await?;
    let step = console.step("rebuild");
    let rebuilt: Rebuilt = serde_json::from_str(&fleet.run(&["--json", "projection", "rebuild"]).await?)?;
    step.done();
    if count(&fleet).await? != rows {
        outcome.faults.push(format!(
            "{} rows after the rebuild, {rows} before",
            count(&fleet).await?
        ));
    }
    let step = console.step("reference: COPY");
    let copy = copy(&fleet).await?;
    step.done();
    let reference = rows as f64 / copy.as_secs_f64();
    outcome.rows.push(
        Row::new(
            format!("rebuild, {} events", rebuilt.events),
            rebuilt.events_per_second,
            "/s",
            "≥ 20,000/s",
        )
        .against("COPY of the same rows into the same table", reference),
    );
    Ok(outcome)
}

/// What `veza projection rebuild` prints.
#[derive(Deserialize)]
struct Rebuilt {
    events: u64,
    events_per_second: f64,
}

#[derive(Deserialize)]
struct Notice {
    seq: u64,
}

/// Posts at a steady rate and measures, for each message, the time from its ack to the notice that it can be read.
async fn live(
    args: &ProjectionArgs,
    config: &Config,
    authors: &[Uuid],
    space: Uuid,
    rooms: &[Uuid],
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let life = Lifecycle::new("bench");
    let client = veza_platform::nats::connect(&config.nats, "bench", &life.soft).await?;
    let shards = Shards::new(u16::try_from(config.nats.shards)?);
    let bus = Bus::new(client.clone(), shards, Duration::from_secs(10));
    let stream_name = format!("SPACES_{}", shards.of(space.into()));
    let mut notices = client
        .subscribe(format!("notice.projection.{stream_name}"))
        .await?;
    client.flush().await?;

    let acked: Mutex<VecDeque<(u64, Instant)>> = Mutex::default();
    let total = (args.rate * args.seconds) as usize;
    let mut ticks = interval(Duration::from_secs_f64(1.0 / args.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let paced = stream::unfold((0, ticks), |(number, mut ticks)| async move {
        ticks.tick().await;
        (number < total).then_some((number, (number + 1, ticks)))
    });
    let started = Instant::now();
    let posting = paced.for_each_concurrent(IN_FLIGHT, |number| {
        let (bus, acked) = (&bus, &acked);
        async move {
            let author = authors[number % authors.len()];
            let caller = Caller {
                command: CommandId::new(ambient::new_uuid()),
                account: Some(author.into()),
                session: None,
                seen: None,
            };
            let post = Post {
                space: space.into(),
                room: rooms[number % rooms.len()].into(),
                body: format!("message {number}"),
                reply_to: None,
                attachments: Vec::new(),
                mentions: Mentions::default(),
            };
            if let Ok(posted) = bus.chat(&caller, &post).await {
                acked
                    .lock()
                    .expect("nobody panics")
                    .push_back((posted.position.seq, Instant::now()));
            }
        }
    });
    let mut times = Times::default();
    let mut posting = std::pin::pin!(posting);
    let (mut posted, mut head) = (false, 0);
    let deadline = started + Duration::from_secs_f64(args.seconds) + PATIENCE;
    let mut rate = 0.0;
    while times.len() < total && Instant::now() < deadline {
        tokio::select! {
            () = &mut posting, if !posted => {
                posted = true;
                rate = total as f64 / started.elapsed().as_secs_f64();
            }
            notice = notices.next() => {
                let notice = notice.context("the subscription ended")?;
                head = serde_json::from_slice::<Notice>(&notice.payload)?.seq.max(head);
            }
            // An ack may come after the notice that covers it.
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        let mut acked = acked.lock().expect("nobody panics");
        acked.retain(|(seq, at)| {
            if *seq <= head {
                times.add(at.elapsed());
            }
            *seq > head
        });
    }
    if times.len() < total {
        outcome
            .faults
            .push(format!("{} of {total} messages were acked and read", times.len()));
    }
    outcome.rows.extend([
        Row::new("live: messages written", rate, "/s", ""),
        Row::new("live: from ack to readable p50", times.quantile(0.5), "ms", ""),
        Row::new(
            "live: from ack to readable p99",
            times.quantile(0.99),
            "ms",
            "≤ 100 ms",
        ),
    ]);
    Ok(())
}

/// Messages that can be read.
pub(super) async fn count(fleet: &Fleet) -> anyhow::Result<u64> {
    Ok(fleet
        .postgres
        .sql("veza", "SELECT count(*) FROM read.message")
        .await?
        .trim()
        .parse()?)
}

/// Waits until the live projector has read what was filled in, so that the rebuild runs alone.
pub(super) async fn caught_up(fleet: &Fleet, outcome: &mut Outcome) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut last = count(fleet).await?;
    while Instant::now() < deadline {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = count(fleet).await?;
        if now == last {
            return Ok(());
        }
        last = now;
    }
    outcome.faults.push("the projector did not catch up".to_owned());
    Ok(())
}

/// Time of a `COPY` of the messages into an empty table with the same indexes.
async fn copy(fleet: &Fleet) -> anyhow::Result<Duration> {
    let file = std::env::temp_dir().join(format!("veza-copy-{}", ambient::new_uuid()));
    let path = file.display();
    fleet
        .postgres
        .sql("veza", &format!("COPY read.message TO '{path}' (FORMAT binary)"))
        .await?;
    fleet
        .postgres
        .sql(
            "veza",
            "CREATE TABLE public.copied (LIKE read.message INCLUDING ALL)",
        )
        .await?;
    let started = Instant::now();
    fleet
        .postgres
        .sql(
            "veza",
            &format!("COPY public.copied FROM '{path}' (FORMAT binary)"),
        )
        .await?;
    let took = started.elapsed();
    fleet.postgres.sql("veza", "DROP TABLE public.copied").await?;
    std::fs::remove_file(&file)?;
    Ok(took)
}

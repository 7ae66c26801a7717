//! Sockets that only sit there: what they cost, and how soon all are back after the gateway has restarted.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures::future::try_join_all;
use tokio::time::Instant;
use veza_client::Person;
use veza_servers::{Fleet, Role};

use super::{
    Outcome, Row, fill,
    idle::{Plan, Seen},
    load_process::LoadProcess,
    machine, platform,
};
use crate::console::Console;

#[derive(Debug, Args)]
pub(crate) struct ConnectionsArgs {
    /// Sockets in all. The limit of open files must lie above it.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// Rooms in all.
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// Rooms that one socket watches.
    #[arg(long, default_value_t = 10)]
    watch: usize,
    /// Messages in each room: what a socket that comes back is filled with.
    #[arg(long, default_value_t = 20)]
    messages: usize,
    /// Accounts that the sockets belong to.
    #[arg(long, default_value_t = 100)]
    people: usize,
    /// Processes that hold the sockets.
    #[arg(long, default_value_t = 4)]
    processes: usize,
}

/// How long everything is left alone before memory is looked at, and statistics of Postgres are written.
const SETTLE: Duration = Duration::from_secs(5);

pub(super) async fn run(args: &ConnectionsArgs, console: &Console) -> anyhow::Result<Outcome> {
    anyhow::ensure!(
        args.watch <= args.rooms && args.processes > 0,
        "a socket cannot watch more rooms than there are, and needs a process to hold it"
    );
    let folder = platform::Folder::new()?;
    let step = console.step("starting the platform");
    let mut fleet = platform::start(&folder, &["accounts", "chat", "projector", "gateway"]).await?;
    let (people, space) = platform::people(&fleet.url(), args.people).await?;
    let mut rooms = Vec::with_capacity(args.rooms);
    for number in 0..args.rooms {
        rooms.push(people[0].create_room(space, &format!("room-{number}")).await?);
    }
    let authors: Vec<_> = people.iter().map(|person| person.account).collect();
    let messages = args.rooms * args.messages;
    fill::messages(
        &fill::settings(&fleet)?,
        &authors,
        space,
        &rooms,
        messages,
        fill::ordinary,
        console,
    )
    .await?;
    tokio::time::sleep(SETTLE).await;
    step.done();

    let mut outcome = Outcome::default();
    let before = machine::resident_bytes(gateway(&mut fleet)?.pid())?;
    let step = console.step("connecting");
    let started = Instant::now();
    let each = args.sockets.div_ceil(args.processes);
    let plan = |number: usize| Plan {
        api: fleet.url(),
        url: people[0].realtime_url(),
        tokens: people.iter().map(Person::access_token).collect(),
        first: number * each,
        sockets: each.min(args.sockets.saturating_sub(number * each)),
        rooms: rooms.clone(),
        watch: args.watch,
        // The room's first event is that it was opened.
        events: args.messages as u64 + 1,
    };
    let plans: Vec<_> = (0..args.processes).map(plan).collect();
    let mut loads = try_join_all(plans.iter().map(|plan| LoadProcess::start("idle-load", plan))).await?;
    let connected = started.elapsed();
    tokio::time::sleep(SETTLE).await;
    let after = machine::resident_bytes(gateway(&mut fleet)?.pid())?;
    step.done();
    outcome.rows.extend([
        Row::new(
            format!(
                "memory of the gateway, {} sockets × {} rooms",
                args.sockets, args.watch
            ),
            after.saturating_sub(before) as f64 / args.sockets as f64 / 1_024.0,
            "KiB a socket",
            "≤ 16 KiB",
        ),
        Row::new("the same in all", after as f64 / f64::from(1 << 20), "MiB", ""),
        Row::new("all connected and watching", connected.as_secs_f64(), "s", ""),
    ]);
    let step = console.step("restarting the gateway");
    let back = come_back(&mut fleet, &mut loads, &mut outcome).await?;
    step.done();
    if back != args.sockets {
        outcome
            .faults
            .push(format!("{back} of {} sockets came back", args.sockets));
    }
    for load in loads {
        load.end().await?;
    }
    Ok(outcome)
}

/// Restarts the gateway as an upgrade does. Returns how many sockets were filled again.
async fn come_back(
    fleet: &mut Fleet,
    loads: &mut [LoadProcess],
    outcome: &mut Outcome,
) -> anyhow::Result<usize> {
    let scans = scans(fleet).await?;
    let begun = Instant::now();
    let restart = async {
        gateway(fleet)?.restart().await?;
        anyhow::Ok(begun.elapsed())
    };
    let filled = try_join_all(loads.iter_mut().map(LoadProcess::run::<Seen>));
    let (ready, seen) = tokio::try_join!(restart, filled)?;
    let last = seen.iter().map(|seen| seen.seconds).fold(0.0, f64::max);
    tokio::time::sleep(SETTLE).await;
    let read = self::scans(fleet).await?.saturating_sub(scans);
    outcome.rows.extend([
        Row::new("restart of the gateway", ready.as_secs_f64(), "s", ""),
        Row::new(
            "from ready to all back and filled",
            (last - ready.as_secs_f64()).max(0.0),
            "s",
            "≤ 10 s",
        ),
        Row::new("from the word to restart", last, "s", ""),
        Row::new("scans of the read model's tables meanwhile", read as f64, "", "0"),
    ]);
    outcome
        .faults
        .extend(seen.iter().flat_map(|seen| seen.faults.iter().cloned()));
    Ok(seen.iter().map(|seen| seen.back).sum())
}

fn gateway(fleet: &mut Fleet) -> anyhow::Result<&mut Role> {
    fleet.role_mut("gateway").context("a gateway runs")
}

/// Nothing is written meanwhile, so who looks into these tables is who reads.
async fn scans(fleet: &Fleet) -> anyhow::Result<u64> {
    let sum = "SELECT coalesce(sum(coalesce(seq_scan, 0) + coalesce(idx_scan, 0)), 0) \
               FROM pg_stat_user_tables WHERE schemaname = 'read' AND relname <> 'position'";
    Ok(fleet.postgres.sql("veza", sum).await?.trim().parse()?)
}

//! The main job under load.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use veza_client::Person;
use veza_servers::{Fleet, FleetNats, Role};

use super::{
    Outcome, Row, fill,
    load::{Plan, Seen, SocketPlan},
    load_process::LoadProcess,
    machine, peers, platform,
    statistics::Times,
};
use crate::console::Console;

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// Rooms of the latency run.
    #[arg(long, default_value_t = 10)]
    rooms: usize,
    /// Messages per second of the latency run, in all rooms together.
    #[arg(long, default_value_t = 500.0)]
    rate: f64,
    /// Length of each run, seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Sockets in the one room of the fan-out run.
    #[arg(long, default_value_t = 1_000)]
    members: usize,
    /// Messages per second of the fan-out run.
    #[arg(long, default_value_t = 100.0)]
    fan_out_rate: f64,
    /// Sockets of the throughput run, each of a person of its own.
    #[arg(long, default_value_t = 256)]
    senders: usize,
    /// Messages of one sender that may wait for their acks in the throughput run.
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
    /// Beside it, the same rooms on other servers that are installed here: mosquitto, ejabberd, socket.io.
    #[arg(long)]
    peers: bool,
}

/// Rooms of the throughput run.
const THROUGHPUT_ROOMS: usize = 8;

pub(super) async fn run(args: &ChatArgs, console: &Console) -> anyhow::Result<Outcome> {
    let folder = platform::Folder::new()?;
    let step = console.step("starting the platform");
    let fleet = platform::start(&folder, &["accounts", "chat", "projector", "gateway"]).await?;
    let (people, space) = platform::people(&fleet.url(), args.senders.max(args.rooms)).await?;
    step.done();

    let mut outcome = Outcome::default();
    let step = console.step("reference: raw JetStream");
    let mut raw = raw_appends(&fleet, args).await?;
    step.done();
    let bench = Bench {
        args,
        fleet: &fleet,
        people: &people,
        space,
    };
    let step = console.step("latency");
    bench.latency(&mut raw, &mut outcome).await?;
    step.done();
    let step = console.step("throughput");
    bench.throughput(&mut outcome).await?;
    step.done();
    let step = console.step("fan-out");
    let ours = bench.fan_out(&mut outcome).await?;
    step.done();
    if args.peers {
        let room = peers::Fan {
            rooms: 1,
            members: args.members,
            rate: args.fan_out_rate,
            messages: (args.fan_out_rate * args.seconds) as u64,
        };
        peers::run(&folder.0, room, ours, console, &mut outcome).await?;
    }
    Ok(outcome)
}

/// Publishes to a stream of the same settings at the same rate, without anything of ours.
async fn raw_appends(fleet: &Fleet, args: &ChatArgs) -> anyhow::Result<Times> {
    let config = fill::settings(fleet)?;
    let client = veza_platform::nats::connect(&config.nats, "bench", &CancellationToken::new()).await?;
    let jetstream = async_nats::jetstream::new(client);
    let name = "BENCH_RAW".to_owned();
    let config = async_nats::jetstream::stream::Config {
        name,
        subjects: vec!["raw.>".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await?;
    let payload = bytes::Bytes::from(vec![b'x'; 400]);
    let mut times = Times::default();
    let mut ticks = interval(Duration::from_secs_f64(1.0 / args.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let ends = Instant::now() + Duration::from_secs_f64(args.seconds.min(5.0));
    let mut number = 0_usize;
    while Instant::now() < ends {
        ticks.tick().await;
        let started = Instant::now();
        number += 1;
        jetstream
            .publish(format!("raw.{}", number % args.rooms), payload.clone())
            .await?
            .await?;
        times.add(started.elapsed());
    }
    jetstream.delete_stream("BENCH_RAW").await?;
    Ok(times)
}

struct Bench<'a> {
    args: &'a ChatArgs,
    fleet: &'a Fleet,
    people: &'a [Person],
    space: Uuid,
}

impl Bench<'_> {
    async fn latency(&self, raw: &mut Times, outcome: &mut Outcome) -> anyhow::Result<()> {
        let rooms = self.rooms("latency", self.args.rooms).await?;
        let rate = self.args.rate / self.args.rooms as f64;
        let mut sockets = Vec::new();
        for (index, room) in rooms.iter().enumerate() {
            sockets.push(self.socket(index, *room, true, rate, 64).await?);
        }
        let seen = self.load(sockets, self.args.seconds, 0).await?;
        let mut acks = Times::default();
        acks.extend(seen.ack_ms.iter().copied());
        let mut deliveries = Times::default();
        deliveries.extend(seen.delivery_ms.iter().copied());
        let reference = "raw JetStream publish";
        outcome.rows.extend([
            Row::new("send→ack p50", acks.quantile(0.5), "ms", "≤ 2 ms")
                .against(reference, raw.quantile(0.5)),
            Row::new("send→ack p99", acks.quantile(0.99), "ms", "≤ 10 ms")
                .against(reference, raw.quantile(0.99)),
            Row::new("send→ack p99.9", acks.quantile(0.999), "ms", "")
                .against(reference, raw.quantile(0.999)),
            Row::new("send→delivery p50", deliveries.quantile(0.5), "ms", ""),
            Row::new("send→delivery p99", deliveries.quantile(0.99), "ms", ""),
        ]);
        outcome.faults.extend(seen.faults);
        Ok(())
    }

    async fn throughput(&self, outcome: &mut Outcome) -> anyhow::Result<()> {
        let rooms = self.rooms("throughput", THROUGHPUT_ROOMS).await?;
        let mut sockets = Vec::new();
        for index in 0..self.args.senders {
            let room = rooms[index % rooms.len()];
            sockets.push(self.socket(index, room, false, 1e6, self.args.in_flight).await?);
        }
        let seen = self.load(sockets, self.args.seconds, 0).await?;
        let per_second = seen.acked as f64 / seen.sending_seconds;
        outcome
            .rows
            .push(Row::new("acked messages in all", per_second, "/s", "≥ 5,000/s"));
        outcome.faults.extend(seen.faults);
        Ok(())
    }

    /// Gives deliveries per CPU-second: of the gateway, and of everything.
    async fn fan_out(&self, outcome: &mut Outcome) -> anyhow::Result<peers::Ours> {
        let room = self.rooms("fan-out", 1).await?[0];
        let messages = (self.args.fan_out_rate * self.args.seconds) as u64;
        let mut sockets = Vec::new();
        for index in 0..self.args.members {
            sockets.push(self.socket(index, room, true, 0.0, 0).await?);
        }
        let mut sender = self.socket(0, room, false, self.args.fan_out_rate, 64).await?;
        sender.messages = messages;
        sockets.push(sender);
        let gateway = self.fleet.roles.iter().find(|role| role.name() == "gateway");
        let gateway = [gateway.context("a gateway runs")?.pid()];
        let platform = self.platform();
        let plan = self.plan(sockets, self.args.seconds + 1.0, messages);
        let mut load = LoadProcess::start("load", &plan).await?;
        let before = (machine::cpu_seconds(&gateway), machine::cpu_seconds(&platform));
        let seen: Seen = load.run().await?;
        let cpu = machine::cpu_seconds(&gateway) - before.0;
        let platform_cpu = machine::cpu_seconds(&platform) - before.1;
        load.end().await?;
        let mut deliveries = Times::default();
        deliveries.extend(seen.delivery_ms.iter().copied());
        outcome.rows.extend([
            Row::new(
                format!(
                    "deliveries per CPU-second of the gateway, 1 room × {}",
                    self.args.members
                ),
                seen.delivered as f64 / cpu,
                "/s",
                "≥ 100,000/s",
            ),
            Row::new(
                "deliveries per CPU-second of all roles and servers together",
                seen.delivered as f64 / platform_cpu,
                "/s",
                "",
            ),
            Row::new(
                "send→delivery p99 in that room",
                deliveries.quantile(0.99),
                "ms",
                "",
            ),
        ]);
        outcome.faults.extend(seen.faults);
        Ok(peers::Ours {
            gateway: seen.delivered as f64 / cpu,
            platform: seen.delivered as f64 / platform_cpu,
        })
    }

    async fn rooms(&self, name: &str, count: usize) -> anyhow::Result<Vec<Uuid>> {
        let mut rooms = Vec::with_capacity(count);
        for number in 0..count {
            rooms.push(
                self.people[0]
                    .create_room(self.space, &format!("{name}-{number}"))
                    .await?,
            );
        }
        Ok(rooms)
    }

    async fn socket(
        &self,
        index: usize,
        room: Uuid,
        watch: bool,
        rate: f64,
        in_flight: usize,
    ) -> anyhow::Result<SocketPlan> {
        let ticket = self.people[index % self.people.len()].ticket().await?;
        Ok(SocketPlan {
            ticket,
            room,
            watch,
            rate,
            in_flight,
            messages: 0,
        })
    }

    async fn load(
        &self,
        sockets: Vec<SocketPlan>,
        seconds: f64,
        expected_per_room: u64,
    ) -> anyhow::Result<Seen> {
        let plan = self.plan(sockets, seconds, expected_per_room);
        let mut load = LoadProcess::start("load", &plan).await?;
        let seen = load.run().await?;
        load.end().await?;
        Ok(seen)
    }

    fn plan(&self, sockets: Vec<SocketPlan>, seconds: f64, expected_per_room: u64) -> Plan {
        Plan {
            url: self.people[0].realtime_url(),
            sockets,
            seconds,
            expected_per_room,
        }
    }

    /// Everything that a message passes on its way, and what is built from it.
    fn platform(&self) -> Vec<u32> {
        let nats = match &self.fleet.nats {
            FleetNats::Single(nats) => Some(nats.pid()),
            FleetNats::Cluster(_) => None,
        };
        let roles = self.fleet.roles.iter().map(Role::pid);
        let servers = [self.fleet.postgres.pid(), self.fleet.redis.pid()];
        roles.chain(nats).chain(servers).collect()
    }
}

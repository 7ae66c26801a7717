//! The media role: carries calls. A selective forwarding unit (RFC 7667, 3.7): what one participant sends goes to the
//! others as it is, sealed anew for each. Who may do what is `veza-domain`'s to say, every fact goes into the log before
//! anybody hears of it, and no packet ever does.
//!
//! `core` is pure, `shard` has its sockets, `call` decides and appends, `worker` finds the way to each call.

mod call;
mod core;
mod facts;
mod feed;
mod metrics;
mod placement;
mod shard;
mod worker;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{sync::mpsc, time::Instant};
use veza_domain::call::CallLimits;
use veza_events::Shards;
use veza_platform::{
    ambient,
    bus::{self, BusMetrics, Router, ServeOptions},
    contract::media::CallSlots,
    event_log::{EventLog, LogOptions},
    keyring::Keyring,
    ledger::Ledger,
    nats, postgres,
    runtime::Runtime,
};

use facts::Facts;
use metrics::ShardMetrics;
use placement::{HEARTBEAT, Placement};
use worker::{Calls, Worker};

/// News of all shards that wait to be passed on.
const NEWS: usize = 4_096;
/// Without a heartbeat for this long, others take the worker for dead.
const LEASE: Duration = Duration::from_secs(2);

/// Runs the role until it is asked to stop. Any number of them work side by side; each room is carried by one.
///
/// # Errors
/// When the settings cannot be used, a port is taken, or NATS could not be reached before the stop.
pub async fn run(rt: Runtime) -> anyhow::Result<()> {
    let config = &rt.config;
    let client = nats::connect(&config.nats, "media", &rt.lifecycle.soft).await?;
    nats::watch(&rt.health, "media.nats", client.clone());
    let log = EventLog::connect(client.clone(), LogOptions::new(&config.nats, &rt.lifecycle));
    rt.metrics
        .register(|registry| log.register_metrics(registry.sub_registry_with_prefix("media")));
    let database = postgres::connect(&config.postgres, "media")
        .await
        .context("reading the address of Postgres")?;
    let keys = Keyring::open(database, &config.keys).context("opening the keyring")?;
    let ledger = Ledger::new(log.clone(), keys, "veza/media");
    let (worker, news) = make(&rt, client.clone(), &log, ledger)?;

    beat(&worker, false).await;
    feed::start(&rt, &log, &worker).await?;
    let (passing, heart) = (Arc::clone(&worker), Arc::clone(&worker));
    rt.lifecycle
        .accompany("news", async move { passing.pass_on(news).await });
    let soft = rt.lifecycle.soft.clone();
    rt.lifecycle.accompany("heartbeat", async move {
        live(&heart, || soft.is_cancelled()).await;
    });
    rt.started();
    serve(&rt, &client, &worker).await?;
    worker.drain().await;
    worker.placement.end().await;
    for shard in &worker.shards {
        shard.ask(shard::Ask::Stop).await;
    }
    Ok(())
}

type News = mpsc::Receiver<core::News>;

/// Binds the ports, starts the shards, and puts the worker together.
fn make(
    rt: &Runtime,
    client: async_nats::Client,
    log: &EventLog,
    ledger: Ledger,
) -> anyhow::Result<(Arc<Worker>, News)> {
    let config = &rt.config.media;
    let metrics = rt.metrics.register(ShardMetrics::register);
    let (news, told) = mpsc::channel(NEWS);
    let mut shards = Vec::new();
    for n in 0..config.shards.max(1) {
        let (shard, unstarted, addresses) = shard::bind(config, n, news.clone(), metrics.of_shard())?;
        tracing::info!(shard = n, media.addresses = ?addresses, "a shard carries packets");
        let thread = rt.lifecycle.spawn_blocking(move || unstarted.run());
        rt.lifecycle.accompany("shard", {
            let life = rt.lifecycle.clone();
            async move {
                match thread.await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => life.fail("shard", format!("failed: {error:#}")),
                    Err(error) => life.fail("shard", format!("panicked: {error}")),
                }
            }
        });
        shards.push(shard);
    }
    let id = ambient::new_uuid().simple().to_string();
    let worker = Worker {
        placement: Placement::new(log, &id),
        id,
        ledger,
        facts: Facts {
            log: log.clone(),
            shards: Shards::new(u16::try_from(rt.config.nats.shards).unwrap_or(u16::MAX)),
        },
        client,
        lifecycle: rt.lifecycle.clone(),
        limits: CallLimits {
            participants: config.max_participants,
            per_account: config.max_devices_per_account,
        },
        slots: CallSlots {
            audio: config.audio_slots,
            video: config.video_slots,
        },
        command_queue: config.command_queue.max(1),
        shards,
        calls: Calls::default(),
    };
    Ok((Arc::new(worker), told))
}

/// Takes commands until the soft stop: places rooms with all other workers, and acts in the calls it carries.
async fn serve(rt: &Runtime, client: &async_nats::Client, worker: &Arc<Worker>) -> anyhow::Result<()> {
    let metrics = BusMetrics::register(&rt.metrics, "media");
    let concurrency = rt.config.media.max_concurrent_commands;
    let options = |subject: String| ServeOptions {
        name: "media",
        subject: subject.into(),
        concurrency,
    };
    let placing = Router::new(Arc::clone(worker)).on(worker::place);
    let acting = Router::new(Arc::clone(worker))
        .on(worker::join)
        .on(worker::stream)
        .on(worker::act);
    let at = format!("cmd.media.at.{}", worker.id);
    futures::try_join!(
        bus::serve(
            client,
            &rt.lifecycle,
            &metrics,
            options("cmd.media.place".to_owned()),
            placing
        ),
        bus::serve(client, &rt.lifecycle, &metrics, options(at), acting),
    )?;
    Ok(())
}

/// Says that this worker is alive, as long as it is.
async fn live(worker: &Worker, draining: impl Fn() -> bool) {
    let mut last = Instant::now();
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        if beat(worker, draining()).await {
            // Stopped, or without a network, for longer than others wait: they may have taken over.
            if last.elapsed() >= LEASE {
                worker.doubt().await;
            }
            last = Instant::now();
        }
    }
}

async fn beat(worker: &Worker, draining: bool) -> bool {
    match worker.placement.beat(draining).await {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(%error, "a heartbeat could not be stored");
            false
        }
    }
}

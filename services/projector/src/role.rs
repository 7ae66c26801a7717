//! The role: one loop per stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use veza_events::Shards;
use veza_platform::blobs::Blobs;
use veza_platform::bus::Bus;
use veza_platform::config::Config;
use veza_platform::event_log::{EventLog, LogOptions, StreamName};
use veza_platform::keyring::Keyring;
use veza_platform::kv::Kv;
use veza_platform::ledger::Ledger;
use veza_platform::lifecycle::Lifecycle;
use veza_platform::runtime::Runtime;
use veza_platform::{nats, postgres};
use veza_readmodel::cache::CacheWriter;
use veza_readmodel::{CacheOptions, Choices, PostgresOptions, ReadMetrics, ReadModel, ReadOptions};

use crate::audience::Audience;
use crate::exports::maker::Maker;
use crate::janitor::Janitor;
use crate::metrics::ProjectorMetrics;
use crate::stream::StreamLoop;

/// Source of what this role would write, were it to write.
const SOURCE: &str = "veza/projector";
/// How often the heads of the streams are compared with the tables.
const LAG_INTERVAL: Duration = Duration::from_secs(2);
/// Connections to look up whom a mention reaches.
const LOOK_UPS: u32 = 2;
/// Pause between two looks at whether all loops have begun.
const START_POLL: Duration = Duration::from_millis(20);

/// What the loops of all streams share.
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) ledger: Ledger,
    pub(crate) client: async_nats::Client,
    pub(crate) cache: Option<CacheWriter>,
    pub(crate) metrics: ProjectorMetrics,
    /// Whom mentions reach.
    pub(crate) audience: Arc<Audience>,
}

impl Parts {
    pub(crate) async fn open(rt: &Runtime) -> anyhow::Result<Self> {
        let config = &rt.config;
        let client = nats::connect(&config.nats, "projector", &rt.lifecycle.soft).await?;
        let log = EventLog::connect(client.clone(), LogOptions::new(&config.nats, &rt.lifecycle));
        let db = postgres::connect(&config.postgres, "projector")
            .await
            .context("reading the address of Postgres")?;
        let keys = Keyring::open(db, &config.keys).context("opening the keyring")?;
        let cache = CacheWriter::connect(&cache_options(config)).context("reading the address of Redis")?;
        let metrics = rt.metrics.register(ProjectorMetrics::register);
        let read = ReadModel::connect(look_up_options(config), ReadMetrics::default())
            .await
            .context("reading the address of Postgres")?;
        let timeout = Duration::from_millis(config.gateway.command_timeout_ms);
        let bus = Bus::new(client.clone(), shards(config), timeout);
        let choices = Kv::open(&log, Choices::BUCKET);
        let most = config.projector.max_told_of_mention;
        let left_out = metrics.mentions_left_out.clone();
        Ok(Self {
            config: Arc::clone(config),
            lifecycle: rt.lifecycle.clone(),
            ledger: Ledger::new(log, keys, SOURCE),
            client,
            cache: Some(cache),
            metrics,
            audience: Arc::new(Audience::new(read, bus, choices, most, left_out)),
        })
    }
}

fn shards(config: &Config) -> Shards {
    // The settings allow at most 256.
    Shards::new(u16::try_from(config.nats.shards).unwrap_or(u16::MAX))
}

fn look_up_options(config: &Config) -> ReadOptions {
    let milliseconds = Duration::from_millis;
    ReadOptions {
        shards: shards(config),
        postgres: PostgresOptions {
            url: config.postgres.url.expose().to_owned(),
            max_connections: LOOK_UPS,
            acquire_timeout: milliseconds(config.postgres.acquire_timeout_ms),
            statement_timeout: milliseconds(config.postgres.statement_timeout_ms),
        },
        cache: None,
    }
}

/// How the settings say that Redis is used.
pub fn cache_options(config: &Config) -> CacheOptions {
    CacheOptions {
        url: config.redis.url.expose().to_owned(),
        ca_file: config.redis.ca_file.clone(),
        connections: config.redis.connections,
        command_timeout: Duration::from_millis(config.redis.command_timeout_ms),
        timeline_messages: config.projector.cached_timeline_events,
        ttl: Duration::from_secs(config.projector.cached_timeline_ttl_s),
    }
}

/// Builds the read models and caches from the log until asked to stop. Any number of instances may run: of
/// each stream one is the owner, and the others stand by.
///
/// # Errors
/// When a setting cannot be used. Servers that are away are waited for.
pub async fn run(rt: Runtime) -> anyhow::Result<()> {
    let parts = Arc::new(Parts::open(&rt).await?);
    let streams = parts.ledger.log().streams();
    let mut all_well = Vec::new();
    for stream in &streams {
        let (stream_loop, well) = StreamLoop::new(Arc::clone(&parts), stream.clone());
        rt.lifecycle.spawn("stream", stream_loop.run());
        all_well.push((stream.clone(), well));
    }
    if !rt.config.s3.endpoint.is_empty() {
        let (keys, life) = (parts.ledger.keys().clone(), &rt.lifecycle);
        let blobs = Blobs::open(&rt.config.s3, keys, &rt.metrics, life, "projector");
        let blobs = blobs.context("opening the store of files")?;
        let maker = Maker::new(Arc::clone(&parts), blobs.clone(), &rt.metrics);
        let janitor = Janitor::new(Arc::clone(&parts), blobs, &rt.metrics);
        rt.lifecycle.spawn("janitor", janitor.run());
        rt.lifecycle.spawn("exports", maker.run());
    }
    watch_health(&rt, all_well.clone());
    rt.lifecycle.spawn("lag", watch_lag(Arc::clone(&parts), streams));
    let soft = &rt.lifecycle.soft;
    while !all_well.iter().all(|(_, well)| well.load(Ordering::Acquire)) {
        tokio::select! {
            () = tokio::time::sleep(START_POLL) => {}
            () = soft.cancelled() => return Ok(()),
        }
    }
    rt.started();
    soft.cancelled().await;
    Ok(())
}

fn watch_health(rt: &Runtime, all_well: Vec<(StreamName, Arc<AtomicBool>)>) {
    rt.health.add("projections", move || {
        let troubled = all_well.iter().find(|(_, well)| !well.load(Ordering::Acquire));
        let troubled = troubled.map(|(stream, _)| format!("the tables of {stream} cannot be written"));
        async move { troubled.map_or(Ok(()), Err) }
    });
}

/// Compares the tables with the log, for as long as the role lives.
async fn watch_lag(parts: Arc<Parts>, streams: Vec<StreamName>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(LAG_INTERVAL) => {}
            () = parts.lifecycle.soft.cancelled() => return,
        }
        for stream in &streams {
            let metrics = parts.metrics.of(stream.as_str());
            if metrics.owner.get() == 1
                && let Ok(head) = parts.ledger.log().head(stream).await
            {
                metrics
                    .lag_events
                    .set((head.cast_signed() - metrics.position.get()).max(0));
            }
        }
    }
}

//! The only public door: HTTP, WebSocket, documents. It keeps nothing that another gateway could not
//! rebuild: commands go to workers over the bus, answers come from the read model and the event log.

mod access;
mod calls;
mod changes;
mod choices;
mod digest;
mod drafts;
#[cfg(test)]
mod drift;
mod feeds;
mod files;
#[cfg(test)]
mod fuzz;
pub mod grpc;
mod http;
mod markdown;
mod mentions;
mod previews;
mod problems;
mod purge;
mod purge_book;
#[cfg(test)]
mod raw;
mod reads;
pub mod realtime;
mod rooms;
mod scheduled;
mod scopes;
mod server;
mod state;
mod streams;
mod tickets;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use veza_platform::blobs::Blobs;
use veza_platform::config::Config;
use veza_platform::event_log::{EventLog, LogOptions};
use veza_platform::keyring::Keyring;
use veza_platform::ledger::Ledger;
use veza_platform::nats;
use veza_platform::outgoing::Outgoing;
use veza_platform::postgres;
use veza_platform::runtime::Runtime;
use veza_platform::tokens::{Parties, Verifier};
use veza_readmodel::{CacheOptions, PostgresOptions, ReadMetrics, ReadModel, ReadOptions};

use realtime::{Realtime, Services, Upgrade};

pub use http::{Failure, Origins, document};
pub use reads::Reads;
pub use server::Server;
pub use state::Gateway;

/// Runs the role until it is asked to stop. Any number of them work side by side.
///
/// # Errors
/// When the settings cannot be used, the address is taken, or NATS could not be reached before the stop.
pub async fn run(rt: Runtime) -> anyhow::Result<()> {
    let config = &rt.config;
    let server = Server::bind(&config.gateway, &rt.metrics).await?;
    let client = nats::connect(&config.nats, "gateway", &rt.lifecycle.soft).await?;
    let log = EventLog::connect(client.clone(), LogOptions::new(&config.nats, &rt.lifecycle));
    rt.metrics
        .register(|registry| log.register_metrics(registry.sub_registry_with_prefix("gateway")));
    // Connects when a key is first needed: the gateway starts and goes on without Postgres.
    let db = postgres::connect(&config.postgres, "gateway")
        .await
        .context("reading the address of Postgres")?;
    let keys = Keyring::open(db, &config.keys).context("opening the keyring")?;
    let read_metrics = rt.metrics.register(ReadMetrics::register);
    let read = ReadModel::connect(read_options(config), read_metrics)
        .await
        .context("opening the read model")?;
    let blobs = if config.s3.endpoint.is_empty() {
        None
    } else {
        let blobs = Blobs::open(&config.s3, keys.clone(), &rt.metrics, &rt.lifecycle, "gateway");
        Some(blobs.context("opening the store of files")?)
    };
    let gateway = Gateway::new(
        &rt,
        state::Parts {
            verifier: Verifier::start(&log, Parties::of(config), &rt.lifecycle),
            ledger: Ledger::new(log, keys, "veza/gateway"),
            origins: Arc::new(Origins::new(&config.gateway)?),
            outgoing: Outgoing::new(config, &rt.metrics, "gateway")?,
            nats: client,
            read,
            blobs,
        },
    );
    watch_health(&rt, &gateway);
    gateway.reads.start(&rt.lifecycle);
    let services: Arc<dyn Services> = gateway.clone();
    let realtime = Realtime::start(&rt, gateway.nats.clone(), gateway.log.clone(), services);
    let calls = grpc::endpoint(&gateway, realtime.clone()).await?;
    let upgrade = Upgrade::new(realtime, Arc::clone(&gateway.origins));
    let (app, limits) = http::app(&gateway, upgrade, &calls)?;
    feeds::start(&gateway, limits);
    purge_book::start(&gateway);
    rt.started();
    tracing::info!(server.address = %server.local_addr()?, "the gateway listens");
    server.run(app, &rt.lifecycle).await;
    Ok(())
}

/// Postgres is not among the checks: without it sockets and writes go on, and taking this gateway out of
/// service would end them.
fn watch_health(rt: &Runtime, gateway: &Arc<Gateway>) {
    nats::watch(&rt.health, "gateway.nats", gateway.nats.clone());
    let verifier = gateway.verifier.clone();
    rt.health.add("gateway.tokens", move || {
        let ready = verifier.is_ready();
        async move {
            if ready {
                Ok(())
            } else {
                Err("no signing key is known yet".to_owned())
            }
        }
    });
}

fn read_options(config: &Config) -> ReadOptions {
    let milliseconds = Duration::from_millis;
    ReadOptions {
        shards: state::shards(config),
        postgres: PostgresOptions {
            url: config.postgres.url.expose().to_owned(),
            max_connections: config.postgres.max_connections,
            acquire_timeout: milliseconds(config.postgres.acquire_timeout_ms),
            statement_timeout: milliseconds(config.postgres.statement_timeout_ms),
        },
        cache: (!config.redis.url.is_empty()).then(|| CacheOptions {
            url: config.redis.url.expose().to_owned(),
            ca_file: config.redis.ca_file.clone(),
            connections: config.redis.connections,
            command_timeout: milliseconds(config.redis.command_timeout_ms),
            timeline_messages: config.projector.cached_timeline_events,
            ttl: Duration::from_secs(config.projector.cached_timeline_ttl_s),
        }),
    }
}

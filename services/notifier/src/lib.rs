//! Tells people of messages while they are away. It reads the log with a position of its own, asks the read models and
//! the workers who is to be told, and tells each at most once. Nothing of it is part of a read model, and nothing is
//! told when one is built anew.

mod decide;
mod delivery;
mod known;
mod letters;
pub mod mail;
mod metrics;
mod place;
mod post;
mod stream;
mod who;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::mpsc;
use veza_events::Shards;
use veza_platform::bus::Bus;
use veza_platform::config::Config;
use veza_platform::event_log::{EventLog, LogOptions};
use veza_platform::keyring::Keyring;
use veza_platform::kv::Kv;
use veza_platform::ledger::Ledger;
use veza_platform::lifecycle::Lifecycle;
use veza_platform::nats;
use veza_platform::outgoing::Outgoing;
use veza_platform::postgres;
use veza_platform::push::{PushKeys, PushSubscriptions};
use veza_platform::runtime::Runtime;
use veza_readmodel::{Choices, PostgresOptions, ReadMetrics, ReadModel, ReadOptions};

use decide::Deciding;
use delivery::Delivery;
use known::Known;
use letters::Letters;
use mail::Mailer;
use metrics::Metrics;
use post::Post;
use stream::{Parts, Stream};

/// Bucket of the read markers.
const MARKERS: &str = "READ_MARKERS";
/// Pause between two looks at whether everything has been read that it begins with.
const START_POLL: Duration = Duration::from_millis(20);

/// Runs the role until it is asked to stop. Any number of them work side by side: of each message one tells.
///
/// # Errors
/// When the settings cannot be used, or NATS could not be reached before the stop.
pub async fn run(rt: Runtime) -> anyhow::Result<()> {
    let (config, lifecycle) = (&rt.config, &rt.lifecycle);
    let client = nats::connect(&config.nats, "notifier", &lifecycle.soft).await?;
    nats::watch(&rt.health, "notifier.nats", client.clone());
    let log = EventLog::connect(client.clone(), LogOptions::new(&config.nats, lifecycle));
    rt.metrics
        .register(|registry| log.register_metrics(registry.sub_registry_with_prefix("notifier")));
    let db = postgres::connect(&config.postgres, "notifier")
        .await
        .context("reading the address of Postgres")?;
    let keyring = Keyring::open(db, &config.keys).context("opening the keyring")?;
    let read_metrics = rt.metrics.register(|registry| {
        // The gateway of the same process has its own.
        ReadMetrics::register(registry.sub_registry_with_prefix("notifier"))
    });
    let read = ReadModel::connect(read_options(config), read_metrics)
        .await
        .context("opening the read model")?;
    let shards = Shards::new(u16::try_from(config.nats.shards).unwrap_or(u16::MAX));
    let timeout = Duration::from_millis(config.gateway.command_timeout_ms);
    let bus = Bus::new(client, shards, timeout);
    let metrics = rt.metrics.register(Metrics::register);

    send_mail(config, lifecycle, &log, &keyring, &metrics)?;
    let subscriptions = PushSubscriptions::open(&log, keyring.clone());
    let known = Known::follow(lifecycle, &log, &subscriptions);
    let delivery = Delivery::new(
        config,
        subscriptions,
        PushKeys::open(&log, keyring.keks().clone()),
        Outgoing::new(config, &rt.metrics, "notifier")?,
        read.clone(),
        metrics.clone(),
    );
    let (queue, waiting) = mpsc::channel(config.notifier.queue.max(1));
    lifecycle.spawn("deliveries", Arc::new(delivery).run(waiting));
    while !known.is_current() {
        tokio::select! {
            () = tokio::time::sleep(START_POLL) => {}
            () = lifecycle.soft.cancelled() => return Ok(()),
        }
    }
    let (choices, markers) = (Kv::open(&log, Choices::BUCKET), Kv::open(&log, MARKERS));
    let parts = Arc::new(Parts {
        lifecycle: lifecycle.clone(),
        known,
        deciding: Deciding::new(config, read, bus, choices, markers),
        metrics,
        grace: Duration::from_millis(config.notifier.grace_ms),
        max_age: Duration::from_secs(config.notifier.max_age_s),
        queue,
        log: log.clone(),
    });
    for stream in log.streams() {
        if stream.as_str().starts_with("SPACES_") {
            lifecycle.spawn("stream", Stream::new(Arc::clone(&parts), stream).run());
        }
    }
    drop(parts);
    rt.started();
    lifecycle.soft.cancelled().await;
    Ok(())
}

/// Sends mail in an installation that has a server for it.
fn send_mail(
    config: &Config,
    lifecycle: &Lifecycle,
    log: &EventLog,
    keyring: &Keyring,
    metrics: &Metrics,
) -> anyhow::Result<()> {
    let Some(mailer) = Mailer::new(config)? else {
        return Ok(());
    };
    let ledger = Ledger::new(log.clone(), keyring.clone(), "veza/notifier");
    let (queue, waiting) = mpsc::channel(config.mail.queue.max(1));
    let post = Post::new(config, mailer, metrics.clone());
    lifecycle.spawn("post", Arc::new(post).run(waiting));
    let letters = Letters::new(config, lifecycle, ledger, queue, metrics.clone());
    lifecycle.spawn("letters", letters.run());
    Ok(())
}

fn read_options(config: &Config) -> ReadOptions {
    let milliseconds = Duration::from_millis;
    ReadOptions {
        shards: Shards::new(u16::try_from(config.nats.shards).unwrap_or(u16::MAX)),
        postgres: PostgresOptions {
            url: config.postgres.url.expose().to_owned(),
            max_connections: config.postgres.max_connections,
            acquire_timeout: milliseconds(config.postgres.acquire_timeout_ms),
            statement_timeout: milliseconds(config.postgres.statement_timeout_ms),
        },
        cache: None,
    }
}

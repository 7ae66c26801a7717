//! Tells people of messages while they are away. It reads the log with a position of its own, asks the read models and
//! the workers who is to be told, and tells each at most once. Nothing of it is part of a read model, and nothing is
//! told when one is built anew.

mod agenda;
mod decide;
mod delivery;
mod digests;
mod known;
mod letters;
pub mod mail;
mod metrics;
mod missed;
mod place;
mod post;
mod presence;
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
use digests::Digests;
use known::Known;
use letters::Letters;
use mail::Mailer;
use metrics::Metrics;
use missed::MissedBook;
use post::Post;
use presence::Presence;
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
    let presence = Presence::new(client.clone());
    let bus = Bus::new(client, shards, timeout);
    let metrics = rt.metrics.register(Metrics::register);

    let subscriptions = PushSubscriptions::open(&log, keyring.clone());
    let known = Known::follow(lifecycle, &log, &subscriptions);
    let delivery = Delivery::new(
        config,
        subscriptions,
        PushKeys::open(&log, keyring.keks().clone()),
        Outgoing::new(config, &rt.metrics, "notifier")?,
        read.clone(),
        presence.clone(),
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
    let deciding = Arc::new(Deciding::new(config, read, bus, choices, markers));
    let mailing = Mailing {
        log: &log,
        keyring: &keyring,
        deciding: &deciding,
        presence,
        metrics: &metrics,
    };
    let digests = mailing.start(config, lifecycle)?;
    let parts = Arc::new(Parts {
        lifecycle: lifecycle.clone(),
        known,
        deciding,
        digests,
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

/// What it takes to send mail.
struct Mailing<'a> {
    log: &'a EventLog,
    keyring: &'a Keyring,
    deciding: &'a Arc<Deciding>,
    presence: Presence,
    metrics: &'a Metrics,
}

impl Mailing<'_> {
    /// Sends mail in an installation that has a server for it.
    fn start(self, config: &Config, lifecycle: &Lifecycle) -> anyhow::Result<Option<Arc<Digests>>> {
        let Some(mailer) = Mailer::new(config)? else {
            return Ok(None);
        };
        let (queue, waiting) = mpsc::channel(config.mail.queue.max(1));
        let post = Post::new(config, mailer, self.metrics.clone());
        lifecycle.spawn("post", Arc::new(post).run(waiting));
        let ledger = Ledger::new(self.log.clone(), self.keyring.clone(), "veza/notifier");
        let letters = Letters::new(config, lifecycle, ledger, queue.clone(), self.metrics.clone());
        lifecycle.spawn("letters", letters.run());
        let parts = digests::Parts {
            book: MissedBook::open(self.log),
            choices: Kv::open(self.log, Choices::BUCKET),
            deciding: Arc::clone(self.deciding),
            presence: self.presence,
            keys: self.keyring.clone(),
            queue,
            metrics: self.metrics.clone(),
        };
        let digests = Arc::new(Digests::new(config, lifecycle, parts));
        lifecycle.spawn("digests", Arc::clone(&digests).run());
        Ok(Some(digests))
    }
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

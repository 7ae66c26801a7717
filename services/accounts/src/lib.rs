//! The accounts role: registering, signing in and out, passwords, and the tokens that follow from them.
//! What an account may do is decided in `domain`; what it shows of itself is read elsewhere.

mod account;
mod commands;
mod links;
mod names;
mod password;
mod refresh_token;
mod sessions;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio_util::sync::CancellationToken;
use veza_platform::bus::{self, BusMetrics, ServeOptions};
use veza_platform::event_log::{EventLog, LogOptions};
use veza_platform::keyring::Keyring;
use veza_platform::ledger::Ledger;
use veza_platform::runtime::Runtime;
use veza_platform::tokens::{Parties, Rotation, SigningKeys};
use veza_platform::{nats, postgres};

use crate::worker::Worker;

/// Commands under way at once besides those that wait for a password hash.
const QUICK_COMMANDS: usize = 256;
/// Pause between two tries to read the signing keys at the start.
const START_PAUSE: Duration = Duration::from_millis(500);
/// How often keys under an old key-encryption key are looked for.
const REWRAP_EVERY: Duration = Duration::from_hours(1);
/// Pause between two portions of keys that are wrapped anew.
const REWRAP_PAUSE: Duration = Duration::from_millis(200);

/// Runs the role until it is asked to stop. Any number may run side by side.
///
/// # Errors
/// When the settings, the key file or the bus cannot be used.
pub async fn run(rt: Runtime) -> anyhow::Result<()> {
    let config = &rt.config;
    let stop = &rt.lifecycle.soft;
    let client = nats::connect(&config.nats, "accounts", stop).await?;
    let log = EventLog::connect(client.clone(), LogOptions::new(&config.nats, &rt.lifecycle));
    rt.metrics
        .register(|registry| log.register_metrics(registry.sub_registry_with_prefix("accounts")));
    let database = postgres::connect(&config.postgres, "accounts")
        .await
        .context("reading `postgres.url`")?;
    let keys = Keyring::open(database, &config.keys)?;
    let rotation = Rotation::of(&config.accounts);
    let signing = SigningKeys::open(&log, keys.keks().clone(), Parties::of(config), rotation);

    nats::watch(&rt.health, "accounts.nats", client.clone());
    first_keys(&signing, stop).await?;
    rt.lifecycle
        .spawn("signing-keys", signing.clone().run(stop.clone()));
    rt.lifecycle.spawn("rewrap", rewrap(keys.clone(), stop.clone()));

    let ledger = Ledger::new(log, keys, "veza/accounts");
    let worker = Arc::new(Worker::new(&rt, ledger, signing).await?);
    let metrics = BusMetrics::register(&rt.metrics, "accounts");
    let options = ServeOptions {
        name: "accounts",
        subject: "cmd.accounts.*".into(),
        concurrency: QUICK_COMMANDS + config.accounts.hash_queue,
    };
    rt.started();
    bus::serve(
        &client,
        &rt.lifecycle,
        &metrics,
        options,
        commands::router(worker),
    )
    .await
}

/// Without a key there are no tokens: nothing is served before one can be read.
async fn first_keys(signing: &SigningKeys, stop: &CancellationToken) -> anyhow::Result<()> {
    loop {
        let Err(problem) = signing.look_after().await else {
            return Ok(());
        };
        tracing::warn!(%problem, "the signing keys cannot be read yet");
        tokio::select! {
            () = tokio::time::sleep(START_PAUSE) => {}
            () = stop.cancelled() => anyhow::bail!("stopped before the signing keys could be read: {problem}"),
        }
    }
}

/// Brings all keys under the newest key-encryption key. Several workers may do so: each key changes once.
async fn rewrap(keys: Keyring, stop: CancellationToken) {
    loop {
        let pause = match keys.rewrap().await {
            Ok(0) => REWRAP_EVERY,
            Ok(count) => {
                tracing::info!(count, "wrapped keys anew");
                REWRAP_PAUSE
            }
            Err(problem) => {
                tracing::warn!(%problem, "keys could not be wrapped anew");
                REWRAP_EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

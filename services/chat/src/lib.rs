//! The chat role: takes commands about spaces, members, rooms and messages, decides on what it holds in
//! memory, and appends to the log. What is allowed is `veza-domain`'s to say; here is only how a decision
//! gets its facts, and what becomes of it.

use std::sync::Arc;

use anyhow::Context;
use veza_platform::{
    bus::{self, BusMetrics, ServeOptions},
    event_log::{EventLog, LogOptions},
    keyring::Keyring,
    ledger::Ledger,
    nats, postgres,
    runtime::Runtime,
};

mod cache;
mod commands;
mod feed;
mod metrics;
mod scheduler;
mod sources;
mod turns;
mod worker;

use worker::Worker;

/// Runs the role until it is asked to stop. Any number of them work side by side.
///
/// # Errors
/// When the settings cannot be used, or NATS could not be reached before the stop.
pub async fn run(rt: Runtime) -> anyhow::Result<()> {
    let config = &rt.config;
    let client = nats::connect(&config.nats, "chat", &rt.lifecycle.soft).await?;
    nats::watch(&rt.health, "chat.nats", client.clone());

    let log = EventLog::connect(client.clone(), LogOptions::new(&config.nats, &rt.lifecycle));
    rt.metrics
        .register(|registry| log.register_metrics(registry.sub_registry_with_prefix("chat")));
    let database = postgres::connect(&config.postgres, "chat")
        .await
        .context("reading the address of Postgres")?;
    let keys = Keyring::open(database, &config.keys).context("opening the keyring")?;
    let ledger = Ledger::new(log.clone(), keys, "veza/chat");
    let worker = Arc::new(Worker::new(&rt, ledger));

    feed::start(&rt, &log, &worker).await?;
    scheduler::start(&rt, &log, &worker);
    let options = ServeOptions {
        name: "chat",
        subject: "cmd.chat.*.*".into(),
        concurrency: config.chat.max_concurrent_commands,
    };
    rt.started();
    let bus_metrics = BusMetrics::register(&rt.metrics, "chat");
    bus::serve(
        &client,
        &rt.lifecycle,
        &bus_metrics,
        options,
        commands::router(worker),
    )
    .await
}

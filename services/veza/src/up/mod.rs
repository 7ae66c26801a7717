//! `veza up`: the whole platform on one machine, real servers included, until Ctrl-C.

mod report;
pub(crate) mod stack;
pub(crate) mod state;

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use tokio::time::Instant;
use veza_events::{CommandId, Shards};
use veza_platform::{
    ambient,
    bus::Bus,
    config::{Config, Profile},
    contract::{Caller, accounts::InviteAdministrator},
    runtime::Runtime,
    telemetry,
};

use crate::{
    cli::{Cli, Seed, UpArgs},
    commands::setup,
    console::Console,
    roles, seed,
};

/// How long the platform may take until everything answers.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// Starts everything, prints where it is, and stays until it is told to stop.
pub(crate) async fn run(cli: &Cli, args: &UpArgs, console: &Console) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut config = configure(cli, args)?;
    let lock = state::Lock::take(&cli.data_dir)?;
    console.say("starting Veza");
    let step = console.step("servers: NATS, Postgres, Redis, S3");
    let stack = stack::Stack::start(&lock.dir, &mut config).await?;
    step.done();
    state::write_settings(&lock.dir, &config)?;
    let config = roles::checked(config)?;

    let telemetry = telemetry::init(&config.telemetry, "")?;
    let drain = Duration::from_millis(config.lifecycle.drain_timeout_ms);
    let runtime = Runtime::new(config);
    runtime
        .lifecycle
        .listen_for_signals()
        .context("listening for signals")?;
    let supervision = stack.supervise(&runtime.lifecycle, console);

    let outcome = match start_roles(&runtime, args, console).await {
        Ok(token) => {
            let report = report::Report::new(&runtime.config, &lock.dir, started.elapsed(), token);
            lock.publish(&report)?;
            console.result(&report, report::Report::text);
            runtime.lifecycle.soft.cancelled().await;
            Ok(())
        }
        // A stop during the start is not an error, unless it is what failed.
        Err(_) if runtime.lifecycle.is_stopping() => Ok(()),
        Err(error) => Err(error),
    };
    console.say("stopping; once more Ctrl-C stops at once");
    let drained = runtime.lifecycle.drain(drain).await;
    telemetry.shutdown().await;
    supervision.stop().await;
    outcome?;
    Ok(drained?)
}

fn configure(cli: &Cli, args: &UpArgs) -> anyhow::Result<Config> {
    // Not the settings of the last run: their servers are gone.
    let mut config = Config::from_env(cli.config.as_deref())?;
    let defaults = Config::default();
    if cli.config.is_none() {
        config.profile = Profile::Development;
    }
    if let Some(port) = args.port {
        config.gateway.listen = format!("127.0.0.1:{port}");
    }
    if config.gateway.public_url == defaults.gateway.public_url {
        config.gateway.public_url = format!("http://{}", config.gateway.listen);
    }
    if cli.config.is_none() && config.media == defaults.media {
        // Like the gateway: for this machine alone, and beside whatever else runs on it.
        config.media.listen = String::from("127.0.0.1:0");
    }
    if !args.verbose && config.telemetry.log_filter == defaults.telemetry.log_filter {
        // Libraries that log through the `log` crate warn of every connection that ends, ours included.
        config.telemetry.log_filter = String::from("warn,log=error");
    }
    Ok(config)
}

/// Creates what is missing, runs all roles, waits for readiness; gives the administrator's link token.
async fn start_roles(runtime: &Runtime, args: &UpArgs, console: &Console) -> anyhow::Result<Option<String>> {
    let step = console.step("streams, tables and keys");
    setup::apply(&runtime.config, &runtime.lifecycle.soft).await?;
    step.done();
    make_bucket(runtime);

    let step = console.step("roles: accounts, chat, media, projector, notifier, gateway");
    runtime.serve_ops().await.with_context(|| {
        let listen = &runtime.config.telemetry.ops_listen;
        format!("listening on {listen} (set VEZA__TELEMETRY__OPS_LISTEN to a free address)")
    })?;
    runtime.run_role("accounts", veza_accounts::run);
    runtime.run_role("chat", veza_chat::run);
    runtime.run_role("media", veza_media::run);
    runtime.run_role("projector", veza_projector::run);
    runtime.run_role("notifier", veza_notifier::run);
    runtime.run_role("gateway", veza_gateway::run);
    if let Err(report) = runtime.health.ready(READY_WITHIN).await {
        if let Some(failure) = runtime.lifecycle.failure() {
            return Err(failure.into());
        }
        let failing: Vec<String> = report
            .checks
            .into_iter()
            .filter_map(|(name, why)| Some(format!("{name}: {}", why?)))
            .collect();
        anyhow::bail!(
            "not ready after {} s: {}",
            READY_WITHIN.as_secs(),
            failing.join("; ")
        );
    }
    step.done();

    let bus = connect(runtime).await?;
    let caller = Caller {
        command: CommandId::new(ambient::new_uuid()),
        account: None,
        session: None,
        seen: None,
    };
    let invited = bus
        .accounts(&caller, &InviteAdministrator {})
        .await
        .context("inviting the administrator")?;
    match args.seed {
        Some(Seed::Demo) => seed::demo(&bus, console).await.context("filling in the demo")?,
        None => {}
    }
    Ok(invited.token.map(|token| token.expose().to_owned()))
}

/// The S3 server takes longest to start, and people can talk before they send files.
fn make_bucket(runtime: &Runtime) {
    let (config, stop) = (Arc::clone(&runtime.config), runtime.lifecycle.soft.clone());
    runtime.lifecycle.spawn("bucket", async move {
        tokio::select! {
            made = setup::bucket(&config) => if let Err(error) = made {
                tracing::error!(error = format!("{error:#}"), "files cannot be stored");
            },
            () = stop.cancelled() => {}
        }
    });
}

async fn connect(runtime: &Runtime) -> anyhow::Result<Bus> {
    let config = &runtime.config;
    let client = veza_platform::nats::connect(&config.nats, "up", &runtime.lifecycle.soft).await?;
    let shards = Shards::new(u16::try_from(config.nats.shards)?);
    Ok(Bus::new(
        client,
        shards,
        Duration::from_millis(config.gateway.command_timeout_ms),
    ))
}

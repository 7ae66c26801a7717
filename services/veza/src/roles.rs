//! One role as a process of its own.

use std::time::Duration;

use anyhow::Context;
use veza_platform::{
    config::{Config, Severity},
    runtime::Runtime,
    telemetry,
};

use crate::{cli::Cli, up::state};

/// The settings of this command: the named file, else those of the local platform in the data folder,
/// else the defaults; variables go over all of them.
pub(crate) fn settings(cli: &Cli) -> anyhow::Result<Config> {
    let local = state::settings_file(&cli.data_dir);
    let file = cli.config.clone().or_else(|| local.is_file().then_some(local));
    Ok(Config::from_env(file.as_deref())?)
}

/// Refuses settings that a role must not start on, with all their faults at once.
pub(crate) fn checked(config: Config) -> anyhow::Result<Config> {
    let faults: Vec<String> = config
        .check()
        .into_iter()
        .filter(|finding| finding.severity == Severity::Error)
        .map(|finding| format!("\n  {finding}"))
        .collect();
    anyhow::ensure!(
        faults.is_empty(),
        "the settings cannot be used:{}",
        faults.concat()
    );
    Ok(config)
}

/// Runs one role until it is told to stop.
pub(crate) async fn run<F>(cli: &Cli, name: &'static str, role: fn(Runtime) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let config = checked(settings(cli)?)?;
    let telemetry = telemetry::init(&config.telemetry, name)?;
    let drain = Duration::from_millis(config.lifecycle.drain_timeout_ms);
    let runtime = Runtime::new(config);
    runtime
        .lifecycle
        .listen_for_signals()
        .context("listening for signals")?;
    let ops = runtime.serve_ops().await.with_context(|| {
        format!(
            "listening on telemetry.ops_listen, {}",
            runtime.config.telemetry.ops_listen
        )
    })?;
    tracing::info!(role = name, ops.address = %ops, "starting");
    runtime.run_role(name, role);
    runtime.lifecycle.soft.cancelled().await;
    let outcome = runtime.lifecycle.drain(drain).await;
    telemetry.shutdown().await;
    Ok(outcome?)
}

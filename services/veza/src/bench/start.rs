//! How long until it can be used.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::Context;
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::Instant,
};

use super::{Outcome, Row, platform, statistics::Times};
use crate::console::Console;

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Starts on a folder that has been used before.
    #[arg(long, default_value_t = 5)]
    times: usize,
}

pub(super) async fn run(args: &StartArgs, console: &Console) -> anyhow::Result<Outcome> {
    let folder = platform::Folder::new()?;
    let mut outcome = Outcome::default();

    let step = console.step("first `veza up`");
    let first = up(&folder.0.join("up")).await?;
    step.done();
    outcome.rows.push(Row::new(
        "veza up, empty folder",
        first.as_secs_f64(),
        "s",
        "≤ 8 s",
    ));

    let step = console.step("`veza up` again");
    let mut again = Times::default();
    for _ in 0..args.times {
        again.add(up(&folder.0.join("up")).await?);
    }
    step.done();
    outcome.rows.push(Row::new(
        "veza up, used folder, median",
        again.quantile(0.5) / 1_000.0,
        "s",
        "≤ 8 s",
    ));

    let step = console.step("each role");
    let mut fleet = platform::start(&folder, &["accounts", "chat", "projector", "gateway"]).await?;
    for role in &mut fleet.roles {
        let mut times = Times::default();
        for _ in 0..args.times {
            role.stop().await;
            let started = Instant::now();
            role.restart().await?;
            times.add(started.elapsed());
        }
        let name = format!("{} to ready, median", role.name());
        outcome
            .rows
            .push(Row::new(name, times.quantile(0.5), "ms", "≤ 300 ms"));
    }
    step.done();
    Ok(outcome)
}

/// Starts a platform, waits until it says that it is ready, and stops it again.
async fn up(data: &Path) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let mut child = Command::new(std::env::current_exe()?)
        .args(["up", "--json", "--port"])
        .arg(veza_servers::free_port()?.to_string())
        .arg("--data-dir")
        .arg(data)
        .env(
            "VEZA__TELEMETRY__OPS_LISTEN",
            format!("127.0.0.1:{}", veza_servers::free_port()?),
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().context("a piped child has an output")?;
    let mut lines = BufReader::new(stdout).lines();
    lines
        .next_line()
        .await?
        .context("`veza up` ended before it was ready")?;
    let took = started.elapsed();
    let pid = child
        .id()
        .and_then(|id| Pid::from_raw(id.cast_signed()))
        .context("it runs")?;
    kill_process(pid, Signal::TERM)?;
    let status = child.wait().await?;
    anyhow::ensure!(status.success(), "`veza up` did not stop well: {status}");
    Ok(took)
}

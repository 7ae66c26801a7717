//! `veza down`: ask a running `up` to stop, and wait until it has.

use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use crate::{cli::Cli, console::Console, up::state};

/// Longer than the longest drain by default, and the servers after it.
const PATIENCE: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(50);

pub(crate) async fn run(cli: &Cli, console: &Console) -> anyhow::Result<()> {
    let Some(report) = state::running(&cli.data_dir) else {
        console.say(format_args!("nothing runs on {}", cli.data_dir.display()));
        return Ok(());
    };
    let step = console.step("stopping");
    let pid = i32::try_from(report.pid)
        .ok()
        .and_then(Pid::from_raw)
        .context("up.json names no process")?;
    kill_process(pid, Signal::TERM).context("asking the platform to stop")?;
    let gone = async {
        while state::running(&cli.data_dir).is_some() {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.with_context(|| {
        format!(
            "process {pid} still runs; `kill -9 {pid}` ends it and all its servers",
            pid = report.pid
        )
    })?;
    step.done();
    Ok(())
}

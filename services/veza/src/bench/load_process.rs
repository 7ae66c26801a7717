//! A load in a process of its own: it says when all is connected, begins when it is told to, and shows what it saw
//! before it lets go. So the CPU time of a server can be read around the load itself.

use std::io::{BufRead, Read, Write};
use std::process::Stdio;

use anyhow::Context;
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The process, as who started it sees it.
pub(super) struct LoadProcess {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl LoadProcess {
    /// Starts `veza bench <what>` with a plan. Everything is connected when this returns.
    pub(super) async fn start(what: &str, plan: &impl Serialize) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", what])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut input = child.stdin.take().context("a piped child has an input")?;
        let output = BufReader::new(child.stdout.take().context("a piped child has an output")?);
        input.write_all(&line(plan)?).await?;
        let mut load = Self { child, input, output };
        let ready: bool = load.read().await?;
        anyhow::ensure!(ready, "the load is not ready");
        Ok(load)
    }

    /// Lets it begin; gives what it saw, while its connections are still open.
    pub(super) async fn run<S: DeserializeOwned>(&mut self) -> anyhow::Result<S> {
        self.input.write_all(&line(&true)?).await?;
        self.read().await
    }

    /// Lets it go.
    pub(super) async fn end(self) -> anyhow::Result<()> {
        let Self { mut child, input, .. } = self;
        drop(input);
        let status = child.wait().await?;
        anyhow::ensure!(status.success(), "the load failed: {status}");
        Ok(())
    }

    async fn read<S: DeserializeOwned>(&mut self) -> anyhow::Result<S> {
        let mut text = String::new();
        self.output.read_line(&mut text).await?;
        anyhow::ensure!(!text.is_empty(), "the load ended early; what it met stands above");
        Ok(serde_json::from_str(&text)?)
    }
}

/// The plan that this process was started with.
pub(super) fn plan<P: DeserializeOwned>() -> anyhow::Result<P> {
    read_line()
}

/// Says that everything is connected, and waits for the word to begin.
pub(super) fn wait_to_begin() -> anyhow::Result<()> {
    show(&true)?;
    read_line::<bool>().map(drop)
}

/// Shows what was seen, and waits until it was taken.
pub(super) fn finish(seen: &impl Serialize) -> anyhow::Result<()> {
    show(seen)?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn read_line<T: DeserializeOwned>() -> anyhow::Result<T> {
    let mut text = String::new();
    std::io::stdin().lock().read_line(&mut text)?;
    Ok(serde_json::from_str(&text)?)
}

fn show(value: &impl Serialize) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(&line(value)?)?;
    Ok(output.flush()?)
}

fn line(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

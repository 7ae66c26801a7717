//! One role of Veza as a process of its own, as production runs it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;

use crate::error::ServerError;
use crate::process::{Launch, Process};
use crate::tools::Tools;
use crate::{delegate_to_process, folder, http, port};

/// Longer than a role drains by default.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// How a role is started.
#[derive(Debug, Clone)]
pub struct RoleOptions {
    /// The `veza` binary.
    pub binary: PathBuf,
    /// The subcommand: `gateway`, `accounts`, `chat`, `projector`.
    pub role: &'static str,
    /// Folder for its log; made if absent.
    pub dir: PathBuf,
    /// Its settings, as `VEZA__SECTION__KEY`.
    pub env: Vec<(&'static str, String)>,
}

/// A role. Its log is `<role>.log` in its folder.
#[derive(Debug)]
pub struct Role {
    tools: Tools,
    options: RoleOptions,
    ops_port: u16,
    process: Process,
}

impl Role {
    /// Starts it and waits until it is ready.
    pub async fn start(tools: &Tools, options: RoleOptions) -> Result<Self, ServerError> {
        let ops_port = port::free_port()?;
        let process = launch(tools, &options, ops_port).await?;
        Ok(Self {
            tools: tools.clone(),
            options,
            ops_port,
            process,
        })
    }

    /// Starts it again with the same settings, stopping it first if it runs.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        if self.is_running() {
            self.stop().await;
        }
        self.process = launch(&self.tools, &self.options, self.ops_port).await?;
        Ok(())
    }

    /// The subcommand it runs.
    pub fn name(&self) -> &'static str {
        self.options.role
    }

    /// Where its log is.
    pub fn log(&self) -> PathBuf {
        log_of(&self.options)
    }

    /// One page of its health listener, `/readyz` or `/metrics`: status and body.
    pub async fn ops(&self, path: &str) -> std::io::Result<(u16, String)> {
        http::get(self.ops_port, path).await
    }
}

delegate_to_process!(Role);

fn log_of(options: &RoleOptions) -> PathBuf {
    options.dir.join(format!("{}.log", options.role))
}

async fn launch(tools: &Tools, options: &RoleOptions, ops_port: u16) -> Result<Process, ServerError> {
    let dir = folder::create(Path::new(&options.dir))?;
    let mut env = options.env.clone();
    env.push(("VEZA__TELEMETRY__OPS_LISTEN", format!("127.0.0.1:{ops_port}")));
    let launch = Launch {
        server: options.role,
        program: options.binary.clone(),
        args: vec![options.role.into()],
        env,
        folder: dir,
        log: log_of(options),
        run_as: None,
        stop_signal: Signal::TERM,
        stop_within: STOP_WITHIN,
    };
    let process = Process::start(tools, launch).await?;
    process
        .ready(async || Ok(http::is_ok(ops_port, "/readyz").await))
        .await?;
    Ok(process)
}

//! A server as a child process: started, watched, signalled, and never left behind.
//!
//! Every child is started through `setpriv --pdeathsig KILL`, so the kernel ends it when this process
//! ends, however that happens. The kernel watches the *thread* that started the child, hence one thread
//! of our own that starts them all and lives as long as the process.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use crate::error::ServerError;
use crate::log;
use crate::tools::Tools;

/// How long a server may take until it answers; a database that repairs itself after a power cut needs some.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often it is asked meanwhile.
const READY_POLL: Duration = Duration::from_millis(10);
/// How long a killed process and its children may take to disappear.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// The user that a server runs as, when it must not be root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunAs {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// What to start and how to end it.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// Name for messages.
    pub(crate) server: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(&'static str, String)>,
    /// Working folder.
    pub(crate) folder: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) run_as: Option<RunAs>,
    /// The signal on which this server ends in good order.
    pub(crate) stop_signal: Signal,
    /// How long it may take then, before it is killed.
    pub(crate) stop_within: Duration,
}

/// How a server ended.
#[derive(Debug, Clone)]
pub struct Exit {
    /// Name of the server.
    pub server: &'static str,
    /// `exit status: 1`, `signal: 9 (SIGKILL)`.
    pub status: String,
    /// Whether this process had asked for it (stop or kill).
    pub asked: bool,
    /// The last lines of its log, indented, or nothing.
    pub last_words: String,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ended ({}){}", self.server, self.status, self.last_words)
    }
}

/// A running (or ended) server. Dropping it kills it and waits until it is gone.
#[derive(Debug)]
pub(crate) struct Process {
    launch: Launch,
    pid: u32,
    orders: mpsc::Sender<Signal>,
    exit: watch::Receiver<Option<Exit>>,
    gone: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Process {
    /// Starts it; whether it answers is for [`Process::ready`] to say.
    pub(crate) async fn start(tools: &Tools, launch: Launch) -> Result<Self, ServerError> {
        let output = log::open(&launch.log)?;
        let errors = output.try_clone().map_err(ServerError::folder(&launch.log))?;
        let mut command = command(tools, &launch)?;
        command.stdout(output).stderr(errors);

        let (orders, order) = mpsc::channel(8);
        let (exit_sender, exit) = watch::channel(None);
        let (gone_sender, gone) = std::sync::mpsc::sync_channel(1);
        let (started_sender, started) = oneshot::channel();
        let (server, log_file) = (launch.server, launch.log.clone());
        supervisor().spawn(async move {
            let child = match command.spawn() {
                Ok(child) => child,
                Err(error) => return drop(started_sender.send(Err(error))),
            };
            let pid = child.id().expect("a child that was not waited for has an id");
            if started_sender.send(Ok(pid)).is_err() {
                return; // Whoever started it is gone: dropping the child kills it.
            }
            let (status, asked) = supervise(child, order).await;
            let last_words = log::last_words(&log_file);
            let exit = Exit {
                server,
                status: status.to_string(),
                asked,
                last_words,
            };
            tracing::debug!(server, pid, status = exit.status, asked, "server ended");
            exit_sender.send_replace(Some(exit));
            drop(gone_sender);
        });
        let started = started.await.expect("the supervisor answers before it ends");
        let pid = started.map_err(ServerError::folder(&launch.program))?;
        tracing::debug!(server, pid, "server started");
        Ok(Self {
            launch,
            pid,
            orders,
            exit,
            gone: Mutex::new(gone),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn is_running(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// Waits until `check` says yes, the process ends, or the time is over.
    pub(crate) async fn ready<F>(&self, mut check: impl FnMut() -> F) -> Result<(), ServerError>
    where
        F: Future<Output = Result<bool, ServerError>>,
    {
        let answering = async {
            while !check().await? {
                tokio::time::sleep(READY_POLL).await;
            }
            Ok(())
        };
        let server = self.launch.server;
        let log = self.launch.log.clone();
        tokio::select! {
            exit = self.exited() => Err(ServerError::Exited(exit)),
            answer = tokio::time::timeout(READY_WITHIN, answering) => answer.unwrap_or_else(|_| {
                let last_words = log::last_words(&log);
                Err(ServerError::NotReady { server, after: READY_WITHIN, log, last_words })
            }),
        }
    }

    /// Resolves when the process has ended, at once if it already has.
    pub(crate) fn exited(&self) -> impl Future<Output = Exit> + Send + 'static + use<> {
        let mut exit = self.exit.clone();
        async move {
            let ended = exit
                .wait_for(Option::is_some)
                .await
                .expect("the supervisor outlives every child");
            ended.clone().expect("waited until there is one")
        }
    }

    /// Ends it in good order; kills it if that takes too long.
    pub(crate) async fn stop(&self) -> Exit {
        self.order(self.launch.stop_signal).await;
        match tokio::time::timeout(self.launch.stop_within, self.exited()).await {
            Ok(exit) => exit,
            Err(_) => self.kill().await,
        }
    }

    /// SIGKILL; returns when the process and its own children are gone.
    pub(crate) async fn kill(&self) -> Exit {
        let children = self.children();
        self.order(Signal::KILL).await;
        let exit = self.exited().await;
        let gone = async {
            while children
                .iter()
                .any(|child| rustix::process::pidfd_send_signal(child, Signal::KILL).is_ok())
            {
                tokio::time::sleep(READY_POLL).await;
            }
        };
        if tokio::time::timeout(GONE_WITHIN, gone).await.is_err() {
            tracing::warn!(
                server = self.launch.server,
                "children of a killed server are still there"
            );
        }
        exit
    }

    /// SIGSTOP to the process and its children: it is there, and does not answer.
    pub(crate) fn pause(&self) {
        self.signal_all(Signal::STOP);
    }

    /// SIGCONT to the process and its children.
    pub(crate) fn resume(&self) {
        self.signal_all(Signal::CONT);
    }

    fn signal_all(&self, signal: Signal) {
        if !self.is_running() {
            return;
        }
        let own = Pid::from_raw(self.pid.cast_signed())
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        for process in own.into_iter().chain(self.children()) {
            // A child that has ended meanwhile needs no signal.
            let _ = rustix::process::pidfd_send_signal(&process, signal);
        }
    }

    /// Handles of the children that it has started itself (PostgreSQL has some).
    fn children(&self) -> Vec<OwnedFd> {
        let list =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).unwrap_or_default();
        let pids = list
            .split_whitespace()
            .filter_map(|pid| Pid::from_raw(pid.parse().ok()?));
        pids.filter_map(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok())
            .collect()
    }

    async fn order(&self, signal: Signal) {
        // The receiver is gone only when the process is.
        let _ = self.orders.send(signal).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            let children = self.children();
            let _ = self.orders.try_send(Signal::KILL);
            let gone = self
                .gone
                .get_mut()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            // Ends with an error: the sender is dropped when the process has ended.
            let _ = gone.recv_timeout(GONE_WITHIN);
            for child in children {
                let _ = rustix::process::pidfd_send_signal(&child, Signal::KILL);
            }
        }
    }
}

/// Passes signals on until the child has ended; a dropped [`Process`] ends it too.
async fn supervise(mut child: Child, mut orders: mpsc::Receiver<Signal>) -> (ExitStatus, bool) {
    let mut asked = false;
    loop {
        let order = tokio::select! {
            status = child.wait() => return (status.expect("a child can be waited for"), asked),
            order = orders.recv() => order,
        };
        asked = true;
        if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It has not been waited for, so the id is still its own.
            let _ = rustix::process::kill_process(pid, order.unwrap_or(Signal::KILL));
        }
        if order.is_none() {
            return (child.wait().await.expect("a child can be waited for"), asked);
        }
    }
}

/// The thread that starts all children, see the top of this file.
fn supervisor() -> &'static Handle {
    static SUPERVISOR: OnceLock<Handle> = OnceLock::new();
    SUPERVISOR.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("the system has a few file descriptors left");
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("veza-servers".to_owned())
            .spawn(move || runtime.block_on(std::future::pending::<()>()))
            .expect("the system can start one more thread");
        handle
    })
}

fn command(tools: &Tools, launch: &Launch) -> Result<Command, ServerError> {
    let mut command = Command::new(tools.setpriv()?);
    if let Some(RunAs { uid, gid }) = launch.run_as {
        command.args([
            format!("--reuid={uid}"),
            format!("--regid={gid}"),
            "--init-groups".to_owned(),
        ]);
    }
    command
        .args(["--pdeathsig", "KILL", "--"])
        .arg(&launch.program)
        .args(&launch.args);
    command.envs(launch.env.iter().map(|(name, value)| (name, value)));
    // A group of its own: Ctrl-C in the terminal is for us, who then end the servers in order.
    command
        .current_dir(&launch.folder)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .process_group(0);
    Ok(command)
}

/// A program without needs of its own: nobody else's user, no signal that it must have to end.
pub(crate) fn plain(program: &Path, args: &[&str], env: &[(&'static str, String)], folder: &Path) -> Launch {
    Launch {
        server: "a command",
        program: program.to_owned(),
        args: args.iter().map(OsString::from).collect(),
        env: env.to_vec(),
        folder: folder.to_owned(),
        log: PathBuf::new(),
        run_as: None,
        stop_signal: Signal::TERM,
        stop_within: Duration::from_secs(10),
    }
}

/// Runs a program that ends by itself and returns what it printed; not zero is an error.
pub(crate) async fn run(tools: &Tools, launch: Launch) -> Result<String, ServerError> {
    let mut command = command(tools, &launch)?;
    let output = supervisor().spawn(async move { command.output().await });
    let output = output
        .await
        .expect("the supervisor runs forever")
        .map_err(ServerError::folder(&launch.program))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = [output.stdout, output.stderr].concat();
    Err(ServerError::Command {
        program: launch
            .program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        status: output.status.to_string(),
        output: log::indented_tail(&String::from_utf8_lossy(&printed)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(program: &str, args: &[&str]) -> Launch {
        let log =
            std::env::temp_dir().join(format!("veza-process-{}.log", crate::secret::random(6).unwrap()));
        Launch {
            server: "a test",
            program: program.into(),
            args: args.iter().map(OsString::from).collect(),
            env: Vec::new(),
            folder: std::env::temp_dir(),
            log,
            run_as: None,
            stop_signal: Signal::TERM,
            stop_within: Duration::from_millis(50),
        }
    }

    #[tokio::test]
    async fn an_unexpected_exit_is_noticed_with_its_last_words() {
        let launch = launch("/bin/sh", &["-c", "echo the disk is full >&2; exit 3"]);
        let log = launch.log.clone();
        let process = Process::start(&Tools::find(), launch).await.unwrap();
        let exit = process.exited().await;
        std::fs::remove_file(log).unwrap();
        assert!(!exit.asked);
        assert_eq!(
            exit.to_string(),
            "a test ended (exit status: 3)\n    the disk is full"
        );
    }

    #[tokio::test]
    async fn one_that_ignores_the_stop_signal_is_killed() {
        let launch = launch(
            "/bin/sh",
            &["-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"],
        );
        let log = launch.log.clone();
        let process = Process::start(&Tools::find(), launch).await.unwrap();
        process
            .ready(async || Ok(std::fs::read_to_string(&log).unwrap().contains("deaf")))
            .await
            .unwrap();
        let exit = process.stop().await;
        std::fs::remove_file(log).unwrap();
        assert!(exit.asked);
        assert_eq!(exit.status, "signal: 9 (SIGKILL)");
    }

    #[tokio::test]
    async fn dropping_it_leaves_no_process_behind() {
        let launch = launch("/bin/sleep", &["1000"]);
        let log = launch.log.clone();
        let process = Process::start(&Tools::find(), launch).await.unwrap();
        let pid = process.pid();
        drop(process);
        std::fs::remove_file(log).unwrap();
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}

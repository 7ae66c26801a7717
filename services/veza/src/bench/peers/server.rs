//! Starting the others, on loopback, with a configuration of their own and nothing kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};
use veza_servers::free_port;

use super::Peer;

/// How long one may take to answer.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// A running server.
pub(super) struct Server {
    pub(super) port: u16,
    child: Child,
}

impl Server {
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// Ends it and what it has started.
    pub(super) async fn stop(mut self) {
        if let Some(group) = self
            .child
            .id()
            .and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed()))
        {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait().await;
    }
}

pub(super) async fn start(peer: Peer, folder: &Path) -> anyhow::Result<Server> {
    let folder = folder.join(peer.name());
    fs::create_dir_all(&folder)?;
    let port = free_port()?;
    let mut command = match peer {
        Peer::Mosquitto => mosquitto(&folder, port)?,
        Peer::Ejabberd => ejabberd(&folder, port)?,
        Peer::SocketIo => socket_io(&folder, port)?,
    };
    let log = fs::File::create(folder.join("log"))?;
    command
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let ends = Instant::now() + READY_WITHIN;
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        if child.try_wait()?.is_some() || Instant::now() > ends {
            let _ = child.start_kill();
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(5).collect();
            anyhow::bail!("it did not start: {}", lines.join(" | "));
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(Server { port, child })
}

/// A program of `PATH`, or of the folder for system services, which is not in everybody's.
fn program(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("not installed here; install the package `{package}` to compare with it"))
}

fn mosquitto(folder: &Path, port: u16) -> anyhow::Result<Command> {
    let config = folder.join("mosquitto.conf");
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 0\n\
        set_tcp_nodelay true\nlog_type error\n"
    );
    fs::write(&config, text)?;
    let mut command = Command::new(program("mosquitto", "mosquitto")?);
    command.arg("-c").arg(config);
    Ok(command)
}

/// Nobody is told who comes and goes: with a thousand members that alone is a million messages.
fn ejabberd(folder: &Path, port: u16) -> anyhow::Result<Command> {
    let text = format!(
        "hosts: [localhost]\nloglevel: error\nlisten:\n  - port: {port}\n    ip: \"127.0.0.1\"\n    \
        module: ejabberd_c2s\n    starttls: false\nauth_method: [anonymous]\nanonymous_protocol: sasl_anon\n\
        allow_multiple_connections: true\nmodules:\n  mod_muc:\n    host: conference.localhost\n    \
        max_users: 5000\n    default_room_options:\n      max_users: 5000\n      presence_broadcast: []\n"
    );
    let (config, control) = (folder.join("ejabberd.yml"), folder.join("ejabberdctl.cfg"));
    fs::write(&config, text)?;
    let node = format!("veza{port}@localhost");
    let text = format!("INET_DIST_INTERFACE=127.0.0.1\nERL_EPMD_ADDRESS=127.0.0.1\nERLANG_NODE={node}\n");
    fs::write(&control, text)?;
    let (spool, logs) = (folder.join("spool"), folder.join("logs"));
    fs::create_dir_all(&spool)?;
    fs::create_dir_all(&logs)?;
    let control_program = program("ejabberdctl", "ejabberd")?;
    // Root may not run it; the package has made a user for it, who must own what it writes.
    let mut command = if rustix::process::geteuid().is_root() {
        let owned = std::process::Command::new("chown")
            .args(["-R", "ejabberd"])
            .arg(folder)
            .status()?;
        anyhow::ensure!(
            owned.success(),
            "its folder could not be given to the user `ejabberd`"
        );
        let mut command = Command::new(program("setpriv", "util-linux")?);
        command
            .args(["--reuid=ejabberd", "--regid=ejabberd", "--clear-groups"])
            .arg(control_program);
        command
    } else {
        Command::new(control_program)
    };
    command
        .arg("--config")
        .arg(config)
        .arg("--ctl-config")
        .arg(control)
        .arg("--spool")
        .arg(spool)
        .arg("--logs")
        .arg(logs)
        .arg("foreground")
        .env("HOME", folder);
    Ok(command)
}

const SOCKET_IO: &str = "
const { Server } = require('socket.io');
const io = new Server(Number(process.argv[2]), { transports: ['websocket'], serveClient: false, perMessageDeflate: false });
io.on('connection', (socket) => {
  socket.on('join', (room, done) => { socket.join(room); done(); });
  socket.on('say', (room, text) => io.to(room).emit('said', text));
});
";

fn socket_io(folder: &Path, port: u16) -> anyhow::Result<Command> {
    let node = program("node", "nodejs")?;
    let script = folder.join("server.js");
    fs::write(&script, SOCKET_IO)?;
    let installed = std::process::Command::new(program("npm", "npm")?)
        .args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"])
        .arg(folder)
        .arg("socket.io@4.8")
        .output()?;
    anyhow::ensure!(installed.status.success(), "npm could not install socket.io 4.8");
    let mut command = Command::new(node);
    command.arg(script).arg(port.to_string());
    Ok(command)
}

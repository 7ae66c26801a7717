//! The same rooms on other servers, in the same run: what a delivery costs them.
//!
//! Each is used as its users would for chat: mosquitto with one topic a room (`QoS` 0: no acks, no history),
//! ejabberd with group chats, socket.io with rooms of its own. None of them stores what is said, Veza does.

mod load;
mod server;
mod wire;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load_process::LoadProcess;
use super::{Outcome, Row, machine};
use crate::console::Console;

pub(super) use load::run as load;

/// How long all members may take to join.
const JOIN_WITHIN: Duration = Duration::from_secs(45);

/// Another server.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Peer {
    Mosquitto,
    Ejabberd,
    SocketIo,
}

impl Peer {
    const ALL: [Self; 3] = [Self::Mosquitto, Self::Ejabberd, Self::SocketIo];

    fn name(self) -> &'static str {
        match self {
            Self::Mosquitto => "mosquitto",
            Self::Ejabberd => "ejabberd",
            Self::SocketIo => "socket.io",
        }
    }
}

/// A load: in each room, `messages` messages at `rate` a second reach `members` members.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Fan {
    pub(super) rooms: usize,
    pub(super) members: usize,
    pub(super) rate: f64,
    pub(super) messages: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    peer: Peer,
    port: u16,
    fan: Fan,
}

/// What one load process saw.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Seen {
    delivered: u64,
    faults: Vec<String>,
}

/// What Veza reached: deliveries per CPU-second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    /// Of the gateway alone.
    pub(super) gateway: f64,
    /// Of all roles and servers.
    pub(super) platform: f64,
}

/// Runs the load on every peer that is installed.
pub(super) async fn run(
    folder: &Path,
    fan: Fan,
    ours: Ours,
    console: &Console,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    for peer in Peer::ALL {
        let step = console.step(format!("the same rooms on {}", peer.name()));
        let server = match server::start(peer, folder).await {
            Ok(server) => server,
            Err(error) => {
                outcome.faults.push(format!("{}: {error:#}", peer.name()));
                continue;
            }
        };
        let port = server.port;
        let plan = Plan { peer, port, fan };
        let joined = tokio::time::timeout(JOIN_WITHIN, LoadProcess::start("peer-load", &plan)).await;
        let Ok(load) = joined else {
            server.stop().await;
            let fault = format!("{}: {} members could not join in time", peer.name(), fan.members);
            outcome.faults.push(fault);
            continue;
        };
        let mut load = load?;
        let before = machine::cpu_seconds(&[server.pid()]);
        let seen: Seen = load.run().await?;
        let cpu = machine::cpu_seconds(&[server.pid()]) - before;
        load.end().await?;
        server.stop().await;
        step.done();
        let theirs = seen.delivered as f64 / cpu;
        let name = |of: &str| format!("{of} against {}, deliveries per CPU-second", peer.name());
        outcome.rows.extend([
            Row::new(name("gateway"), ours.gateway, "/s", "").against(peer.name(), theirs),
            Row::new(name("whole platform"), ours.platform, "/s", "").against(peer.name(), theirs),
        ]);
        let fault = |fault| format!("{}: {fault}", peer.name());
        outcome.faults.extend(seen.faults.into_iter().map(fault));
    }
    Ok(())
}

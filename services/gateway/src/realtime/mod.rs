//! The WebSocket: commands in, events out.
//!
//! An event takes this way: `feed` (one reader per stream of the log) → `hub` (opens it once and builds its
//! frame once) → `room` (hands the same bytes to every watcher) → `outbox` (what waits for one socket) →
//! `socket` (one task per connection). A command goes from `socket` to `commands` and over the bus to a
//! worker; its event comes back on the way above. What a client missed is filled by `resume`.
//!
//! Nothing is decided here, and nothing is kept that another gateway could not rebuild.

mod access;
mod account;
mod asyncapi;
mod calls;
mod commands;
mod direct;
mod feed;
mod following;
mod frames;
#[cfg(test)]
mod fuzz;
mod gaps;
mod hub;
mod metrics;
mod notices;
mod outbox;
mod presence;
mod rate;
mod reader;
mod resume;
mod ring;
mod room;
mod services;
mod socket;
mod sockets;
mod typing;
mod upgrade;
mod writer;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use veza_events::Shards;
use veza_platform::config::RealtimeConfig;
use veza_platform::event_log::{EventLog, StreamName};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::runtime::Runtime;

pub use crate::changes::About;
pub use crate::rooms::Place;
pub use asyncapi::document;
pub use services::{Identity, Services};
pub use upgrade::Upgrade;

pub(crate) use following::{File, Following, Happened, ResetReason, Told};

use hub::{Hub, HubParts};
use metrics::RealtimeMetrics;
use presence::Presence;
use sockets::Sockets;

/// How often badges, idle rooms and gauges are looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How often open sockets are compared with the sessions that were ended.
const REVOCATION: Duration = Duration::from_millis(250);
/// Housekeepings in which a change of an access is remembered; longer than any cache takes to follow.
const CHANGES_TURN: u32 = 5;
/// Longest wait for a connection after its handshake was answered.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

/// The `WebSockets` of this gateway. Cheap to clone.
#[derive(Clone)]
pub struct Realtime {
    hub: Arc<Hub>,
    limits: Arc<RealtimeConfig>,
    lifecycle: Lifecycle,
}

impl Realtime {
    /// Begins to follow the log. Its tasks belong to the runtime's life; when that is asked to stop, every
    /// client is asked to come back, and drained.
    pub fn start(
        runtime: &Runtime,
        client: async_nats::Client,
        log: EventLog,
        services: Arc<dyn Services>,
    ) -> Self {
        let Runtime {
            config,
            lifecycle,
            metrics,
            ..
        } = runtime;
        let shards = Shards::new(u16::try_from(config.nats.shards).unwrap_or(u16::MAX));
        let limits = Arc::new(config.realtime.clone());
        let (presence, doubts) = Presence::new(client.clone(), &limits);
        let hub = Arc::new(Hub::new(HubParts {
            services,
            log,
            lifecycle: lifecycle.clone(),
            metrics: RealtimeMetrics::new(metrics),
            sockets: Sockets::new(limits.max_sockets_per_account),
            shards,
            ring_events: limits.ring_events,
            deflate_min: limits.deflate_min_bytes,
            presence,
            client,
        }));
        // These go on until the last socket is drained.
        for shard in 0..shards.count() {
            lifecycle.accompany(
                "live feed",
                feed::run(Arc::clone(&hub), StreamName::spaces(shard)),
            );
        }
        lifecycle.accompany("accesses", access::run(Arc::clone(&hub)));
        lifecycle.accompany("notices", notices::run(Arc::clone(&hub)));
        lifecycle.accompany("presence", presence::run(Arc::clone(&hub)));
        lifecycle.accompany("presence feed", presence::listen(Arc::clone(&hub)));
        lifecycle.accompany("presence accesses", presence::settle(Arc::clone(&hub), doubts));
        lifecycle.accompany(
            "typing",
            typing::run(Arc::clone(&hub), Duration::from_millis(limits.typing_ttl_ms)),
        );
        lifecycle.accompany("calls", direct::run(Arc::clone(&hub)));
        lifecycle.accompany("housekeeping", keep_house(Arc::clone(&hub)));
        lifecycle.accompany("revocations", revoke(Arc::clone(&hub)));
        let jitter = Duration::from_millis(
            limits
                .restart_jitter_ms
                .min(config.lifecycle.drain_timeout_ms / 2),
        );
        let (soft, draining) = (lifecycle.soft.clone(), Arc::clone(&hub));
        lifecycle.spawn("drain sockets", async move {
            soft.cancelled().await;
            draining.sockets.drain(jitter).await;
        });
        Self {
            hub,
            limits,
            lifecycle: lifecycle.clone(),
        }
    }

    /// Whether clients are being asked to come back.
    pub fn is_draining(&self) -> bool {
        self.hub.sockets.is_draining() || self.lifecycle.is_stopping()
    }

    /// Serves a connection, once it is there, as a task of its own.
    pub fn accept<S>(&self, connection: impl Future<Output = Option<S>> + Send + 'static)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (hub, limits) = (Arc::clone(&self.hub), Arc::clone(&self.limits));
        self.lifecycle.spawn("socket", async move {
            if let Ok(Some(io)) = tokio::time::timeout(UPGRADE_TIMEOUT, connection).await {
                socket::serve(io, hub, limits).await;
            }
        });
    }
}

async fn keep_house(hub: Arc<Hub>) {
    for turn in 0_u32.. {
        tokio::time::sleep(HOUSEKEEPING).await;
        hub.keep_house();
        if turn % CHANGES_TURN == 0 {
            hub.changes.turn();
        }
    }
}

/// Closes the sockets of sessions that were ended.
async fn revoke(hub: Arc<Hub>) {
    loop {
        tokio::time::sleep(REVOCATION).await;
        for session in hub.sockets.sessions() {
            if hub.services.is_over(session) {
                hub.sockets.revoke(session);
            }
        }
    }
}

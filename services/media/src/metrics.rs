//! Numbers of the calls that a worker carries.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use crate::core::Carried;

/// Of all shards together.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardMetrics {
    datagrams_in: Counter,
    strangers: Counter,
    packets_in: Counter,
    packets_out: Counter,
    keyframes: Counter,
    datagrams_out: Counter,
    messages_out: Counter,
    datagrams_lost: Counter,
    peers: Gauge,
    before: Arc<Before>,
}

/// What one shard had carried when it was last looked at; not shared between shards.
#[derive(Debug, Default)]
struct Before {
    all: [AtomicU64; 6],
}

impl ShardMetrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let mut counter = |name: &str, help: &str, counter: &Counter| {
            registry.register(format!("media_{name}"), help, counter.clone());
        };
        counter("datagrams_in", "Datagrams received", &metrics.datagrams_in);
        counter(
            "datagrams_strange",
            "Datagrams from nobody known",
            &metrics.strangers,
        );
        counter("packets_in", "Packets of media received", &metrics.packets_in);
        counter("packets_out", "Packets of media forwarded", &metrics.packets_out);
        counter("keyframes_asked", "Keyframes asked for", &metrics.keyframes);
        counter("datagrams_out", "Datagrams sent", &metrics.datagrams_out);
        counter(
            "messages_out",
            "Messages to the system that they went out in",
            &metrics.messages_out,
        );
        counter(
            "datagrams_lost",
            "Datagrams the system did not take",
            &metrics.datagrams_lost,
        );
        let peers = metrics.peers.clone();
        registry.register("media_peers", "Connections of participants", peers);
        metrics
    }

    /// The same numbers, as another shard counts them.
    pub(crate) fn of_shard(&self) -> Self {
        Self {
            before: Arc::default(),
            ..self.clone()
        }
    }

    pub(crate) fn carried(&self, carried: Carried, peers: usize) {
        let peers = peers as u64;
        let now = [
            carried.datagrams_in,
            carried.strangers,
            carried.packets_in,
            carried.packets_out,
            carried.keyframes,
        ];
        let counters = [
            &self.datagrams_in,
            &self.strangers,
            &self.packets_in,
            &self.packets_out,
            &self.keyframes,
        ];
        for ((before, now), counter) in self.before.all.iter().zip(now).zip(counters) {
            counter.inc_by(now - before.swap(now, Ordering::Relaxed));
        }
        let before = self.before.all[5].swap(peers, Ordering::Relaxed);
        self.peers.inc_by(peers.cast_signed() - before.cast_signed());
    }

    pub(crate) fn sent(&self, datagrams: usize, taken: bool) {
        if taken {
            self.datagrams_out.inc_by(datagrams as u64);
            self.messages_out.inc();
        } else {
            self.datagrams_lost.inc_by(datagrams as u64);
        }
    }
}

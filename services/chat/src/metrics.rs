//! What the worker's memory does. Commands are counted by the bus.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
};
use veza_platform::telemetry::{Metrics, Register};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Lookup {
    cache: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Held {
    cache: &'static str,
}

/// Counts the lookups of all caches.
#[derive(Clone, Debug, Default)]
pub(crate) struct CacheMetrics(Family<Lookup, Counter>);

/// Counts the lookups of one cache.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookups {
    hits: Counter,
    misses: Counter,
}

impl CacheMetrics {
    /// Registers `veza_chat_cache_lookups_total`.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let made = Self::default();
        let help = "Spaces and memberships looked up, by whether they were in memory";
        metrics.register(|registry| registry.register("chat_cache_lookups", help, made.0.clone()));
        made
    }

    /// The counters of one cache.
    pub(crate) fn of(&self, cache: &'static str) -> Lookups {
        let counter = |outcome| self.0.get_or_create(&Lookup { cache, outcome }).clone();
        Lookups {
            hits: counter("hit"),
            misses: counter("miss"),
        }
    }
}

impl Lookups {
    pub(crate) fn hit(&self) {
        self.hits.inc();
    }

    pub(crate) fn miss(&self) {
        self.misses.inc();
    }

    #[cfg(test)]
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.hits.get(), self.misses.get())
    }
}

/// The size of a cache when it is asked for.
type Size = Box<dyn Fn() -> u64 + Send + Sync>;

/// `veza_chat_cache_entries`.
struct Sizes(Vec<(&'static str, Size)>);

impl std::fmt::Debug for Sizes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sizes")
    }
}

impl Collector for Sizes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let gauge = ConstGauge::new(0_u64);
        let help = "Spaces and memberships in memory";
        let mut metric = encoder.encode_descriptor("chat_cache_entries", help, None, gauge.metric_type())?;
        for (cache, size) in &self.0 {
            ConstGauge::new(size()).encode(metric.encode_family(&Held { cache })?)?;
        }
        Ok(())
    }
}

/// Registers the sizes of caches.
pub(crate) fn register_sizes(metrics: &Metrics, sizes: Vec<(&'static str, Size)>) {
    metrics.register(|registry| registry.register_collector(Box::new(Sizes(sizes))));
}

/// What becomes of messages that wait for their time.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScheduleMetrics {
    pub(crate) waiting: Gauge,
    pub(crate) sent: Counter,
    pub(crate) refused: Counter,
    pub(crate) delayed: Counter,
}

impl ScheduleMetrics {
    /// Registers `veza_chat_scheduled_…`.
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let made = Self::default();
        metrics.register(|registry| {
            registry
                .named(
                    "chat_scheduled_waiting",
                    "Messages that wait for their time",
                    &made.waiting,
                )
                .named(
                    "chat_scheduled_sent",
                    "Scheduled messages that this worker has said",
                    &made.sent,
                )
                .named(
                    "chat_scheduled_refused",
                    "Scheduled messages that were not allowed when their time came",
                    &made.refused,
                )
                .named(
                    "chat_scheduled_delayed",
                    "Tries to say a scheduled message that have to be made again",
                    &made.delayed,
                );
        });
        made
    }
}

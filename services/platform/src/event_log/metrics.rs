//! What the log tells about itself.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

/// Handles shared by all parts of one [`super::EventLog`].
#[derive(Debug, Clone)]
pub(super) struct LogMetrics {
    /// From the call to the answer, waiting in the queue included.
    pub(super) append_seconds: Histogram,
    pub(super) batch_events: Histogram,
    pub(super) appended: Counter,
    pub(super) duplicates: Counter,
    pub(super) conflicts: Counter,
    pub(super) unavailable: Counter,
    pub(super) waiting: Gauge,
    pub(super) lagged: Counter,
    pub(super) refills: Counter,
}

impl Default for LogMetrics {
    fn default() -> Self {
        Self {
            append_seconds: Histogram::new(exponential_buckets(0.000_25, 2.0, 16)),
            batch_events: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
            appended: Counter::default(),
            duplicates: Counter::default(),
            conflicts: Counter::default(),
            unavailable: Counter::default(),
            waiting: Gauge::default(),
            lagged: Counter::default(),
            refills: Counter::default(),
        }
    }
}

impl LogMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let log = registry.sub_registry_with_prefix("log");
        log.register_with_unit(
            "append",
            "From an append to its answer",
            Unit::Seconds,
            self.append_seconds.clone(),
        );
        log.register(
            "batch_events",
            "Events of one atomic batch",
            self.batch_events.clone(),
        );
        log.register("appended_events", "Events stored", self.appended.clone());
        log.register(
            "duplicate_events",
            "Events that were stored before",
            self.duplicates.clone(),
        );
        log.register(
            "append_conflicts",
            "Appends decided on a state that had changed",
            self.conflicts.clone(),
        );
        log.register(
            "append_unavailable",
            "Appends without an answer",
            self.unavailable.clone(),
        );
        log.register(
            "waiting_appends",
            "Appends sent or waiting to be sent",
            self.waiting.clone(),
        );
        log.register(
            "live_lags",
            "Times a live feed may have missed events",
            self.lagged.clone(),
        );
        log.register(
            "follow_refills",
            "Times a follower had to read what its live feed missed",
            self.refills.clone(),
        );
    }
}

/// Counts something as under way until it is dropped.
pub(super) struct Counted<'a>(&'a Gauge);

impl<'a> Counted<'a> {
    pub(super) fn new(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

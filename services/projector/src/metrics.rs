//! What the projector tells about itself.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// Which stream a value is of.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StreamLabel {
    stream: String,
}

type PerStream<M, C = fn() -> M> = Family<StreamLabel, M, C>;

/// Values of all streams. Cheap to clone.
#[derive(Clone)]
pub struct ProjectorMetrics {
    events: PerStream<Counter>,
    rows: PerStream<Counter>,
    unknown: PerStream<Counter>,
    parked: PerStream<Counter>,
    retries: PerStream<Counter>,
    cache_failures: PerStream<Counter>,
    notices: PerStream<Counter>,
    notices_delayed: PerStream<Counter>,
    /// Mentions of which only those were told who are called by name.
    pub(crate) mentions_left_out: Counter,
    position: PerStream<Gauge>,
    lag_events: PerStream<Gauge>,
    lag_seconds: PerStream<Gauge<f64, AtomicU64>>,
    owner: PerStream<Gauge>,
    batch_events: Family<StreamLabel, Histogram, Buckets>,
    commit_seconds: Family<StreamLabel, Histogram, Buckets>,
    delay_seconds: Family<StreamLabel, Histogram, Buckets>,
}

/// Values of one stream.
#[derive(Clone, Debug)]
pub(crate) struct StreamMetrics {
    /// Events applied or parked.
    pub(crate) events: Counter,
    /// Rows inserted, changed or deleted.
    pub(crate) rows: Counter,
    /// Events of unknown types.
    pub(crate) unknown: Counter,
    /// Events parked.
    pub(crate) parked: Counter,
    /// Times that the loop had to begin anew.
    pub(crate) retries: Counter,
    /// Times that the cache missed something and a new generation was needed.
    pub(crate) cache_failures: Counter,
    /// Notices told.
    pub(crate) notices: Counter,
    /// Times that notices could not be told at once.
    pub(crate) notices_delayed: Counter,
    /// Position of the tables.
    pub(crate) position: Gauge,
    /// Events that are stored but not applied.
    pub(crate) lag_events: Gauge,
    /// Age of the newest applied event while there are newer ones; else 0.
    pub(crate) lag_seconds: Gauge<f64, AtomicU64>,
    /// 1 where this process applies the stream.
    pub(crate) owner: Gauge,
    /// Events per transaction.
    pub(crate) batch_events: Histogram,
    /// Length of a transaction.
    pub(crate) commit_seconds: Histogram,
    /// From stored to readable, of the last event of each batch.
    pub(crate) delay_seconds: Histogram,
}

#[derive(Clone)]
struct Buckets {
    start: f64,
    factor: f64,
    count: u16,
}

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(exponential_buckets(self.start, self.factor, self.count))
    }
}

fn counters() -> PerStream<Counter> {
    Family::new_with_constructor(Counter::default)
}

impl ProjectorMetrics {
    /// Metrics that show up in `registry`.
    pub fn register(registry: &mut Registry) -> Self {
        let seconds = || {
            Family::new_with_constructor(Buckets {
                start: 0.001,
                factor: 2.0,
                count: 16,
            })
        };
        let metrics = Self {
            events: counters(),
            rows: counters(),
            unknown: counters(),
            parked: counters(),
            retries: counters(),
            cache_failures: counters(),
            notices: counters(),
            notices_delayed: counters(),
            mentions_left_out: Counter::default(),
            position: Family::new_with_constructor(Gauge::default),
            lag_events: Family::new_with_constructor(Gauge::default),
            lag_seconds: Family::new_with_constructor(Gauge::default),
            owner: Family::new_with_constructor(Gauge::default),
            batch_events: Family::new_with_constructor(Buckets {
                start: 1.0,
                factor: 2.0,
                count: 14,
            }),
            commit_seconds: seconds(),
            delay_seconds: seconds(),
        };
        metrics.announce(registry);
        metrics
    }

    fn announce(&self, registry: &mut Registry) {
        let mut add = |name: &str, help: &str, counter: &PerStream<Counter>| {
            registry.register(format!("projector_{name}"), help, counter.clone());
        };
        add("events", "Events applied or parked", &self.events);
        add("rows", "Rows inserted, changed or deleted", &self.rows);
        add(
            "unknown_events",
            "Events of types that this version does not know",
            &self.unknown,
        );
        add("parked_events", "Events that could not be applied", &self.parked);
        add(
            "retries",
            "Times that applying began anew after a failure",
            &self.retries,
        );
        add(
            "cache_failures",
            "Times that the cache missed something",
            &self.cache_failures,
        );
        add("notices", "Notices told to accounts", &self.notices);
        add(
            "notices_delayed",
            "Times that notices could not be told at once",
            &self.notices_delayed,
        );
        registry.register(
            "projector_mentions_left_out",
            "Mentions of roles and everybody that reached too many, and told only those called by name",
            self.mentions_left_out.clone(),
        );
        registry.register(
            "projector_position",
            "Last applied sequence",
            self.position.clone(),
        );
        registry.register(
            "projector_lag_events",
            "Events stored but not applied",
            self.lag_events.clone(),
        );
        let help = "Age of the newest applied event while there are newer ones";
        registry.register("projector_lag_seconds", help, self.lag_seconds.clone());
        registry.register(
            "projector_owner",
            "1 where this process applies the stream",
            self.owner.clone(),
        );
        registry.register(
            "projector_batch_events",
            "Events per transaction",
            self.batch_events.clone(),
        );
        registry.register(
            "projector_commit_seconds",
            "Length of a transaction",
            self.commit_seconds.clone(),
        );
        registry.register(
            "projector_delay_seconds",
            "From stored to readable",
            self.delay_seconds.clone(),
        );
    }

    pub(crate) fn of(&self, stream: &str) -> StreamMetrics {
        let label = StreamLabel {
            stream: stream.to_owned(),
        };
        StreamMetrics {
            events: self.events.get_or_create_owned(&label),
            rows: self.rows.get_or_create_owned(&label),
            unknown: self.unknown.get_or_create_owned(&label),
            parked: self.parked.get_or_create_owned(&label),
            retries: self.retries.get_or_create_owned(&label),
            cache_failures: self.cache_failures.get_or_create_owned(&label),
            notices: self.notices.get_or_create_owned(&label),
            notices_delayed: self.notices_delayed.get_or_create_owned(&label),
            position: self.position.get_or_create_owned(&label),
            lag_events: self.lag_events.get_or_create_owned(&label),
            lag_seconds: self.lag_seconds.get_or_create_owned(&label),
            owner: self.owner.get_or_create_owned(&label),
            batch_events: self.batch_events.get_or_create_owned(&label),
            commit_seconds: self.commit_seconds.get_or_create_owned(&label),
            delay_seconds: self.delay_seconds.get_or_create_owned(&label),
        }
    }
}

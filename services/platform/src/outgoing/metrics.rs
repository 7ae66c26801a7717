//! What becomes of requests to servers that people name.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::telemetry::Metrics;

/// Upper bounds in seconds.
const BUCKETS: [f64; 8] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    /// `answered`, or why not.
    outcome: &'static str,
}

#[derive(Clone, Debug)]
pub(super) struct OutgoingMetrics {
    requests: Family<Outcome, Counter>,
    seconds: Histogram,
}

impl OutgoingMetrics {
    /// Registers `veza_<role>_outgoing_requests_total` and `veza_<role>_outgoing_request_seconds`.
    pub(super) fn register(metrics: &Metrics, role: &str) -> Self {
        let made = Self {
            requests: Family::default(),
            seconds: Histogram::new(BUCKETS),
        };
        metrics.register(|registry| {
            let help = "Requests to servers that people named";
            registry.register(format!("{role}_outgoing_requests"), help, made.requests.clone());
            let help = "Time of a request to a server that people named, with its redirects";
            registry.register(
                format!("{role}_outgoing_request_seconds"),
                help,
                made.seconds.clone(),
            );
        });
        made
    }

    pub(super) fn ended(&self, outcome: &'static str, took: Duration) {
        self.requests.get_or_create(&Outcome { outcome }).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

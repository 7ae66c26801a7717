//! How the object store answers.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use crate::telemetry::Metrics;

/// Upper bounds in seconds.
const BUCKETS: [f64; 10] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    operation: &'static str,
    /// `ok`, `absent`, `refused` or `unavailable`.
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

/// The metrics of one role's use of the store.
#[derive(Clone, Debug)]
pub(super) struct BlobMetrics {
    requests: Family<Outcome, Counter>,
    seconds: Family<Operation, Histogram, fn() -> Histogram>,
}

impl BlobMetrics {
    /// Registers `veza_<role>_blob_requests_total` and `veza_<role>_blob_request_seconds`.
    pub(super) fn register(metrics: &Metrics, role: &str) -> Self {
        let made = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        };
        metrics.register(|registry| {
            let requests = "Requests to the object store, each try one";
            registry.register(format!("{role}_blob_requests"), requests, made.requests.clone());
            let seconds = "Time of a request to the object store";
            registry.register(
                format!("{role}_blob_request_seconds"),
                seconds,
                made.seconds.clone(),
            );
        });
        made
    }

    pub(super) fn answered(&self, operation: &'static str, outcome: &'static str, took: Duration) {
        self.requests.get_or_create(&Outcome { operation, outcome }).inc();
        self.seconds
            .get_or_create(&Operation { operation })
            .observe(took.as_secs_f64());
    }
}

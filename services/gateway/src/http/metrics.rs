//! How many requests were answered, how, and how fast; by route, never by path.

use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use veza_platform::telemetry::{Metrics, Register};

/// Upper bounds in seconds: a read takes about a millisecond, a sign-in with its hash a good deal longer.
const BUCKETS: [f64; 12] = [
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

/// The metrics of requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct RequestMetrics {
    answered: Family<Answer, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
    under_way: Gauge,
}

impl RequestMetrics {
    pub(super) fn register(metrics: &Metrics) -> Self {
        let made = Self {
            answered: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            under_way: Gauge::default(),
        };
        metrics.register(|registry| {
            registry
                .named(
                    "http_requests",
                    "Requests answered, by route and status",
                    &made.answered,
                )
                .named(
                    "http_request_seconds",
                    "Time from the head of a request to its answer",
                    &made.seconds,
                )
                .named("http_requests_under_way", "Requests under way", &made.under_way);
        });
        made
    }

    /// Counts a request as under way until the returned value is dropped.
    pub(super) fn begin(&self) -> UnderWay {
        self.under_way.inc();
        UnderWay(self.under_way.clone())
    }

    /// `route` is the pattern that matched, if any did.
    pub(super) fn answered(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let method = method_name(method);
        let route = route.unwrap_or("unmatched").to_owned();
        let answer = Answer {
            method,
            route: route.clone(),
            status: status.as_u16(),
        };
        self.answered.get_or_create(&answer).inc();
        let seconds = self.seconds.get_or_create(&Route { method, route });
        seconds.observe(took.as_secs_f64());
    }
}

pub(super) struct UnderWay(Gauge);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Clients can invent methods; labels are a closed set.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

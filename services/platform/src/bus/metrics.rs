//! How many commands a worker answered, how, and how fast.

use std::time::Duration;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
};

use crate::telemetry::Metrics;

/// Upper bounds in seconds: a stored message takes about a millisecond, a password hash about 200.
const BUCKETS: [f64; 12] = [
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    command: String,
    /// `ok`, or the code of the refusal: both are closed sets.
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    command: String,
}

/// The metrics of one worker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct BusMetrics {
    answered: Family<Outcome, Counter>,
    seconds: Family<Named, Histogram, fn() -> Histogram>,
}

impl BusMetrics {
    /// Registers `veza_<worker>_commands_total` and `veza_<worker>_command_seconds`.
    pub fn register(metrics: &Metrics, worker: &str) -> Self {
        let made = Self {
            answered: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        };
        metrics.register(|registry| {
            let answered = "Commands answered, by name and outcome";
            registry.register(format!("{worker}_commands"), answered, made.answered.clone());
            let seconds = "Time from taking a command to having its answer";
            registry.register(format!("{worker}_command_seconds"), seconds, made.seconds.clone());
        });
        made
    }

    pub(super) fn answered(&self, command: &str, refused: Option<&str>, took: Duration) {
        let command = command.to_owned();
        let outcome = refused.unwrap_or("ok").to_owned();
        self.answered
            .get_or_create(&Outcome {
                command: command.clone(),
                outcome,
            })
            .inc();
        self.seconds
            .get_or_create(&Named { command })
            .observe(took.as_secs_f64());
    }
}

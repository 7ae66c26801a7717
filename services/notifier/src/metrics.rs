//! What is counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    stream: String,
}

/// The metrics of the role, `veza_notifier_…`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    pushes: Family<Outcome, Counter>,
    behind: Family<Of, Gauge>,
    pub(crate) waiting: Gauge,
    mails: Family<Outcome, Counter>,
    pub(crate) mails_waiting: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
        let registry = registry.sub_registry_with_prefix("notifier");
        let help = "Pushes to devices, by what became of them";
        registry.register("pushes", help, made.pushes.clone());
        let help = "Seconds between a message and the time at which it was decided who is told";
        registry.register("behind_seconds", help, made.behind.clone());
        let help = "Pushes that wait to be sent";
        registry.register("pushes_waiting", help, made.waiting.clone());
        let help = "Mails, by what became of them";
        registry.register("mails", help, made.mails.clone());
        let help = "Mails that wait to be sent";
        registry.register("mails_waiting", help, made.mails_waiting.clone());
        made
    }

    /// `taken`, `gone`, `signed_out`, `refused`, `dropped`.
    pub(crate) fn push(&self, outcome: &'static str) {
        self.pushes.get_or_create(&Outcome { outcome }).inc();
    }

    /// `taken`, `refused`, `address`, `dropped`.
    pub(crate) fn mail(&self, outcome: &'static str) {
        self.mails.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn behind(&self, stream: &str, seconds: i64) {
        let stream = stream.to_owned();
        self.behind.get_or_create(&Of { stream }).set(seconds);
    }
}

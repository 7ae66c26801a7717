//! What is counted.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use veza_platform::telemetry::Register;

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
    missing: Gauge,
}

impl Metrics {
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let made = Self::default();
        let registry = registry.sub_registry_with_prefix("notifier");
        registry
            .named(
                "pushes",
                "Pushes to devices, by what became of them",
                &made.pushes,
            )
            .named(
                "behind_seconds",
                "Seconds between a message and the time at which it was decided who is told",
                &made.behind,
            )
            .named("pushes_waiting", "Pushes that wait to be sent", &made.waiting)
            .named("mails", "Mails, by what became of them", &made.mails)
            .named("mails_waiting", "Mails that wait to be sent", &made.mails_waiting)
            .named(
                "missing_accounts",
                "Accounts that have missed something and are to be told of it by mail",
                &made.missing,
            );
        made
    }

    /// `taken`, `here`, `gone`, `signed_out`, `refused`, `dropped`.
    pub(crate) fn push(&self, outcome: &'static str) {
        self.pushes.get_or_create(&Outcome { outcome }).inc();
    }

    /// `taken`, `refused`, `address`, `dropped`; `unnoted` is a message that could not be kept for one.
    pub(crate) fn mail(&self, outcome: &'static str) {
        self.mails.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn missing(&self, accounts: usize) {
        self.missing.set(i64::try_from(accounts).unwrap_or(i64::MAX));
    }

    pub(crate) fn behind(&self, stream: &str, seconds: i64) {
        let stream = stream.to_owned();
        self.behind.get_or_create(&Of { stream }).set(seconds);
    }
}

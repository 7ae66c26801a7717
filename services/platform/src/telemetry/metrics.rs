//! The registry of metrics, shared by all roles of the process.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::registry::Registry;

/// All metrics of the process, named `veza_<noun>_<unit>`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Media type of [`Metrics::encode`].
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// A registry with what every process has: its build and what it uses of the machine.
    pub fn new() -> Self {
        let registry = Registry::with_prefix("veza");
        Self(Arc::new(Mutex::new(registry)))
    }

    /// Registers metrics; names are without the prefix `veza_`, counters without `_total`. Returns what
    /// `register` does, usually the handles:
    ///
    /// ```
    /// use prometheus_client::metrics::counter::Counter;
    /// let metrics = veza_platform::telemetry::Metrics::new();
    /// let refused = metrics.register(|registry| {
    ///     let refused = Counter::<u64>::default();
    ///     registry.register("sign_ins_refused", "Sign-ins with a wrong password", refused.clone());
    ///     refused
    /// });
    /// refused.inc();
    /// assert!(metrics.encode().contains("veza_sign_ins_refused_total 1"));
    /// ```
    pub fn register<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All metrics in the `OpenMetrics` text format.
    pub fn encode(&self) -> String {
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry)
            .expect("writing to a string cannot fail");
        text
    }
}

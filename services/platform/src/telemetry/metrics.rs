//! The registry of metrics, shared by all roles of the process.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use super::process::ProcessCollector;

/// All metrics of the process, named `veza_<noun>_<unit>`. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Ours, with the prefix.
    own: Mutex<Registry>,
    /// Those of the process, whose names are common to all programs.
    process: Registry,
}

/// Registers one metric behind the other.
pub trait Register {
    /// A metric, its name, and what it tells.
    fn named<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: &M) -> &mut Self;
}

impl Register for Registry {
    fn named<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: &M) -> &mut Self {
        self.register(name, help, metric.clone());
        self
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Media type of [`Metrics::encode`].
    pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// A registry with what every process has: its build, and what it uses of the machine.
    pub fn new() -> Self {
        let mut own = Registry::with_prefix("veza");
        own.register(
            "build",
            "The program that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let mut process = Registry::default();
        process.register_collector(Box::new(ProcessCollector));
        Self(Arc::new(Inner {
            own: Mutex::new(own),
            process,
        }))
    }

    /// Registers metrics; names are without the prefix `veza_`, counters without `_total`. To be done once
    /// per role, at its start. Returns what `register` does, usually the handles:
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
        register(&mut self.0.own.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All metrics in the `OpenMetrics` text format.
    pub fn encode(&self) -> String {
        let own = self.0.own.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        encode_registry(&mut text, &own)
            .and_then(|()| encode_registry(&mut text, &self.0.process))
            .and_then(|()| encode_eof(&mut text))
            .expect("writing to a string cannot fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_tells_its_build_and_its_use_of_the_machine() {
        let text = Metrics::new().encode();
        assert!(
            text.contains(concat!(
                "veza_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            )),
            "{text}"
        );
        let resident = text
            .lines()
            .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(resident.unwrap().parse::<i64>().unwrap() > 1_000_000, "{text}");
        for name in [
            "process_open_fds ",
            "process_max_fds ",
            "process_cpu_seconds_total ",
            "process_threads ",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}

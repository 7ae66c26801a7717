//! What a role is given to run: settings, life, metrics, health.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::health::{Gate, Health};
use crate::lifecycle::{Lifecycle, StopError};
use crate::telemetry::Metrics;

/// Everything that a role shares with the process around it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// The settings in force.
    pub config: Arc<Config>,
    /// Tasks and stopping.
    pub lifecycle: Lifecycle,
    /// The registry of metrics.
    pub metrics: Metrics,
    /// Readiness of the process.
    pub health: Health,
    /// Closed until the role says that it serves; none outside of a role.
    gate: Option<Gate>,
}

impl Runtime {
    /// The runtime of a process. Telemetry is not touched: `telemetry::init` is the caller's, once.
    pub fn new(config: Config) -> Self {
        let lifecycle = Lifecycle::default();
        let health = Health::new(lifecycle.soft.clone());
        let metrics = Metrics::new();
        metrics.register(|registry| registry.register_collector(lifecycle.task_metrics()));
        Self {
            config: Arc::new(config),
            lifecycle,
            metrics,
            health,
            gate: None,
        }
    }

    /// Says that this role has begun to serve. Until then the process is not ready.
    pub fn started(&self) {
        if let Some(gate) = &self.gate {
            gate.open();
        }
    }

    /// Runs a role to the end of the process, on a life of its own within it. A role that fails, or ends
    /// before it was asked to, stops the process. Returns that life, to stop the role alone.
    pub fn run_role<F>(&self, name: &'static str, role: impl FnOnce(Runtime) -> F) -> Lifecycle
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let runtime = Self {
            lifecycle: self.lifecycle.child(name),
            gate: Some(self.health.gate(name)),
            ..self.clone()
        };
        let lifecycle = runtime.lifecycle.clone();
        let gate = runtime.gate.clone();
        let role = role(runtime);
        lifecycle.spawn_essential("run", async move {
            let ended = role.await;
            if let Some(gate) = gate {
                gate.close();
            }
            ended
        });
        lifecycle
    }

    /// Waits until a stop is asked for, then drains for at most `lifecycle.drain_timeout_ms`.
    ///
    /// # Errors
    /// As [`Lifecycle::drain`]: the process should exit with a failure.
    pub async fn run_to_end(&self) -> Result<(), StopError> {
        self.lifecycle.soft.cancelled().await;
        self.lifecycle
            .drain(Duration::from_millis(self.config.lifecycle.drain_timeout_ms))
            .await
    }

    /// Answers `/healthz`, `/readyz` and `/metrics` on `telemetry.ops_listen` to the very end, so that a
    /// draining process is seen as not ready. Returns the bound address.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve_ops(&self) -> std::io::Result<SocketAddr> {
        crate::health::serve(
            &self.config.telemetry.ops_listen,
            &self.health,
            &self.metrics,
            &self.lifecycle,
        )
        .await
    }
}

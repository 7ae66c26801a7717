//! Settings of the process itself: what it tells about itself, and how it ends.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How lines of the log look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text when standard error is a terminal, ECS otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object a line, fields named by the Elastic Common Schema.
    Ecs,
}

/// Logs, traces and metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Look of the log: `auto`, `text` or `ecs`.
    pub log_format: LogFormat,
    /// What is logged: a level, or levels per module (`info,veza_chat=debug`).
    pub log_filter: String,
    /// OTLP/gRPC address that takes traces, such as `http://otel:4317`, or `https://` for TLS; none sends no traces.
    pub otlp_endpoint: Option<String>,
    /// Certificates (PEM) of who signed the receiver's; without, those that this machine trusts.
    pub otlp_ca_file: Option<PathBuf>,
    /// Longest wait for the receiver of traces, in milliseconds.
    pub otlp_timeout_ms: u64,
    /// Share of traces that are sent, 0 to 1; whoever begins a trace decides for all of it.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sample_ratio: f64,
    /// Address and port of `/healthz`, `/readyz` and `/metrics`; never to be opened to the world.
    pub ops_listen: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Auto,
            log_filter: "info".into(),
            otlp_endpoint: None,
            otlp_ca_file: None,
            otlp_timeout_ms: 5_000,
            sample_ratio: 1.0,
            ops_listen: "127.0.0.1:9464".into(),
        }
    }
}

/// How the process ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LifecycleConfig {
    /// Longest time that work under way may take to finish after the first signal, in milliseconds.
    pub drain_timeout_ms: u64,
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self {
            drain_timeout_ms: 20_000,
        }
    }
}

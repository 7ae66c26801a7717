//! Where logs and traces go.

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tonic::transport::{Certificate, ClientTlsConfig};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::ecs::EcsLayer;
use crate::ambient;
use crate::config::{LogFormat, TelemetryConfig};

/// What the sending of traces itself is made of: its spans would be sent in turn.
const NOT_TRACED: [&str; 5] = ["opentelemetry", "h2", "hyper", "tonic", "tower"];

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `telemetry.log_filter` is not understood.
    #[error("`telemetry.log_filter` is not understood: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// `telemetry.otlp_endpoint` is not usable.
    #[error("`telemetry.otlp_endpoint` cannot be used: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// `telemetry.otlp_ca_file` is not readable.
    #[error("`telemetry.otlp_ca_file` cannot be read: {0}")]
    Certificates(#[source] std::io::Error),
    /// Somebody else has set up logging in this process.
    #[error("telemetry was already set up in this process")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

/// Keeps the sending of traces. To be ended with [`TelemetryGuard::shutdown`], or the last traces are lost.
#[derive(Debug)]
#[must_use = "the last traces are sent by its shutdown"]
pub struct TelemetryGuard {
    provider: SdkTracerProvider,
    timeout: Duration,
}

impl TelemetryGuard {
    /// Sends the traces that wait, for at most `telemetry.otlp_timeout_ms`.
    pub async fn shutdown(self) {
        let Self { provider, timeout } = self;
        // It blocks until the exporter, which runs on this runtime, is done.
        let sent = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(timeout)).await;
        if let Ok(Err(error)) = sent {
            tracing::warn!(error.message = %error, "the last traces could not be sent");
        }
    }
}

/// Sets up logs and traces of this process, once. Logs go to standard error; `service.name` is `veza-<role>`,
/// or `veza` for a process of all roles, whose `role` is empty. Must be called inside the async runtime.
///
/// # Errors
/// When a setting is not usable, or it was done before.
pub fn init(config: &TelemetryConfig, role: &str) -> Result<TelemetryGuard, TelemetryError> {
    let service = if role.is_empty() {
        "veza".to_owned()
    } else {
        format!("veza-{role}")
    };
    let filter = EnvFilter::try_new(&config.log_filter)?;
    let provider = tracer_provider(config, &service)?;
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("veza"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(traced());
    let registry = tracing_subscriber::registry().with(traces);
    if is_ecs(config.log_format) {
        let lines = EcsLayer::new(service, std::io::stderr, ambient::now);
        registry.with(lines.with_filter(filter)).try_init()?;
        log_panics();
    } else {
        registry.with(text_layer().with_filter(filter)).try_init()?;
    }
    Ok(TelemetryGuard {
        provider,
        timeout: Duration::from_millis(config.otlp_timeout_ms),
    })
}

/// Spans of level info and above, whatever is logged: a quiet log does not cut traces.
fn traced() -> Targets {
    NOT_TRACED.iter().fold(
        Targets::new().with_default(LevelFilter::INFO),
        |targets, target| targets.with_target(*target, LevelFilter::OFF),
    )
}

fn is_ecs(format: LogFormat) -> bool {
    match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Ecs => true,
    }
}

fn text_layer<S>() -> impl Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt::layer()
        .compact()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
}

/// With an endpoint, a sampled share of traces is sent in batches from a thread of its own, with a bounded
/// queue. Without one, spans get their ids and nothing more.
fn tracer_provider(config: &TelemetryConfig, service: &str) -> Result<SdkTracerProvider, TelemetryError> {
    let builder = SdkTracerProvider::builder();
    let Some(endpoint) = &config.otlp_endpoint else {
        return Ok(builder.with_sampler(Sampler::AlwaysOff).build());
    };
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .with_timeout(Duration::from_millis(config.otlp_timeout_ms));
    if endpoint.starts_with("https://") {
        exporter = exporter.with_tls_config(tls(config)?);
    }
    let exporter = exporter.build()?;
    let resource = Resource::builder_empty()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new(
            "service.instance.id",
            ambient::new_uuid().to_string(),
        ))
        .build();
    let share = Sampler::TraceIdRatioBased(config.sample_ratio);
    Ok(builder
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .with_resource(resource)
        .build())
}

/// Whom the receiver must be certified by.
fn tls(config: &TelemetryConfig) -> Result<ClientTlsConfig, TelemetryError> {
    let Some(path) = &config.otlp_ca_file else {
        return Ok(ClientTlsConfig::new().with_native_roots());
    };
    let pem = std::fs::read(path).map_err(TelemetryError::Certificates)?;
    Ok(ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)))
}

/// Panics become log lines like the rest, instead of text among JSON.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location();
        tracing::error!(
            error.r#type = "panic",
            error.message = panic.payload_as_str().unwrap_or("without a message"),
            log.origin.file.name = location.map(std::panic::Location::file),
            log.origin.file.line = location.map(std::panic::Location::line),
            error.stack_trace = %std::backtrace::Backtrace::capture(),
            "a task panicked"
        );
    }));
}

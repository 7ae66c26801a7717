//! Without a receiver of traces, spans still have ids.

use veza_platform::config::TelemetryConfig;
use veza_platform::telemetry;

/// The only test here: telemetry is set up once per process.
#[tokio::test]
async fn a_trace_id_is_carried_even_when_no_traces_are_sent() {
    // A quiet log must not cut the trace.
    let config = TelemetryConfig {
        log_filter: "off".into(),
        ..TelemetryConfig::default()
    };
    let guard = telemetry::init(&config, "gateway").unwrap();
    let mut headers = async_nats::HeaderMap::new();
    let request = tracing::info_span!("request").in_scope(|| {
        telemetry::inject(&mut headers);
        telemetry::current_trace_id()
    });
    assert_eq!(request.as_ref().map(String::len), Some(32));

    let command = tracing::info_span!("command");
    telemetry::continue_from(&command, telemetry::extract(&headers));
    assert_eq!(command.in_scope(telemetry::current_trace_id), request);

    let mut forged = async_nats::HeaderMap::new();
    forged.insert("traceparent", "00-zzzz-1-01");
    let other = tracing::info_span!("other");
    telemetry::continue_from(&other, telemetry::extract(&forged));
    assert_ne!(other.in_scope(telemetry::current_trace_id), request);
    guard.shutdown().await;
}

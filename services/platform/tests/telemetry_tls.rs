//! Traces over TLS: only to a receiver whose certificate is trusted.

use std::time::Duration;

use veza_platform::config::TelemetryConfig;
use veza_platform::telemetry;
use veza_testkit::TestCertificates;
use veza_testkit::otlp::OtlpReceiver;

/// The only test here: telemetry is set up once per process.
#[tokio::test(flavor = "multi_thread")]
async fn traces_reach_a_receiver_that_the_named_authority_certifies() {
    let certificates = TestCertificates::new();
    let receiver = OtlpReceiver::start_tls(&certificates).await;
    assert!(receiver.endpoint().starts_with("https://"));
    let config = TelemetryConfig {
        otlp_endpoint: Some(receiver.endpoint()),
        otlp_ca_file: Some("/nowhere/ca.pem".into()),
        log_filter: "error".into(),
        ..TelemetryConfig::default()
    };
    let refused = telemetry::init(&config, "chat").unwrap_err().to_string();
    assert!(refused.contains("telemetry.otlp_ca_file"), "{refused}");

    let config = TelemetryConfig {
        otlp_ca_file: Some(certificates.ca()),
        ..config
    };
    let guard = telemetry::init(&config, "chat").unwrap();
    drop(tracing::info_span!("sealed"));
    guard.shutdown().await;
    receiver
        .wait_for(Duration::from_secs(10), |spans| {
            spans.iter().find(|span| span.name == "sealed").cloned()
        })
        .await;
}

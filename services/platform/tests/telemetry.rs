//! One trace across processes: from a span, through the headers of a message, to the receiver of traces.

use std::time::Duration;

use tracing::Instrument;
use veza_platform::config::TelemetryConfig;
use veza_platform::telemetry;
use veza_testkit::otlp::{OtlpReceiver, ReceivedSpan};

fn named(spans: &[ReceivedSpan], name: &str) -> Option<ReceivedSpan> {
    spans.iter().find(|span| span.name == name).cloned()
}

/// The only test here: telemetry is set up once per process.
#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_behind_the_headers_of_a_message() {
    let receiver = OtlpReceiver::start().await;
    let config = TelemetryConfig {
        otlp_endpoint: Some(receiver.endpoint()),
        log_filter: "error".into(),
        ..TelemetryConfig::default()
    };
    let guard = telemetry::init(&config, "chat").unwrap();
    assert!(
        telemetry::init(&config, "chat").is_err(),
        "a second time is refused"
    );
    assert_eq!(telemetry::current_trace_id(), None);

    let (mut headers, mut http) = (async_nats::HeaderMap::new(), http::HeaderMap::new());
    let trace_id = async {
        telemetry::inject(&mut headers);
        telemetry::inject_http(&mut http);
        assert_eq!(
            http["traceparent"].to_str().ok(),
            telemetry::traceparent().as_deref()
        );
        telemetry::current_trace_id().unwrap()
    }
    .instrument(tracing::info_span!("request", http.request.method = "POST"))
    .await;
    assert_eq!(headers.len(), 1, "nothing but traceparent: {headers:?}");

    // The other side knows only the headers.
    let span = tracing::info_span!("command", room.id = "r1");
    telemetry::continue_from(&span, telemetry::extract(&headers));
    assert_eq!(span.in_scope(telemetry::current_trace_id), Some(trace_id.clone()));
    drop(span);
    let span = tracing::info_span!("answer");
    telemetry::continue_from(&span, telemetry::extract_http(&http));
    drop(span);
    let stranger = tracing::info_span!("stranger");
    telemetry::continue_from(&stranger, telemetry::extract(&async_nats::HeaderMap::new()));
    drop(stranger);

    guard.shutdown().await;
    let (request, command, answer, stranger) = receiver
        .wait_for(Duration::from_secs(10), |spans| {
            Some((
                named(spans, "request")?,
                named(spans, "command")?,
                named(spans, "answer")?,
                named(spans, "stranger")?,
            ))
        })
        .await;
    assert_eq!(
        (request.service.as_str(), request.parent_span_id.as_str()),
        ("veza-chat", "")
    );
    assert_eq!(request.attributes["http.request.method"], "POST");
    assert_eq!(request.trace_id, trace_id);
    for child in [command, answer] {
        assert_eq!(
            (child.trace_id, child.parent_span_id),
            (trace_id.clone(), request.span_id.clone())
        );
    }
    assert_ne!(stranger.trace_id, trace_id);
}

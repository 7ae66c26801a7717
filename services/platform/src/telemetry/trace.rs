//! The trace across processes: W3C Trace Context in NATS and HTTP headers.
//!
//! A span carries a trace id even when no traces are sent, so that an answer, a log line and a stored event
//! can be brought together.

use async_nats::HeaderMap as NatsHeaders;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Header of the trace context, and name of it in stored events.
const TRACEPARENT: &str = "traceparent";

/// Writes the current span into the headers of a NATS message. Without a span they stay as they are.
pub fn inject(headers: &mut NatsHeaders) {
    TraceContextPropagator::new().inject_context(&Context::current(), &mut NatsCarrier(headers));
}

/// The trace context in the headers of a NATS message; empty when there is none that is valid.
pub fn extract(headers: &NatsHeaders) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &NatsView(headers))
}

/// Writes the current span into HTTP headers. Without a span they stay as they are.
pub fn inject_http(headers: &mut http::HeaderMap) {
    TraceContextPropagator::new().inject_context(&Context::current(), &mut HttpCarrier(headers));
}

/// The trace context in HTTP headers; empty when there is none that is valid. Only for callers that are
/// trusted: whoever begins a trace decides whether it is sent.
pub fn extract_http(headers: &http::HeaderMap) -> Context {
    TraceContextPropagator::new().extract_with_context(&Context::new(), &HttpView(headers))
}

/// Makes `span` a child of the span in `parent`, as read by [`extract`]. To be called before the span is
/// entered; an empty parent changes nothing.
pub fn continue_from(span: &Span, parent: Context) {
    if parent.span().span_context().is_valid() {
        // Fails only for a span that is filtered out, which then has nothing to tell.
        let _ = span.set_parent(parent);
    }
}

/// Trace id of the current span as 32 hex digits, as it stands in logs and problem documents.
pub fn current_trace_id() -> Option<String> {
    current(|span| span.trace_id().to_string())
}

/// The current span as a W3C `traceparent`, for what is stored rather than sent.
pub fn traceparent() -> Option<String> {
    current(|span| {
        let flags = span.trace_flags().to_u8();
        format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id())
    })
}

/// What `read` finds in the current span, if there is one.
pub(super) fn current<T>(read: impl FnOnce(&SpanContext) -> T) -> Option<T> {
    Context::map_current(|context| {
        let span = context.span();
        span.span_context().is_valid().then(|| read(span.span_context()))
    })
}

struct NatsCarrier<'a>(&'a mut NatsHeaders);

impl Injector for NatsCarrier<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty `tracestate` says nothing and would cost bytes in every message.
        if !value.is_empty() {
            self.0.insert(key, value);
        }
    }
}

struct NatsView<'a>(&'a NatsHeaders);

impl Extractor for NatsView<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(async_nats::HeaderValue::as_str)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

struct HttpCarrier<'a>(&'a mut http::HeaderMap);

impl Injector for HttpCarrier<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = http::HeaderName::try_from(key);
        let value = http::HeaderValue::try_from(&value);
        if let (Ok(name), Ok(value)) = (name, value)
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

struct HttpView<'a>(&'a http::HeaderMap);

impl Extractor for HttpView<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

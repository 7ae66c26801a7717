//! Log lines as JSON objects in the Elastic Common Schema (ECS 8.17), one per line.
//!
//! Fields keep their dotted names, as ECS lets them, and their types. Fields of the spans around an event
//! stand beside its own; the innermost wins.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::marker::PhantomData;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::trace;

/// Version of the schema that lines name.
const ECS_VERSION: &str = "8.17.0";

/// Writes each event as one line to what `W` makes.
pub(super) struct EcsLayer<S, W> {
    service: String,
    writer: W,
    clock: fn() -> OffsetDateTime,
    subscriber: PhantomData<fn(S)>,
}

impl<S, W> EcsLayer<S, W> {
    /// Lines of `service`, with the time that `clock` tells.
    pub(super) fn new(service: String, writer: W, clock: fn() -> OffsetDateTime) -> Self {
        Self {
            service,
            writer,
            clock,
            subscriber: PhantomData,
        }
    }
}

impl<S, W> Layer<S> for EcsLayer<S, W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            record.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut line = Fields::default();
        for span in context.event_scope(event).into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                fields
                    .0
                    .iter()
                    .for_each(|(name, value)| line.set(name.clone(), value.clone()));
            }
        }
        // A span's own message is not this event's.
        line.0.retain(|(name, _)| name != "message");
        event.record(&mut line);
        let time = (self.clock)().format(&Rfc3339).unwrap_or_default();
        line.set("@timestamp", time);
        line.set("log.level", metadata.level().as_str().to_lowercase());
        line.set("log.logger", metadata.target());
        line.set("ecs.version", ECS_VERSION);
        line.set("service.name", self.service.as_str());
        line.set("service.version", env!("CARGO_PKG_VERSION"));
        trace::current(|span| {
            line.set("trace.id", span.trace_id().to_string());
            line.set("span.id", span.span_id().to_string());
        });
        line.0
            .sort_by(|(left, _), (right, _)| rank(left).cmp(&rank(right)).then_with(|| left.cmp(right)));
        let Ok(mut text) = serde_json::to_vec(&line) else {
            return;
        };
        text.push(b'\n');
        // Nobody is left to tell when the log itself cannot be written.
        let _ = self.writer.make_writer_for(metadata).write_all(&text);
    }
}

/// Where a field stands in the line: what people look for first, first.
fn rank(name: &str) -> usize {
    const FIRST: [&str; 3] = ["@timestamp", "log.level", "message"];
    FIRST
        .iter()
        .position(|first| *first == name)
        .unwrap_or(FIRST.len())
}

/// Named values; a name occurs once.
#[derive(Default)]
struct Fields(Vec<(Cow<'static, str>, Value)>);

impl Fields {
    fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::{IdGenerator, SdkTracerProvider};
    use time::macros::datetime;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Debug)]
    struct FixedIds;

    impl IdGenerator for FixedIds {
        fn new_trace_id(&self) -> opentelemetry::TraceId {
            opentelemetry::TraceId::from(0xabcd)
        }

        fn new_span_id(&self) -> opentelemetry::SpanId {
            opentelemetry::SpanId::from(0x12)
        }
    }

    /// What `log` writes.
    fn lines(log: impl FnOnce()) -> String {
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&written);
        let clock = || datetime!(2026-01-02 03:04:05.678 UTC);
        let make = move || Sink(Arc::clone(&writer));
        let provider = SdkTracerProvider::builder().with_id_generator(FixedIds).build();
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")))
            .with(EcsLayer::new("veza-chat".into(), make, clock));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = written.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .replace(env!("CARGO_PKG_VERSION"), "[version]")
    }

    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_the_fields_of_ecs() {
        let text = lines(|| {
            let span = tracing::info_span!("command", room.id = "r1", message = "not this", attempt = 1);
            let _entered = span.enter();
            tracing::warn!(
                attempt = 2,
                event.bytes = 512_u64,
                ok = false,
                "a \"quoted\"\nmessage"
            );
        });
        insta::assert_snapshot!(text, @r##"{"@timestamp":"2026-01-02T03:04:05.678Z","log.level":"warn","message":"a \"quoted\"\nmessage","attempt":2,"ecs.version":"8.17.0","event.bytes":512,"log.logger":"veza_platform::telemetry::ecs::tests","ok":false,"room.id":"r1","service.name":"veza-chat","service.version":"[version]","span.id":"0000000000000012","trace.id":"0000000000000000000000000000abcd"}"##);
    }

    #[test]
    fn a_line_without_a_span_has_no_trace() {
        let text = lines(|| tracing::info!(target: "veza_chat::worker", "started"));
        insta::assert_snapshot!(text, @r##"{"@timestamp":"2026-01-02T03:04:05.678Z","log.level":"info","message":"started","ecs.version":"8.17.0","log.logger":"veza_chat::worker","service.name":"veza-chat","service.version":"[version]"}"##);
    }

    #[test]
    fn nothing_can_pose_as_a_field_of_the_log_itself() {
        let text = lines(|| tracing::info!(service.name = "forged", log.level = "forged", "hello"));
        assert!(!text.contains("forged"));
    }
}

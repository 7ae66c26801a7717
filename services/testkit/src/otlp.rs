//! A receiver of traces (OTLP over gRPC) that keeps the spans it is sent.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::TestCertificates;

/// A span as it arrived, ids in hex.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedSpan {
    /// `service.name` of the process that sent it.
    pub service: String,
    /// Its name.
    pub name: String,
    /// The trace it belongs to, 32 digits.
    pub trace_id: String,
    /// Its own id, 16 digits.
    pub span_id: String,
    /// The span above it, 16 digits; empty for the first of a trace.
    pub parent_span_id: String,
    /// Its attributes, as text.
    pub attributes: HashMap<String, String>,
}

/// A receiver on a free port of this machine. Stops when dropped.
#[derive(Debug)]
pub struct OtlpReceiver {
    scheme: &'static str,
    address: SocketAddr,
    store: Arc<Store>,
    /// Holds the server; dropping aborts it.
    _server: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Store {
    spans: Mutex<Vec<ReceivedSpan>>,
    arrived: Notify,
}

impl OtlpReceiver {
    /// Starts to listen.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start() -> Self {
        Self::serve(tonic::transport::Server::builder(), "http").await
    }

    /// Starts to listen with TLS.
    ///
    /// # Panics
    /// When loopback has no free port, or the certificate cannot be used.
    pub async fn start_tls(certificates: &TestCertificates) -> Self {
        let read = |path| std::fs::read(path).expect("the certificate was written");
        let identity = Identity::from_pem(read(certificates.certificate()), read(certificates.key()));
        let secure = ServerTlsConfig::new().identity(identity);
        let server = tonic::transport::Server::builder().tls_config(secure);
        Self::serve(server.expect("the certificate can be used"), "https").await
    }

    async fn serve(server: tonic::transport::Server, scheme: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let store = Arc::new(Store::default());
        let service = TraceServiceServer::new(Receiver(Arc::clone(&store)));
        let incoming = TcpIncoming::from(listener);
        let serve = server.serve_with_incoming(service, incoming);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let _ = serve.await;
        });
        Self {
            scheme,
            address,
            store,
            _server: server,
        }
    }

    /// The value for `telemetry.otlp_endpoint`.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// All spans that have arrived.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.store
            .spans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits until `found` is satisfied with the spans that have arrived, and returns what it found.
    ///
    /// # Panics
    /// When that takes longer than `within`; the message lists what did arrive.
    pub async fn wait_for<T>(
        &self,
        within: Duration,
        mut found: impl FnMut(&[ReceivedSpan]) -> Option<T>,
    ) -> T {
        let search = async {
            loop {
                let arrived = self.store.arrived.notified();
                if let Some(result) = found(&self.spans()) {
                    return result;
                }
                arrived.await;
            }
        };
        let result = tokio::time::timeout(within, search).await;
        result.unwrap_or_else(|_| panic!("the spans waited for did not arrive, but {:#?}", self.spans()))
    }
}

struct Receiver(Arc<Store>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans: Vec<_> = received(request.into_inner()).collect();
        self.0
            .spans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(spans);
        self.0.arrived.notify_waiters();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn received(request: ExportTraceServiceRequest) -> impl Iterator<Item = ReceivedSpan> {
    request.resource_spans.into_iter().flat_map(|group| {
        let resource = attributes(
            group
                .resource
                .map(|resource| resource.attributes)
                .unwrap_or_default(),
        );
        let service = resource.get("service.name").cloned().unwrap_or_default();
        group
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans)
            .map(move |span| ReceivedSpan {
                service: service.clone(),
                name: span.name,
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent_span_id: hex(&span.parent_span_id),
                attributes: attributes(span.attributes),
            })
    })
}

fn attributes(list: Vec<KeyValue>) -> HashMap<String, String> {
    list.into_iter()
        .map(|entry| (entry.key, text(entry.value)))
        .collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

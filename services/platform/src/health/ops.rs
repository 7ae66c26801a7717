//! The listener for those who operate Veza. It answers on an address of its own, never to the world.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Health;
use crate::lifecycle::Lifecycle;
use crate::telemetry::Metrics;

/// Connections answered at once; further ones wait.
const MAX_CONNECTIONS: usize = 64;
/// Longest wait for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest life of a connection, which answers one request: idle ones must not keep probes out.
const CONNECTION_LIFE: Duration = Duration::from_secs(30);
/// Pause after a failed accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Binds `listen` and answers `/healthz`, `/readyz` and `/metrics` until all tasks of `lifecycle` are over.
/// Returns the bound address.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    listen: &str,
    health: &Health,
    metrics: &Metrics,
    lifecycle: &Lifecycle,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let pages = Pages {
        health: health.clone(),
        metrics: metrics.clone(),
    };
    let life = lifecycle.clone();
    lifecycle.accompany("ops", async move {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let permit = Arc::clone(&room)
                .acquire_owned()
                .await
                .expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, _)) => {
                    let pages = pages.clone();
                    life.accompany("ops connection", async move {
                        let _permit = permit;
                        pages.connection(stream).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(error.message = %error, "the ops listener could not accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    });
    Ok(address)
}

#[derive(Clone)]
struct Pages {
    health: Health,
    metrics: Metrics,
}

impl Pages {
    async fn connection(&self, stream: TcpStream) {
        let service = service_fn(|request| async move { Ok::<_, Infallible>(self.answer(request).await) });
        let mut server = hyper::server::conn::http1::Builder::new();
        server
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .keep_alive(false);
        let connection = server.serve_connection(TokioIo::new(stream), service);
        if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_LIFE, connection).await {
            tracing::debug!(error.message = %error, "an ops connection broke");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return page(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".into());
        }
        match request.uri().path() {
            "/healthz" => page(StatusCode::OK, "text/plain", "alive\n".into()),
            "/readyz" => {
                let report = self.health.report().await;
                let status = if report.ready {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                let body = serde_json::to_string(&report).expect("a report is plain data");
                page(status, "application/json", body + "\n")
            }
            "/metrics" => page(StatusCode::OK, Metrics::CONTENT_TYPE, self.metrics.encode()),
            _ => page(
                StatusCode::NOT_FOUND,
                "text/plain",
                "try /healthz, /readyz or /metrics\n".into(),
            ),
        }
    }
}

fn page(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static(content_type),
    );
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    response
}

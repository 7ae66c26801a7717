//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use poem::endpoint::BoxEndpoint;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint};
use tokio::io::{AsyncRead, AsyncWrite};
use veza_platform::lifecycle::Lifecycle;

use super::client_address::TrustedProxies;
use super::pulse::{Patience, Pulse, Watched};
use super::seats::Seat;

/// Longest head of an HTTP/1 request, and with it the read buffer of a connection, in bytes.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Most header fields of a request.
const MAX_HEADERS: usize = 100;
/// Most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 128;
/// Longest decoded head of an HTTP/2 request, in bytes.
const MAX_HEADER_LIST_BYTES: u32 = 16 * 1024;
/// Streams that a client may open and reset before it is sent away ("rapid reset").
const MAX_RESET_STREAMS: usize = 20;
/// How long a connection that is given up may take for its farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// What all connections of a server share. Cheap to clone.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) endpoint: Arc<BoxEndpoint<'static>>,
    pub(super) lifecycle: Lifecycle,
    pub(super) proxies: Arc<TrustedProxies>,
    pub(super) patience: Patience,
}

/// Both ends of a connection and how it is protected.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) scheme: Scheme,
}

impl Service {
    /// Answers requests until the client leaves, is silent for too long, or a stop is asked for; then what
    /// is under way is finished. An upgraded connection goes on with whoever took it.
    pub(super) async fn serve<Io>(self, io: Io, seat: Seat, ends: Ends)
    where
        Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let pulse = Pulse::new(self.patience);
        let io = TokioIo::new(Watched::new(io, pulse.clone(), seat));
        let builder = builder(&self.lifecycle);
        let answer = |request| self.answer(request, &pulse, &ends);
        let connection = builder.serve_connection_with_upgrades(io, service_fn(answer));
        let mut connection = std::pin::pin!(connection);
        let done = tokio::select! {
            done = &mut connection => Some(done),
            () = pulse.lost() => None,
            () = self.lifecycle.soft.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    done = &mut connection => Some(done),
                    () = pulse.lost() => None,
                }
            }
        };
        match done {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(error.message = %error, "a connection broke"),
            None => {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(FAREWELL, connection).await;
            }
        }
    }

    fn answer(
        &self,
        request: http::Request<Incoming>,
        pulse: &Pulse,
        ends: &Ends,
    ) -> impl Future<Output = Result<http::Response<poem_body::BoxBody>, Infallible>> + Send + use<> {
        let under_way = pulse.request();
        let client = self.proxies.client(ends.peer.ip(), request.headers());
        let client = RemoteAddr(Addr::SocketAddr(SocketAddr::new(client, ends.peer.port())));
        let local = LocalAddr(Addr::SocketAddr(ends.local));
        let request = poem::Request::from((request, local, client, ends.scheme.clone()));
        let endpoint = Arc::clone(&self.endpoint);
        async move {
            let response = endpoint.get_response(request).await;
            drop(under_way);
            Ok(response.into())
        }
    }
}

/// poem's body type has no public name.
mod poem_body {
    /// What a response of poem is sent as.
    pub(super) type BoxBody = http_body_util::combinators::BoxBody<bytes::Bytes, std::io::Error>;
}

fn builder(lifecycle: &Lifecycle) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(Tracked(lifecycle.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        // The pulse does this, and tells a slow head from an idle connection.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST_BYTES)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS);
    builder
}

/// Runs the streams of HTTP/2 connections as tasks of the role.
#[derive(Clone)]
struct Tracked(Lifecycle);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.0.spawn("stream", async move {
            stream.await;
        });
    }
}

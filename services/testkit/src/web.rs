//! Somebody else's web server: answers as a test says, and remembers what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What it was asked.
#[derive(Clone, Debug)]
pub struct Met {
    /// How.
    pub method: Method,
    /// For what.
    pub path: String,
    /// The head.
    pub headers: HeaderMap,
    /// What was brought.
    pub body: Bytes,
}

type Answer = dyn Fn(&Met) -> Response<Bytes> + Send + Sync;

/// A server on a free port. Stops when dropped.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    met: Arc<Mutex<Vec<Met>>>,
    /// Holds the server; dropping aborts it.
    _server: JoinSet<()>,
}

impl Web {
    /// Starts to listen on loopback.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn start(answer: impl Fn(&Met) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1", answer).await
    }

    /// Starts to listen on a free port of `host`.
    ///
    /// # Panics
    /// When there is none.
    pub async fn on(host: &str, answer: impl Fn(&Met) -> Response<Bytes> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((host, 0))
            .await
            .expect("the host has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let met = Arc::new(Mutex::new(Vec::new()));
        let (notes, answer) = (Arc::clone(&met), Arc::new(answer) as Arc<Answer>);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (notes, answer) = (Arc::clone(&notes), Arc::clone(&answer));
                let serve = service_fn(move |request| {
                    let (notes, answer) = (Arc::clone(&notes), Arc::clone(&answer));
                    async move { Ok::<_, Infallible>(reply(request, &notes, &*answer).await) }
                });
                connections.spawn(async move {
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), serve)
                        .await;
                });
            }
        });
        Self {
            address,
            met,
            _server: server,
        }
    }

    /// The address of something on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it was asked so far, in order.
    pub fn met(&self) -> Vec<Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it was asked for `path`.
    pub fn times(&self, path: &str) -> usize {
        self.met().iter().filter(|met| met.path == path).count()
    }
}

async fn reply(
    request: Request<Incoming>,
    notes: &Mutex<Vec<Met>>,
    answer: &Answer,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let met = Met {
        method: head.method,
        path: head.uri.to_string(),
        headers: head.headers,
        body: body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default(),
    };
    notes
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(met.clone());
    answer(&met).map(Full::new)
}

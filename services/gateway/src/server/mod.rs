//! The public listener: who may connect, how long a connection may stay silent, and how it ends. What a
//! request means is not known here; poem answers it.

mod client_address;
mod connection;
mod pulse;
mod seats;
#[cfg(test)]
mod tests;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::uri::Scheme;
use poem::endpoint::BoxEndpoint;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use veza_platform::config::GatewayConfig;
use veza_platform::lifecycle::Lifecycle;
use veza_platform::telemetry::Metrics;

use client_address::TrustedProxies;
use connection::{Ends, Service};
use pulse::Patience;
use seats::{Seat, Seats};

pub(crate) use client_address::caller_network;

/// Pause after a failed accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound listener that has not begun to serve.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    proxies: Arc<TrustedProxies>,
    seats: Seats,
    patience: Patience,
    metrics: ServerMetrics,
}

impl Server {
    /// Binds the configured address; with a certificate configured, connections must be TLS 1.3.
    ///
    /// # Errors
    /// When the address cannot be bound, or certificate, key or proxies cannot be read.
    pub async fn bind(config: &GatewayConfig, metrics: &Metrics) -> anyhow::Result<Self> {
        let tls = match (&config.tls_cert_file, &config.tls_key_file) {
            (Some(cert), Some(key)) => Some(tls::acceptor(cert, key)?),
            (None, None) => None,
            _ => anyhow::bail!("gateway.tls_cert_file and gateway.tls_key_file go together"),
        };
        let listener = TcpListener::bind(&config.listen)
            .await
            .with_context(|| format!("binding gateway.listen {}", config.listen))?;
        Ok(Self {
            listener,
            tls,
            proxies: Arc::new(TrustedProxies::parse(&config.trusted_proxies)?),
            seats: Seats::new(config.max_connections, config.max_connections_per_address),
            patience: Patience {
                head: Duration::from_millis(config.header_timeout_ms),
                idle: Duration::from_millis(config.idle_timeout_ms),
            },
            metrics: ServerMetrics::new(metrics),
        })
    }

    /// The bound address.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Lets `endpoint` answer until a stop is asked for. Connections that are open then are tasks of
    /// `lifecycle`: each finishes what is under way.
    pub async fn run(self, endpoint: Arc<BoxEndpoint<'static>>, lifecycle: &Lifecycle) {
        let service = Service {
            endpoint,
            lifecycle: lifecycle.clone(),
            proxies: Arc::clone(&self.proxies),
            patience: self.patience,
        };
        loop {
            let accepted = tokio::select! {
                accepted = self.accept() => accepted,
                () = lifecycle.soft.cancelled() => return,
            };
            let Some((stream, seat, ends)) = accepted else {
                continue;
            };
            let (service, tls, metrics) = (service.clone(), self.tls.clone(), self.metrics.clone());
            lifecycle.spawn("connection", async move {
                let _open = metrics.opened();
                match tls {
                    None => service.serve(stream, seat, ends).await,
                    Some(tls) => secured(service, &tls, stream, seat, ends).await,
                }
            });
        }
    }

    /// The next connection that may stay.
    async fn accept(&self) -> Option<(TcpStream, Seat, Ends)> {
        let permit = self.seats.free().await;
        let (stream, peer) = match self.listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error.message = %error, "the public listener could not accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                return None;
            }
        };
        let local = stream.local_addr().ok()?;
        // Answers are whole; waiting to fill packets would only delay them.
        let _ = stream.set_nodelay(true);
        let address = peer.ip().to_canonical();
        let counted = (!self.proxies.trusts(address)).then_some(address);
        let Some(seat) = self.seats.take(permit, counted) else {
            self.metrics.refused.inc();
            return None;
        };
        let scheme = if self.tls.is_some() {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        };
        Some((stream, seat, Ends { peer, local, scheme }))
    }
}

/// Serves a connection once its TLS handshake is done, for which it has as long as for a head.
async fn secured(service: Service, tls: &TlsAcceptor, stream: TcpStream, seat: Seat, ends: Ends) {
    let handshake = tokio::time::timeout(service.patience.head, tls.accept(stream));
    let handshake = tokio::select! {
        handshake = handshake => handshake,
        () = service.lifecycle.soft.cancelled() => return,
    };
    match handshake {
        Ok(Ok(stream)) => service.serve(stream, seat, ends).await,
        Ok(Err(error)) => tracing::debug!(error.message = %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

#[derive(Clone, Debug)]
struct ServerMetrics {
    open: Gauge,
    refused: Counter,
}

/// Counts a connection as open until it is dropped.
struct OpenConnection(Gauge);

impl ServerMetrics {
    fn new(metrics: &Metrics) -> Self {
        metrics.register(|registry| {
            let this = Self {
                open: Gauge::default(),
                refused: Counter::default(),
            };
            registry.register(
                "http_connections",
                "Open HTTP connections, upgraded ones not counted",
                this.open.clone(),
            );
            registry.register(
                "http_connections_refused",
                "Connections closed because their address had too many",
                this.refused.clone(),
            );
            this
        })
    }

    fn opened(&self) -> OpenConnection {
        self.open.inc();
        OpenConnection(self.open.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

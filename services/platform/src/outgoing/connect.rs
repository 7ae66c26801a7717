//! One request over one connection of its own, to the very address that was checked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::addresses::Reach;
use super::{Longer, OutgoingError, Want};
use crate::config::OutgoingConfig;

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;
/// Largest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;

/// What is believed of others' certificates.
pub(super) fn tls(config: &OutgoingConfig) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(file) = &config.ca_file {
        let shown = file.display();
        let certificates = CertificateDer::pem_file_iter(file).with_context(|| format!("reading {shown}"))?;
        for certificate in certificates {
            let certificate = certificate.with_context(|| format!("reading {shown}"))?;
            roots
                .add(certificate)
                .with_context(|| format!("a certificate in {shown}"))?;
        }
    }
    if roots.is_empty() {
        tracing::warn!("this system has no certificate authorities: nothing can be asked for by https");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("the TLS provider has no protocol version")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The addresses of a URL's host that may be reached.
pub(super) async fn resolve(reach: &Reach, url: &Url) -> Result<Vec<SocketAddr>, OutgoingError> {
    let port = url.port_or_known_default().ok_or(OutgoingError::BadAddress)?;
    let all: Vec<SocketAddr> = match url.host().ok_or(OutgoingError::BadAddress)? {
        Host::Ipv4(address) => vec![(address, port).into()],
        Host::Ipv6(address) => vec![(address, port).into()],
        Host::Domain(name) => {
            let found = tokio::net::lookup_host((name, port)).await;
            found.map_err(|_| OutgoingError::NoSuchHost)?.collect()
        }
    };
    if all.is_empty() {
        return Err(OutgoingError::NoSuchHost);
    }
    let mut open = all;
    open.retain(|address| reach.includes(address.ip(), port));
    open.truncate(ADDRESSES);
    if open.is_empty() {
        return Err(OutgoingError::NotPublic);
    }
    Ok(open)
}

/// A connection to the first of `addresses` that takes it.
pub(super) async fn dial(addresses: &[SocketAddr], within: Duration) -> Result<TcpStream, OutgoingError> {
    for address in addresses {
        if let Ok(Ok(stream)) = tokio::time::timeout(within, TcpStream::connect(address)).await {
            return Ok(stream);
        }
    }
    Err(OutgoingError::Unreachable)
}

/// Sends a request over `stream` and reads the answer.
pub(super) async fn talk(
    stream: TcpStream,
    tls: &TlsConnector,
    url: &Url,
    request: Request<Full<Bytes>>,
    want: &Want<'_>,
) -> Result<(Parts, Bytes), OutgoingError> {
    if url.scheme() == "http" {
        return exchange(stream, request, want).await;
    }
    let host = url.host().ok_or(OutgoingError::BadAddress)?;
    let name = match host {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).map_err(|_| OutgoingError::BadAddress)?,
        Host::Ipv4(address) => ServerName::from(IpAddr::from(address)),
        Host::Ipv6(address) => ServerName::from(IpAddr::from(address)),
    };
    let stream = tls.connect(name, stream).await.map_err(|_| OutgoingError::Tls)?;
    exchange(stream, request, want).await
}

/// The value of `Host`.
pub(super) fn host_of(url: &Url) -> Result<HeaderValue, OutgoingError> {
    let host = url.host_str().ok_or(OutgoingError::BadAddress)?;
    let text = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    HeaderValue::try_from(text).map_err(|_| OutgoingError::BadAddress)
}

async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    want: &Want<'_>,
) -> Result<(Parts, Bytes), OutgoingError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MAX_HEAD_BYTES).max_headers(MAX_HEADERS);
    let shaken = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|_| OutgoingError::Protocol)?;
    let ask = async move {
        let answer = sender.send_request(request).await;
        let (head, body) = answer.map_err(|_| OutgoingError::Protocol)?.into_parts();
        let body = if head.status.is_success() {
            read(&head, body, want).await?
        } else {
            Bytes::new()
        };
        Ok((head, body))
    };
    tokio::pin!(ask, connection);
    tokio::select! {
        biased;
        answered = &mut ask => return answered,
        _ = &mut connection => {}
    }
    // The connection is over; what came through it can still be read.
    ask.await
}

async fn read(head: &Parts, mut body: Incoming, want: &Want<'_>) -> Result<Bytes, OutgoingError> {
    if !(want.accepts)(&head.headers) {
        return Err(OutgoingError::Unwanted);
    }
    let announced = head.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if want.longer == Longer::Refuse && announced.is_some_and(|bytes| bytes > want.max_bytes) {
        return Err(OutgoingError::TooLarge);
    }
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| OutgoingError::Protocol)?.into_data() else {
            continue;
        };
        let room = want.max_bytes - bytes.len();
        if data.len() > room && want.longer == Longer::Refuse {
            return Err(OutgoingError::TooLarge);
        }
        bytes.extend_from_slice(&data[..data.len().min(room)]);
        if bytes.len() == want.max_bytes && want.longer == Longer::Cut {
            break;
        }
    }
    Ok(bytes.freeze())
}

//! `GET /v1/realtime`: who may open a WebSocket, and the way from a request to a socket.

use std::future::Future;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Body, Endpoint, IntoResponse, Request, Response};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use veza_platform::contract::{Problem, ProblemKind};

use super::Realtime;
use crate::http::{Failure, Origins};

/// The one subprotocol there is.
pub(super) const SUBPROTOCOL: &str = "veza.v1.json";
/// Length of a `Sec-WebSocket-Key`: 16 bytes in base64.
const KEY_LENGTH: usize = 24;

/// The endpoint. Pages may open sockets only from allowed origins; what is not a page sends no origin. The
/// credential comes in the first frame, so that it is in no address and no log.
pub struct Upgrade {
    realtime: Realtime,
    origins: Arc<Origins>,
}

impl Upgrade {
    /// Opens sockets of `realtime` for pages from `origins`.
    pub fn new(realtime: Realtime, origins: Arc<Origins>) -> Self {
        Self { realtime, origins }
    }

    fn accept(&self, request: &Request) -> Result<Response, Problem> {
        if self.realtime.is_draining() {
            return Err(Problem::unavailable(
                "this gateway restarts; connect again",
                1_000,
            ));
        }
        if let Some(origin) = request.headers().get(header::ORIGIN)
            && !self.origins.allows(origin)
        {
            let detail = "pages from this origin may not connect";
            return Err(Problem::new(ProblemKind::Forbidden, "request.origin", detail));
        }
        let key = handshake_key(request.method(), request.headers())?;
        let upgrade = request.take_upgrade().map_err(|_| not_websocket())?;
        self.realtime.accept(async move { upgrade.await.ok() });
        let accept = derive_accept_key(key.as_bytes());
        Ok(Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_ACCEPT, accept)
            .header(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL)
            .body(Body::empty()))
    }
}

impl Endpoint for Upgrade {
    type Output = Response;

    fn call(&self, request: Request) -> impl Future<Output = poem::Result<Response>> + Send {
        let answer = self.accept(&request);
        std::future::ready(Ok(
            answer.unwrap_or_else(|problem| Failure::from(problem).into_response())
        ))
    }
}

/// The key of a request that asks for a WebSocket of our protocol, RFC 6455 §4.2.1.
fn handshake_key<'a>(method: &Method, headers: &'a HeaderMap) -> Result<&'a HeaderValue, Problem> {
    let upgrades = *method == Method::GET
        && lists(headers, &header::CONNECTION, |token| {
            token.eq_ignore_ascii_case("upgrade")
        })
        && lists(headers, &header::UPGRADE, |token| {
            token.eq_ignore_ascii_case("websocket")
        })
        && headers
            .get(header::SEC_WEBSOCKET_VERSION)
            .is_some_and(|version| version == "13");
    let key = headers
        .get(header::SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() == KEY_LENGTH);
    let key = key.filter(|_| upgrades).ok_or_else(not_websocket)?;
    if !lists(headers, &header::SEC_WEBSOCKET_PROTOCOL, |token| {
        token == SUBPROTOCOL
    }) {
        let detail = format!("offer the subprotocol `{SUBPROTOCOL}`");
        return Err(Problem::new(
            ProblemKind::Malformed,
            "request.subprotocol",
            detail,
        ));
    }
    Ok(key)
}

/// Whether a header, which is a list, has an entry.
fn lists(headers: &HeaderMap, name: &header::HeaderName, has: impl Fn(&str) -> bool) -> bool {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|token| has(token.trim()))
}

fn not_websocket() -> Problem {
    let detail = "this address speaks WebSocket (RFC 6455, version 13) over HTTP/1.1";
    Problem::new(ProblemKind::Malformed, "request.not_websocket", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(with: &[(&str, &str)]) -> HeaderMap {
        let usual = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "other, veza.v1.json"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in usual.iter().chain(with) {
            let name = header::HeaderName::try_from(*name).unwrap();
            match *value {
                "" => headers.remove(name),
                value => headers.insert(name, value.parse().unwrap()),
            };
        }
        headers
    }

    fn code(with: &[(&str, &str)]) -> Option<String> {
        handshake_key(&Method::GET, &headers(with))
            .err()
            .map(|problem| problem.code)
    }

    #[test]
    fn a_handshake_of_our_protocol_passes() {
        assert_eq!(code(&[]), None);
        assert_eq!(code(&[("upgrade", "WebSocket")]), None);
    }

    #[test]
    fn anything_else_is_refused_with_a_code() {
        for (with, expected) in [
            (("upgrade", ""), "request.not_websocket"),
            (("upgrade", "h2c"), "request.not_websocket"),
            (("connection", "close"), "request.not_websocket"),
            (("sec-websocket-version", "8"), "request.not_websocket"),
            (("sec-websocket-key", ""), "request.not_websocket"),
            (("sec-websocket-key", "short"), "request.not_websocket"),
            (("sec-websocket-protocol", ""), "request.subprotocol"),
            (("sec-websocket-protocol", "veza.v2.json"), "request.subprotocol"),
        ] {
            assert_eq!(code(&[with]).as_deref(), Some(expected), "{with:?}");
        }
        assert!(handshake_key(&Method::POST, &headers(&[])).is_err());
    }
}

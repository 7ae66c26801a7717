//! Which web pages may call or open sockets: those of configured origins alone.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use poem::{Request, Response};
use veza_platform::config::GatewayConfig;
use veza_platform::contract::ProblemKind;

use super::problem::Failure;

/// What a page may send.
const ALLOWED_HEADERS: &str =
    "authorization, content-type, idempotency-key, if-match, if-none-match, traceparent, veza-min-seq";
/// What a page may send it with.
const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// What a page may read of an answer.
const EXPOSED_HEADERS: &str =
    "etag, link, location, ratelimit, ratelimit-policy, retry-after, veza-seq, x-request-id";
/// How long a browser need not ask again, seconds.
const MAX_AGE: &str = "600";

/// The origins that may call.
#[derive(Clone, Debug)]
pub struct Origins(Vec<HeaderValue>);

impl Origins {
    /// The configured origins, and the gateway's own.
    ///
    /// # Errors
    /// When one is not of the form `https://host[:port]`.
    pub fn new(config: &GatewayConfig) -> anyhow::Result<Self> {
        let own = std::iter::once(&config.public_url);
        let all = own.chain(&config.allowed_origins).map(|text| origin(text));
        Ok(Self(all.collect::<anyhow::Result<_>>()?))
    }

    /// Whether a page of this origin may call. The bytes must be the same: browsers send origins in one
    /// normal form, and whatever else comes is nobody's.
    pub fn allows(&self, origin: &HeaderValue) -> bool {
        self.0.contains(origin)
    }

    /// The answer to a preflight; `None` when the request is none.
    pub(super) fn preflight(&self, request: &Request) -> Option<Result<Response, Failure>> {
        let origin = request.headers().get(header::ORIGIN)?;
        let asks = request
            .headers()
            .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if request.method() != Method::OPTIONS || !asks {
            return None;
        }
        if !self.allows(origin) {
            let detail = "pages of this origin may not call; gateway.allowed_origins names those that may";
            return Some(Err(Failure::new(
                ProblemKind::Forbidden,
                "request.origin",
                detail,
            )));
        }
        let response = Response::builder()
            .status(StatusCode::NO_CONTENT)
            .header(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS)
            .header(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS)
            .header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE)
            .finish();
        Some(Ok(response))
    }

    /// Lets a page of an allowed origin read the answer. Never with cookies: sessions are bearer tokens.
    pub(super) fn mark(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else {
            return;
        };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED_HEADERS),
        );
    }
}

/// The origin of a URL, as browsers write it.
fn origin(url: &str) -> anyhow::Result<HeaderValue> {
    let refused = || anyhow::anyhow!("`{url}` is not of the form https://host[:port]");
    let uri: http::Uri = url.trim().parse().map_err(|_| refused())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(refused());
    };
    anyhow::ensure!(matches!(scheme, "http" | "https"), refused());
    anyhow::ensure!(!authority.as_str().contains('@'), refused());
    let host = authority.host().to_ascii_lowercase();
    let usual = if scheme == "https" { 443 } else { 80 };
    let text = match authority.port_u16() {
        Some(port) if port != usual => format!("{scheme}://{host}:{port}"),
        _ => format!("{scheme}://{host}"),
    };
    HeaderValue::try_from(text).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        let config = GatewayConfig {
            public_url: "https://Chat.example.org:443/".into(),
            allowed_origins: vec!["http://localhost:5173".into()],
            ..GatewayConfig::default()
        };
        Origins::new(&config).unwrap()
    }

    fn header(bytes: &[u8]) -> HeaderValue {
        HeaderValue::from_bytes(bytes).unwrap()
    }

    #[test]
    fn only_the_very_origins_may_call() {
        for allowed in ["https://chat.example.org", "http://localhost:5173"] {
            assert!(origins().allows(&header(allowed.as_bytes())), "{allowed}");
        }
        for hostile in [
            b"https://chat.example.org.evil.test".as_slice(),
            b"https://evil-chat.example.org",
            b"http://chat.example.org",
            b"https://chat.example.org:444",
            b"https://chat.example.org/",
            b"null",
            b"*",
            b"",
            b"https://chat.example.org, https://evil.test",
            b"https://ch\xe4t.example.org",
        ] {
            assert!(
                !origins().allows(&header(hostile)),
                "{}",
                String::from_utf8_lossy(hostile)
            );
        }
    }

    #[test]
    fn an_answer_is_only_marked_for_an_allowed_origin() {
        let mut headers = HeaderMap::new();
        origins().mark(Some(&header(b"https://evil\xff.test")), &mut headers);
        assert!(!headers.contains_key("access-control-allow-origin"));
        origins().mark(Some(&header(b"http://localhost:5173")), &mut headers);
        assert_eq!(headers["access-control-allow-origin"], "http://localhost:5173");
        assert!(!headers.contains_key("access-control-allow-credentials"));
    }

    #[test]
    fn a_preflight_is_answered_for_allowed_origins_alone() {
        let preflight = |origin: &[u8]| {
            let request = Request::builder()
                .method(Method::OPTIONS)
                .header("origin", header(origin))
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", header(b"x-\xff"))
                .finish();
            origins().preflight(&request)
        };
        assert_eq!(
            preflight(b"http://localhost:5173").unwrap().unwrap().status(),
            204
        );
        let refused = preflight(b"https://evil.test").unwrap().unwrap_err();
        assert_eq!(refused.problem().code, "request.origin");
        assert!(
            origins()
                .preflight(&Request::builder().method(Method::OPTIONS).finish())
                .is_none()
        );
    }

    #[test]
    fn a_setting_that_is_no_origin_is_an_error() {
        for wrong in ["", "chat.example.org", "ftp://x", "https://user@host", "/path"] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }
}

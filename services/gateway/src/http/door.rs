//! What every request passes, whatever it asks for: trace, request id, limits, CORS, problems, security
//! headers, metrics. One layer, so that its order can be read.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use poem::{Endpoint, PathPattern, Request, Response};
use tokio::time::Instant;
use tracing::Instrument;
use veza_platform::ambient;
use veza_platform::config::Config;
use veza_platform::contract::Problem;
use veza_platform::telemetry::{self, Metrics};

use super::body::BodyLimits;
use super::limits::Limits;
use super::metrics::RequestMetrics;
use super::origins::Origins;
use super::problem::{self, Failure};
use super::visit::Visit;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// When a request ran out of time, how soon to try again, milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;
/// Answers of the API are no pages: nothing in them is ever to be run or framed.
const NO_CONTENT: &str = "default-src 'none'; frame-ancestors 'none'";

/// What the door goes by.
pub(super) struct Rules {
    /// Who may call from a web page.
    pub origins: Arc<Origins>,
    /// How often one caller may ask.
    pub limits: Arc<Limits>,
    /// How large and slow a body may be.
    pub body: BodyLimits,
    /// Longest time until an answer begins.
    pub timeout: Duration,
    /// The same for uploads of files: how large, and how long.
    pub upload: (u64, Duration),
    /// Whether people reach us by HTTPS alone.
    pub https: bool,
    /// The methods of each route pattern, for `Allow`.
    pub methods: HashMap<String, String>,
}

impl Rules {
    /// The rules that the settings make.
    ///
    /// # Errors
    /// When an origin in the settings is none.
    pub(super) fn new(config: &Config) -> anyhow::Result<Self> {
        let gateway = &config.gateway;
        Ok(Self {
            origins: Arc::new(Origins::new(gateway)?),
            limits: Arc::new(Limits::new(&config.limits)),
            body: BodyLimits {
                max_bytes: gateway.max_body_bytes,
                timeout: Duration::from_millis(gateway.body_timeout_ms),
            },
            timeout: Duration::from_millis(gateway.request_timeout_ms),
            upload: (
                config.files.max_file_bytes.max(config.files.max_image_bytes),
                Duration::from_millis(config.files.upload_timeout_ms + gateway.request_timeout_ms),
            ),
            https: gateway.public_url.starts_with("https://"),
            methods: HashMap::new(),
        })
    }
}

/// The layer around all routes.
pub(super) struct Door<E> {
    inner: E,
    rules: Rules,
    metrics: RequestMetrics,
}

impl<E: Endpoint<Output = Response>> Door<E> {
    /// Puts the door before `inner`.
    pub(super) fn new(inner: E, rules: Rules, metrics: &Metrics) -> Self {
        Self {
            inner,
            rules,
            metrics: RequestMetrics::register(metrics),
        }
    }

    async fn pass(&self, mut request: Request, visit: &Visit) -> (Response, Option<PathPattern>) {
        if let Some(preflight) = self.rules.origins.preflight(&request) {
            return (preflight.unwrap_or_else(|refused| refused.response()), None);
        }
        if let Err(refused) = self.admit(&request, visit) {
            return (refused.response(), None);
        }
        let timeout = if is_upload(&request) {
            self.rules.upload.1
        } else {
            self.rules.timeout
        };
        request.set_data(visit.clone());
        request.set_data(self.rules.body);
        request.set_data(Arc::clone(&self.rules.limits));
        let call = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(Ok(response))) => {
                let route = response.data().cloned();
                (response, route)
            }
            Ok(Ok(Err(error))) => {
                let route = error.data::<PathPattern>().cloned();
                let failure = Failure::of(&error);
                let mut response = failure.response();
                if failure.status_code() == StatusCode::METHOD_NOT_ALLOWED
                    && let Some(methods) = route.as_ref().and_then(|route| self.rules.methods.get(&*route.0))
                {
                    problem::allow(&mut response, methods);
                }
                (response, route)
            }
            // The panic's message went to the log by the panic hook.
            Ok(Err(_)) => (
                Failure::from(Problem::internal(&"a request handler panicked")).response(),
                None,
            ),
            Err(_) => {
                let problem = Problem::unavailable("the answer took too long", RETRY_AFTER_MS);
                (Failure::from(problem).response(), None)
            }
        }
    }

    /// Turns away what need not be routed.
    fn admit(&self, request: &Request, visit: &Visit) -> Result<(), Failure> {
        if !request.uri().path().starts_with('/') {
            return Err(Failure::of(&poem::error::NotFoundError.into()));
        }
        let announced = request.headers().get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let most = if is_upload(request) {
            self.rules.upload.0
        } else {
            self.rules.body.max_bytes as u64
        };
        if announced.is_some_and(|bytes| bytes > most) {
            return Err(Failure::too_large());
        }
        // Who brings a token is charged by account once it is verified, and by address if it is not.
        let anonymous = !request.headers().contains_key(header::AUTHORIZATION);
        if anonymous && !matches!(request.uri().path(), "/healthz" | "/readyz") {
            visit.charged(self.rules.limits.address(visit.client()))?;
        }
        Ok(())
    }

    /// What every answer says besides what was asked.
    fn mark(&self, origin: Option<&HeaderValue>, visit: &Visit, headers: &mut HeaderMap) {
        self.rules.origins.mark(origin, headers);
        if let Some(rate) = visit.standing() {
            rate.mark(headers);
        }
        let id = HeaderValue::try_from(visit.id().to_string()).expect("UUIDs are ASCII");
        headers.insert(REQUEST_ID, id);
        for (name, value) in [
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
            (header::REFERRER_POLICY, "no-referrer"),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                "same-origin",
            ),
            (
                HeaderName::from_static("cross-origin-opener-policy"),
                "same-origin",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let unless_set = [
            (header::CONTENT_SECURITY_POLICY, NO_CONTENT),
            (header::CACHE_CONTROL, "no-store"),
        ];
        for (name, value) in unless_set {
            headers.entry(name).or_insert(HeaderValue::from_static(value));
        }
        if self.rules.https {
            let year = HeaderValue::from_static("max-age=31536000; includeSubDomains");
            headers.insert(header::STRICT_TRANSPORT_SECURITY, year);
        }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Door<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let (begun, _under_way) = (Instant::now(), self.metrics.begin());
        let visit = Visit::begin(&request, ambient::new_uuid());
        let method = request.method().clone();
        let origin = request.headers().get(header::ORIGIN).cloned();
        let known = request.headers().get(header::IF_NONE_MATCH).cloned();
        let span = tracing::info_span!(
            "request",
            otel.kind = "server",
            http.request.id = %visit.id(),
            http.request.method = %method,
            http.route = tracing::field::Empty,
            http.response.status_code = tracing::field::Empty,
        );
        telemetry::continue_from(&span, telemetry::extract_http(request.headers()));
        let (mut response, route) = self.pass(request, &visit).instrument(span.clone()).await;
        if is_known(&method, known.as_ref(), &response) {
            response.set_status(StatusCode::NOT_MODIFIED);
            response.set_body(());
        }
        self.mark(origin.as_ref(), &visit, response.headers_mut());
        let route = route
            .as_ref()
            .map(|route| &*route.0)
            .filter(|route| !route.is_empty());
        let status = response.status();
        span.record("http.route", route);
        span.record("http.response.status_code", status.as_u16());
        self.metrics.answered(&method, route, status, begun.elapsed());
        Ok(response)
    }
}

/// Whether the body is a file, which is read in pieces by who takes it.
fn is_upload(request: &Request) -> bool {
    let path = request.uri().path();
    let room = path
        .strip_prefix("/v1/rooms/")
        .and_then(|rest| rest.strip_suffix("/uploads"));
    *request.method() == Method::POST && room.is_some_and(|room| !room.contains('/'))
}

/// Whether the client already has what the answer says.
fn is_known(method: &Method, known: Option<&HeaderValue>, response: &Response) -> bool {
    let (Some(known), Some(tag)) = (known, response.headers().get(header::ETAG)) else {
        return false;
    };
    let (Ok(known), Ok(tag)) = (known.to_str(), tag.to_str()) else {
        return false;
    };
    let same = |candidate: &str| candidate.trim().trim_start_matches("W/") == tag;
    *method == Method::GET && response.status() == StatusCode::OK && known.split(',').any(same)
}

//! Refusals and failures as they leave the house: RFC 9457 `application/problem+json`, whoever found them,
//! an endpoint, a worker or poem itself.

use http::{HeaderName, HeaderValue, StatusCode, header};
use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError, ResponseError};
use poem::{Body, IntoResponse, Response};
use poem_openapi::error::{AuthorizationError, ContentTypeError, ParseParamError, ParsePathError};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};
use veza_platform::contract::{FieldError, Problem, ProblemKind};
use veza_platform::telemetry;

/// Media type of a problem.
const PROBLEM_JSON: &str = "application/problem+json";
/// Where the page about a code is, before the code.
const PAGE: &str = "/docs/errors#";

/// What an endpoint fails with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Failure {
    problem: Box<Problem>,
    /// When HTTP has a more exact word than the kind of the problem.
    status: Option<StatusCode>,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self {
            problem: Box::new(problem),
            status: None,
        }
    }
}

impl Failure {
    /// A failure without more than code and words.
    pub fn new(kind: ProblemKind, code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(kind, code, detail).into()
    }

    /// A request that cannot be read: `detail` about one field, header or parameter.
    pub fn unreadable(code: &'static str, field: &str, detail: impl Into<String>) -> Self {
        let problem = Problem::field(code, field, detail);
        Self::from(Problem {
            kind: ProblemKind::Malformed,
            ..problem
        })
    }

    /// Says it with a status of HTTP's own.
    #[must_use]
    pub fn with_status(self, status: StatusCode) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// Tells when to come again.
    #[must_use]
    pub fn retry_after_ms(mut self, milliseconds: u64) -> Self {
        self.problem.retry_after_ms = Some(milliseconds);
        self
    }

    /// The problem behind it.
    pub fn problem(&self) -> &Problem {
        &self.problem
    }

    /// Whatever poem or poem-openapi refused, in our words. Words of theirs go out only where they speak
    /// about the request; what else they say goes to the log.
    pub fn of(error: &poem::Error) -> Self {
        if let Some(failure) = error.downcast_ref::<Self>() {
            return failure.clone();
        }
        if error.is::<NotFoundError>() {
            return Self::new(
                ProblemKind::NotFound,
                "request.unknown_path",
                "there is nothing at this address",
            );
        }
        if error.is::<MethodNotAllowedError>() {
            let detail = "this address does not take the method; `Allow` names those it takes";
            return Self::new(ProblemKind::Malformed, "request.method", detail)
                .with_status(StatusCode::METHOD_NOT_ALLOWED);
        }
        if error.is::<AuthorizationError>() {
            let detail = "sign in first: `Authorization: Bearer <access token>` is missing";
            return Self::new(ProblemKind::Unauthenticated, "session.required", detail);
        }
        if let Some(ParseParamError { name, reason }) = error.downcast_ref() {
            return Self::unreadable("request.parameter", name, reason.as_str());
        }
        if let Some(ParsePathError { reason, .. }) = error.downcast_ref() {
            return Self::unreadable("request.parameter", "path", reason.as_str());
        }
        if error.is::<ContentTypeError>() {
            let detail = "send `Content-Type: application/json`";
            return Self::new(ProblemKind::Malformed, "request.media_type", detail)
                .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        match (error.downcast_ref(), error.status()) {
            (Some(ReadBodyError::PayloadTooLarge), _) => Self::too_large(),
            (_, status) if status.is_client_error() => Self::new(
                ProblemKind::Malformed,
                "request.malformed",
                "the request cannot be read",
            )
            .with_status(status),
            _ => Problem::internal(error).into(),
        }
    }

    /// The body is larger than allowed.
    pub fn too_large() -> Self {
        Self::new(
            ProblemKind::TooLarge,
            "request.too_large",
            "the body is larger than allowed",
        )
    }

    /// The status to answer with.
    pub fn status_code(&self) -> StatusCode {
        self.status.unwrap_or_else(|| status_of(self.problem.kind))
    }

    /// The answer, with the trace id of the current span.
    pub fn response(&self) -> Response {
        let status = self.status_code();
        let document = ProblemDocument::new(&self.problem, status);
        let json = document.to_json_string();
        let mut response = Response::builder().status(status).body(Body::from_string(json));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(milliseconds) = self.problem.retry_after_ms {
            headers.insert(header::RETRY_AFTER, milliseconds.div_ceil(1_000).max(1).into());
        }
        if self.problem.kind == ProblemKind::Unauthenticated {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The status of each kind of problem.
const fn status_of(kind: ProblemKind) -> StatusCode {
    match kind {
        ProblemKind::Malformed => StatusCode::BAD_REQUEST,
        ProblemKind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ProblemKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ProblemKind::Forbidden => StatusCode::FORBIDDEN,
        ProblemKind::NotFound => StatusCode::NOT_FOUND,
        ProblemKind::Conflict => StatusCode::CONFLICT,
        ProblemKind::Stale => StatusCode::PRECONDITION_FAILED,
        ProblemKind::Gone => StatusCode::GONE,
        ProblemKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ProblemKind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        ProblemKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ProblemKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Adds `Allow` to the answer of an address that does not take the method.
pub(super) fn allow(response: &mut Response, methods: &str) {
    if let Ok(value) = HeaderValue::from_str(methods) {
        response
            .headers_mut()
            .insert(HeaderName::from_static("allow"), value);
    }
}

impl ResponseError for Failure {
    fn status(&self) -> StatusCode {
        self.status_code()
    }

    fn as_response(&self) -> Response {
        self.response()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.response()
    }
}

/// Why a request did not succeed (RFC 9457).
#[derive(Object)]
#[oai(rename = "Problem", skip_serializing_if_is_none)]
struct ProblemDocument {
    /// Page about the code.
    #[oai(rename = "type")]
    page: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// `<aggregate>.<reason>`, stable: what programs look at.
    code: String,
    /// What happened and what to do, for people.
    detail: String,
    /// When to try again, milliseconds from now.
    retry_after_ms: Option<u64>,
    /// Names this request in logs and traces.
    trace_id: Option<String>,
    /// Field by field, when fields are at fault.
    #[oai(default, skip_serializing_if_is_empty)]
    errors: Vec<ProblemField>,
}

/// What is wrong with one field.
#[derive(Object)]
struct ProblemField {
    /// Path of the field, `a.b[0]`.
    field: String,
    /// What is wrong and what would be right.
    detail: String,
}

impl ProblemDocument {
    fn new(problem: &Problem, status: StatusCode) -> Self {
        let field = |FieldError { field, detail }: &FieldError| ProblemField {
            field: field.clone(),
            detail: detail.clone(),
        };
        Self {
            page: format!("{PAGE}{}", problem.code),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            code: problem.code.clone(),
            detail: problem.detail.clone(),
            retry_after_ms: problem.retry_after_ms,
            trace_id: telemetry::current_trace_id(),
            errors: problem.errors.iter().map(field).collect(),
        }
    }
}

/// In the document, one answer stands for all that can go wrong.
impl ApiResponse for Failure {
    fn meta() -> MetaResponses {
        let content = MetaMediaType {
            content_type: PROBLEM_JSON,
            schema: ProblemDocument::schema_ref(),
        };
        MetaResponses {
            responses: vec![MetaResponse {
                description: "Refused or failed; `code` tells why.",
                status: None,
                status_range: None,
                content: vec![content],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        ProblemDocument::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(failure: Failure) -> (StatusCode, http::HeaderMap, serde_json::Value) {
        let mut response = failure.into_response();
        let body = response.take_body().into_vec().await.unwrap();
        (
            response.status(),
            response.headers().clone(),
            serde_json::from_slice(&body).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_problem_of_a_worker_goes_out_whole() {
        let problem = Problem {
            retry_after_ms: Some(4_200),
            ..Problem::field("room.name", "name", "a name has 1 to 80 characters")
        };
        let (status, headers, body) = answer(problem.into()).await;
        assert_eq!(status, 422);
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers["retry-after"], "5", "seconds, rounded up");
        let expected = serde_json::json!({
            "type": "/docs/errors#room.name", "title": "Unprocessable Entity", "status": 422,
            "code": "room.name", "detail": "a name has 1 to 80 characters", "retry_after_ms": 4200,
            "errors": [{"field": "name", "detail": "a name has 1 to 80 characters"}],
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn what_poem_refuses_gets_a_code_too() {
        for (error, status, code) in [
            (NotFoundError.into(), 404, "request.unknown_path"),
            (MethodNotAllowedError.into(), 405, "request.method"),
            (AuthorizationError.into(), 401, "session.required"),
            (
                ContentTypeError::ExpectContentType.into(),
                415,
                "request.media_type",
            ),
            (ReadBodyError::PayloadTooLarge.into(), 413, "request.too_large"),
            (
                poem::Error::from_status(StatusCode::IM_A_TEAPOT),
                418,
                "request.malformed",
            ),
            (
                poem::Error::from_string("secret path", StatusCode::BAD_GATEWAY),
                500,
                "platform.internal",
            ),
        ] {
            let (got, _, body) = answer(Failure::of(&error)).await;
            assert_eq!((got.as_u16(), body["code"].as_str().unwrap()), (status, code));
            assert!(!body.to_string().contains("secret path"));
        }
    }

    #[tokio::test]
    async fn a_missing_session_names_the_scheme() {
        let (_, headers, _) = answer(Failure::of(&AuthorizationError.into())).await;
        assert_eq!(headers["www-authenticate"], "Bearer");
    }
}

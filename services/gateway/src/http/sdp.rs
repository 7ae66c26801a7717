//! Descriptions of connections as bodies of requests and answers.

use http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{Body, IntoResponse, Request, RequestBody, Response, Result};
use poem_openapi::registry::{
    MetaHeader, MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use veza_platform::contract::ProblemKind;
use veza_platform::event_log::Position;

use super::body::{BodyLimits, read};
use super::problem::Failure;
use super::reply::{self, SEQ};
use crate::streams::IceServer;

/// Media type of a description (RFC 8866).
pub(super) const SDP: &str = "application/sdp";
/// Media type of a part of one (RFC 8840).
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// A text of one media type as the body of a request.
macro_rules! text_body {
    ($(#[$doc:meta])+ $name:ident, $kind:expr, $description:literal) => {
        $(#[$doc])+
        pub(super) struct $name(pub(super) String);

        impl<'a> ApiExtractor<'a> for $name {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

            type ParamType = ();
            type ParamRawType = ();

            fn request_meta() -> Option<MetaRequest> {
                Some(MetaRequest {
                    description: Some($description),
                    content: vec![text($kind)],
                    required: true,
                })
            }

            async fn from_request(
                request: &'a Request,
                body: &mut RequestBody,
                _: ExtractParamOptions<()>,
            ) -> Result<Self> {
                Ok(Self(body_of(request, body, $kind).await?))
            }
        }
    };
}

text_body! {
    /// A description of a connection.
    Sdp, SDP, "The description of the connection."
}
text_body! {
    /// A part of one.
    Fragment, FRAGMENT, "Candidates for the connection that `If-Match` names; with `*`, `a=ice-ufrag` and `a=ice-pwd` of a new one."
}

async fn body_of(request: &Request, body: &mut RequestBody, kind: &str) -> Result<String> {
    let given = request.content_type().and_then(|given| given.split(';').next());
    if !given.is_some_and(|given| given.trim().eq_ignore_ascii_case(kind)) {
        let detail = format!("send `Content-Type: {kind}`");
        let failure = Failure::new(ProblemKind::Malformed, "request.media_type", detail);
        return Err(failure.with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE).into());
    }
    let limits = request.data::<BodyLimits>().copied();
    let bytes = read(body.take()?, limits.expect("every request carries its limits")).await?;
    let text = String::from_utf8(bytes.into());
    Ok(text.map_err(|_| {
        let detail = "the body is no UTF-8";
        Failure::new(ProblemKind::Malformed, "request.malformed", detail)
    })?)
}

/// A stream is in the call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) location: String,
    pub(super) sdp: String,
    pub(super) connection: String,
    pub(super) position: Position,
    pub(super) servers: Vec<IceServer>,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = Body::from_string(self.sdp);
        let mut response = Response::builder()
            .status(StatusCode::CREATED)
            .content_type(SDP)
            .body(body);
        set(&mut response, header::LOCATION, &self.location);
        set(&mut response, header::ETAG, &format!("\"{}\"", self.connection));
        set(&mut response, SEQ, &self.position.to_string());
        for link in self.servers.iter().flat_map(IceServer::links) {
            if let Ok(link) = HeaderValue::try_from(link) {
                response.headers_mut().append(header::LINK, link);
            }
        }
        response
    }
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

impl ApiResponse for Answer {
    fn meta() -> MetaResponses {
        let headers = vec![
            reply::header("Location", "The stream."),
            reply::header("ETag", "Names the connection, for `If-Match`."),
            reply::header("Link", "Servers that help to find a way, `rel=\"ice-server\"`."),
            reply::header("Veza-Seq", "Where the write lies, `<stream>/<sequence>`."),
        ];
        answers(vec![(
            StatusCode::CREATED,
            "The description that answers.",
            Some(SDP),
            headers,
        )])
    }

    fn register(_: &mut Registry) {}
}

/// A part of a description is taken in.
#[derive(Debug)]
pub(super) struct Patched {
    /// How the server is reached, if the connection begins anew.
    pub(super) fragment: Option<String>,
    pub(super) connection: String,
}

impl IntoResponse for Patched {
    fn into_response(self) -> Response {
        let mut response = match self.fragment {
            Some(fragment) => Response::builder().content_type(FRAGMENT).body(fragment),
            None => Response::builder().status(StatusCode::NO_CONTENT).finish(),
        };
        set(&mut response, header::ETAG, &format!("\"{}\"", self.connection));
        response
    }
}

impl ApiResponse for Patched {
    fn meta() -> MetaResponses {
        let tag = || vec![reply::header("ETag", "Names the connection, for `If-Match`.")];
        answers(vec![
            (
                StatusCode::OK,
                "The connection begins anew; how the server is reached.",
                Some(FRAGMENT),
                tag(),
            ),
            (
                StatusCode::NO_CONTENT,
                "The candidates are taken in.",
                None,
                tag(),
            ),
        ])
    }

    fn register(_: &mut Registry) {}
}

type Documented = (StatusCode, &'static str, Option<&'static str>, Vec<MetaHeader>);

/// Answers as the document has them: status, words, media type, headers.
pub(super) fn answers(all: Vec<Documented>) -> MetaResponses {
    let responses = all
        .into_iter()
        .map(|(status, description, kind, headers)| MetaResponse {
            description,
            status: Some(status.as_u16()),
            status_range: None,
            content: kind.map(text).into_iter().collect(),
            headers,
        });
    MetaResponses {
        responses: responses.collect(),
    }
}

fn text(content_type: &'static str) -> MetaMediaType {
    MetaMediaType {
        content_type,
        schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
    }
}

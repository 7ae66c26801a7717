//! JSON bodies, read strictly: right types only, no unknown and no doubled fields, within size and time.
//!
//! poem-openapi's own `Json` takes numbers for texts, reads without a limit and repeats what it was given in
//! its errors; here it only lends the schema.

use std::time::Duration;

use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use poem::{Body, Request, RequestBody, Result};
use poem_openapi::error::ContentTypeError;
use poem_openapi::payload::{self, ParsePayload, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::types::ParseFromJSON;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use veza_platform::contract::ProblemKind;

use super::problem::Failure;

/// How large a body may be and how long it may take. Stands in the data of each request.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimits {
    /// Bytes.
    pub max_bytes: usize,
    /// From the first look at the body to its last byte.
    pub timeout: Duration,
}

/// A JSON body.
pub(super) struct Json<T>(pub T);

impl<T: ParseFromJSON> Payload for Json<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        <payload::Json<T> as Payload>::check_content_type(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ParseFromJSON + DeserializeOwned> ParsePayload for Json<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(request: &Request, body: &mut RequestBody) -> Result<Self> {
        let limits = request.data::<BodyLimits>().copied();
        let limits = limits.expect("every request carries its limits");
        let bytes = read(body.take()?, limits).await?;
        Ok(Self(parse(&bytes)?))
    }
}

impl<'a, T: ParseFromJSON + DeserializeOwned> ApiExtractor<'a> for Json<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        <Self as Payload>::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: Self::CONTENT_TYPE,
                schema: <Self as Payload>::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        match request.content_type() {
            Some(kind) if Self::check_content_type(kind) => {
                <Self as ParsePayload>::from_request(request, body).await
            }
            _ => Err(ContentTypeError::ExpectContentType.into()),
        }
    }
}

pub(super) async fn read(body: Body, limits: BodyLimits) -> Result<bytes::Bytes, Failure> {
    let body: http_body_util::combinators::BoxBody<bytes::Bytes, std::io::Error> = body.into();
    match tokio::time::timeout(limits.timeout, Limited::new(body, limits.max_bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Failure::too_large()),
        Ok(Err(_)) => {
            let detail = "the body broke off";
            Err(Failure::new(ProblemKind::Malformed, "request.malformed", detail))
        }
        Err(_) => {
            let detail = "the body took too long";
            Err(Failure::new(ProblemKind::Malformed, "request.timeout", detail)
                .with_status(StatusCode::REQUEST_TIMEOUT))
        }
    }
}

/// Reads `bytes` as JSON of type `T`. The value itself is never repeated: it may be a password.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        failure(&path, error.inner())
    })?;
    json.end().map_err(|error| failure(".", &error))?;
    Ok(value)
}

fn failure(path: &str, error: &serde_json::Error) -> Failure {
    let words = error.to_string();
    let at = format!("line {} column {}", error.line(), error.column());
    let words = words.strip_suffix(&format!(" at {at}")).unwrap_or(&words);
    match error.classify() {
        Category::Data => {
            let expected = words
                .rfind(", expected ")
                .filter(|_| words.starts_with("invalid"));
            let detail = expected.map_or(words, |begin| &words[begin + 2..]);
            let detail = if detail.starts_with("expected struct") {
                "expected an object"
            } else {
                detail
            };
            let field = if path == "." { "" } else { path };
            Failure::unreadable("request.malformed", field, detail)
        }
        Category::Syntax | Category::Eof | Category::Io => {
            let detail = format!("the body is not valid JSON: {words} at {at}");
            Failure::new(ProblemKind::Malformed, "request.malformed", detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Form {
        login: String,
        password: String,
        id: Option<uuid::Uuid>,
        #[serde(default)]
        tags: Vec<u8>,
    }

    fn refused(body: &[u8]) -> (String, String) {
        let failure = parse::<Form>(body).unwrap_err();
        assert_eq!(failure.status_code(), 400);
        let problem = failure.problem();
        assert_eq!(problem.code, "request.malformed");
        let field = problem
            .errors
            .first()
            .map(|error| error.field.clone())
            .unwrap_or_default();
        (field, problem.detail.clone())
    }

    #[test]
    fn only_the_exact_shape_is_taken() {
        let check = |body: &str, field: &str, words: &str| {
            let (got, detail) = refused(body.as_bytes());
            assert!(got == field && detail.contains(words), "{body}: {got}: {detail}");
        };
        check(r#"{"login":5,"password":"p"}"#, "login", "expected a string");
        check(
            r#"{"login":"l","password":["s3cret"]}"#,
            "password",
            "expected a string",
        );
        check(r#"{"login":"l"}"#, "", "missing field `password`");
        check(
            r#"{"login":"l","password":"p","admin":true}"#,
            "admin",
            "unknown field `admin`",
        );
        check(
            r#"{"login":"l","login":"m","password":"p"}"#,
            "",
            "duplicate field `login`",
        );
        check(r#"{"login":"l","password":"p","id":"x"}"#, "id", "UUID");
        check(
            r#"{"login":"l","password":"p","tags":[1,"2"]}"#,
            "tags[1]",
            "expected u8",
        );
        check(
            r#"{"login":"l","password":"p","tags":[1,256]}"#,
            "tags[1]",
            "expected u8",
        );
        check("[]", "", "");
        check(r#"{"login":"l","password":"p"} x"#, "", "trailing characters");
        check("", "", "not valid JSON");
        check("{", "", "not valid JSON");
        check("null", "", "expected an object");
    }

    #[test]
    fn a_wrong_value_is_not_repeated() {
        let (_, detail) = refused(br#"{"login":"l","password":"p","id":["s3cret"]}"#);
        assert!(!detail.contains("s3cret"), "{detail}");
        let (_, detail) = refused(br#"{"login":"l","password":"p","tags":"s3cret, expected x"}"#);
        assert!(!detail.contains("s3cret"), "{detail}");
    }

    #[test]
    fn bad_utf8_and_deep_nesting_are_refused() {
        refused(b"{\"login\":\"\xff\",\"password\":\"p\"}");
        refused(b"{\"login\":\"\xed\xa0\x80\",\"password\":\"p\"}");
        refused(br#"{"login":"\ud800","password":"p"}"#);
        refused(&[b"{\"tags\":".to_vec(), vec![b'['; 100_000]].concat());
    }

    #[tokio::test]
    async fn a_body_beyond_its_limits_is_refused() {
        let limits = BodyLimits {
            max_bytes: 4,
            timeout: Duration::from_millis(20),
        };
        assert_eq!(read(Body::from("1234"), limits).await.unwrap(), "1234");
        assert_eq!(
            read(Body::from("12345"), limits).await.unwrap_err().status_code(),
            413
        );
        let never = futures::stream::pending::<std::io::Result<bytes::Bytes>>();
        let slow = read(Body::from_bytes_stream(never), limits).await.unwrap_err();
        assert_eq!(
            (slow.status_code().as_u16(), slow.problem().code.as_str()),
            (408, "request.timeout")
        );
    }
}

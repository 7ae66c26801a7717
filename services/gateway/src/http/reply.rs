//! Answers that went well: a JSON body, where the write lies, and the tag of the state.

use http::{HeaderName, HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::payload::{Json, Payload};
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};
use veza_platform::event_log::Position;

use crate::digest;

/// Where a write lies, as `<stream>/<sequence>`: what a read can ask to see with `Veza-Min-Seq`.
pub(super) const SEQ: HeaderName = HeaderName::from_static("veza-seq");

/// Digits of a digest in a tag: enough to tell two views of one state apart.
const VIEW_DIGITS: usize = 12;

/// An answer of status `STATUS`.
#[derive(Debug)]
pub(super) struct Reply<const STATUS: u16, T> {
    body: T,
    position: Option<Position>,
    tag: Option<Tag>,
}

/// What an `ETag` tells of a state. `If-Match` looks at the sequence alone.
#[derive(Clone, Copy, Debug)]
enum Tag {
    /// The sequence of its last change.
    Change(u64),
    /// That, and a digest of what is shown, since this hangs on more: who asks, or how far something is.
    View(u64),
}

/// `200 OK`
pub(super) type Found<T> = Reply<200, T>;
/// `201 Created`
pub(super) type Created<T> = Reply<201, T>;
/// `200 OK` of a change, which has nothing to tell but where it lies.
pub(super) type Changed = Reply<200, Written>;

/// A change is stored.
#[derive(Debug, Object)]
pub(super) struct Written {
    /// Its sequence in the stream that `Veza-Seq` names; absent when nothing had to change.
    #[oai(skip_serializing_if_is_none)]
    seq: Option<u64>,
}

impl<const STATUS: u16, T> Reply<STATUS, T> {
    /// An answer with a body alone.
    pub(super) fn new(body: T) -> Self {
        Self {
            body,
            position: None,
            tag: None,
        }
    }

    /// The answer to a write.
    pub(super) fn written(body: T, position: Position) -> Self {
        Self {
            body,
            position: Some(position),
            tag: None,
        }
    }

    /// A state whose last change has this sequence: its `ETag`.
    pub(super) fn tagged(body: T, seq: u64) -> Self {
        Self {
            body,
            position: None,
            tag: Some(Tag::Change(seq)),
        }
    }

    /// As [`Self::tagged`], of a state that is shown together with what its changes do not cover.
    pub(super) fn viewed(body: T, seq: u64) -> Self {
        Self {
            body,
            position: None,
            tag: Some(Tag::View(seq)),
        }
    }
}

impl Changed {
    /// The answer to a change; `None` when nothing had to change.
    pub(super) fn at(position: impl Into<Option<Position>>) -> Self {
        let position = position.into();
        let seq = position.as_ref().map(|position| position.seq);
        Self {
            body: Written { seq },
            position,
            tag: None,
        }
    }
}

/// A header of an answer, in the document.
pub(super) fn header(name: &str, description: &str) -> MetaHeader {
    MetaHeader {
        name: name.to_owned(),
        description: Some(description.to_owned()),
        required: false,
        deprecated: false,
        schema: String::schema_ref(),
    }
}

impl<const STATUS: u16, T: ToJSON> IntoResponse for Reply<STATUS, T> {
    fn into_response(self) -> Response {
        let tag = self.tag.map(|tag| match tag {
            Tag::Change(seq) => format!("\"{seq}\""),
            Tag::View(seq) => {
                let digest = digest::name_of(&[self.body.to_json_string().as_bytes()]);
                format!("\"{seq}.{}\"", &digest[..VIEW_DIGITS])
            }
        });
        let mut response = Json(self.body).into_response();
        response.set_status(StatusCode::from_u16(STATUS).expect("only real statuses are named"));
        let headers = response.headers_mut();
        if let Some(position) = self.position {
            let value = HeaderValue::try_from(position.to_string());
            headers.insert(SEQ, value.expect("positions are ASCII"));
        }
        if let Some(tag) = tag {
            let value = HeaderValue::try_from(tag);
            headers.insert(header::ETAG, value.expect("digits are ASCII"));
        }
        response
    }
}

impl<const STATUS: u16, T: ToJSON> ApiResponse for Reply<STATUS, T> {
    fn meta() -> MetaResponses {
        let headers = vec![
            header("Veza-Seq", "Where the write lies, `<stream>/<sequence>`."),
            header(
                "ETag",
                "Begins with the sequence of the last change; for `If-Match`.",
            ),
        ];
        MetaResponses {
            responses: vec![MetaResponse {
                description: "",
                status: Some(STATUS),
                status_range: None,
                content: vec![MetaMediaType {
                    content_type: <Json<T> as Payload>::CONTENT_TYPE,
                    schema: T::schema_ref(),
                }],
                headers,
            }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

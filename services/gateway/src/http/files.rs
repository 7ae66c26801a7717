//! `/v1/rooms/{room}/uploads` and `/v1/attachments`: files on their way in and out.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use poem::{Body, IntoResponse, Request, RequestBody, Response, Result};
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::registry::{
    MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry,
};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, Enum, ExtractParamOptions, Object, OpenApi};
use uuid::Uuid;
use veza_events::attachment::{AboutAttachment, AttachmentKind};
use veza_events::{AttachmentId, Permission};
use veza_platform::blobs::Blobs;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::uploads::{blob_name, thumbnail_name};
use veza_readmodel::rows;

use super::fresh::Fresh;
use super::problem::Failure;
use super::ranges;
use super::reply::Created;
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::files::{Arrival, is_inline};
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on files.
pub(super) struct Files(pub(super) Arc<Gateway>);

/// How a file is shown.
#[derive(Enum)]
#[oai(rename_all = "snake_case", remote = "AttachmentKind")]
enum FileKind {
    /// A picture.
    Image,
    /// Moving pictures.
    Video,
    /// Music and the like.
    Audio,
    /// Something said, recorded for its message.
    Voice,
    /// Anything else.
    File,
}

/// A file.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct File {
    /// The file.
    id: Uuid,
    /// How it is shown.
    kind: FileKind,
    /// Its bytes.
    size: u64,
    /// What it is called; this and all that follows is absent once the author's account is erased.
    name: Option<String>,
    /// Its media type, as its content says.
    media_type: Option<String>,
    /// SHA-256 of its bytes, hex.
    sha256: Option<String>,
    /// Width of a picture.
    width: Option<u32>,
    /// Height of a picture.
    height: Option<u32>,
    /// What stands in for a picture until it is there (<https://blurha.sh>).
    blur_hash: Option<String>,
    /// Smaller ones of a picture, smallest first.
    thumbnails: Option<Vec<SmallerPicture>>,
    /// How long it plays, in milliseconds.
    duration_ms: Option<u64>,
    /// How loud it is in equal parts of its time, 0 to 255.
    peaks: Option<Vec<u8>>,
}

/// A smaller picture.
#[derive(Object)]
struct SmallerPicture {
    /// Its width.
    width: u32,
    /// Its height.
    height: u32,
    /// Its bytes.
    size: u64,
    /// Its media type.
    media_type: String,
}

impl From<rows::Attachment> for File {
    fn from(row: rows::Attachment) -> Self {
        let mut about = row.about;
        let thumbnails = about.as_mut().map(|about| std::mem::take(&mut about.thumbnails));
        let smaller = thumbnails
            .unwrap_or_default()
            .into_iter()
            .map(|small| SmallerPicture {
                width: small.width,
                height: small.height,
                size: small.size,
                media_type: small.media_type,
            });
        let (pixels, peaks) = about
            .as_mut()
            .map(|about| (about.pixels, std::mem::take(&mut about.peaks)))
            .unwrap_or_default();
        let (name, media_type, sha256, blur_hash, duration_ms) = match about {
            Some(about) => (
                Some(about.name),
                Some(about.media_type),
                Some(about.sha256),
                about.blur_hash,
                about.duration_ms,
            ),
            None => (None, None, None, None, None),
        };
        Self {
            id: row.id.uuid(),
            kind: row.kind.into(),
            size: row.size,
            name,
            media_type,
            sha256,
            width: pixels.map(|(width, _)| width),
            height: pixels.map(|(_, height)| height),
            blur_hash,
            thumbnails: some(smaller.collect()),
            duration_ms,
            peaks: some(peaks),
        }
    }
}

/// A list, unless it is empty.
pub(super) fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

/// Which of the smaller pictures.
#[derive(Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum Size {
    /// For lists: 320 pixels at most.
    Small,
    /// For a screen: 1,280 pixels at most.
    Large,
}

#[OpenApi(tag = "Chapter::Files")]
impl Files {
    /// Bring a file for a message that is to be posted in a room. The body is the file itself.
    #[oai(
        path = "/v1/rooms/:room/uploads",
        method = "post",
        operation_id = "upload_file"
    )]
    async fn upload(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        /// What it is called.
        name: Query<Option<String>>,
        /// Whether it is something said, recorded for the message.
        voice: Query<Option<bool>>,
        content: Content,
    ) -> Result<Created<File>, Failure> {
        let room = (*room).into();
        let blobs = self.blobs()?;
        let place = self.0.rooms.place(room).await?;
        let allowed = self
            .0
            .access
            .in_room(session.account(), place.space, place.gate)
            .await?;
        if !allowed.has(Permission::Attach) {
            let detail = "this needs the permission to attach files";
            return Err(Problem::new(ProblemKind::Forbidden, "attachment.not_allowed", detail).into());
        }
        let caller = once.caller(&self.0, &session).await?;
        let arrival = Arrival {
            id: caller.command.derive(session.account().uuid(), "attachment"),
            by: session.account(),
            room,
            name: name.0.unwrap_or_default(),
            voice: voice.0.unwrap_or(false),
        };
        let body = content.0.into_bytes_stream();
        let stored = self.0.intake.take(blobs, arrival, body).await?;
        Ok(Created::new(rows::Attachment::from(stored).into()))
    }

    /// A file of a message, whole or in parts (`Range`).
    #[oai(path = "/v1/attachments/:id", method = "get", operation_id = "get_attachment")]
    async fn get(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        id: Path<Uuid>,
        /// Which parts, as RFC 9110 says; up to 8.
        #[oai(name = "Range")]
        range: Header<Option<String>>,
        /// Only while the file has this `ETag`; else all of it.
        #[oai(name = "If-Range")]
        if_range: Header<Option<String>>,
    ) -> Result<FileAnswer, Failure> {
        let (id, size, about) = self.visible(&session, *id).await?;
        let tag = format!("\"{}\"", &about.sha256);
        let range = range.0.filter(|_| if_range.0.is_none_or(|asked| asked == tag));
        let reader = self.blobs()?.reader(&blob_name(id), size).await;
        let reader = reader.map_err(Problem::from)?;
        let mut response = ranges::answer(&reader, range.as_deref(), &about.media_type)?;
        mark(response.headers_mut(), &tag, &about.name, &about.media_type);
        Ok(FileAnswer(response))
    }

    /// A smaller picture of a file; of a small picture, the picture itself.
    #[oai(
        path = "/v1/attachments/:id/thumbnail",
        method = "get",
        operation_id = "get_thumbnail"
    )]
    async fn thumbnail(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        id: Path<Uuid>,
        /// `small` when absent.
        size: Query<Option<Size>>,
    ) -> Result<FileAnswer, Failure> {
        let (id, whole, about) = self.visible(&session, *id).await?;
        if about.pixels.is_none() {
            let detail = "there is no smaller picture of this file";
            return Err(Problem::new(ProblemKind::NotFound, "attachment.no_thumbnail", detail).into());
        }
        let number = match size.0.unwrap_or(Size::Small) {
            Size::Small => 0,
            Size::Large => about.thumbnails.len().saturating_sub(1),
        };
        let (name, bytes, media_type) = match about.thumbnails.get(number) {
            Some(small) => (thumbnail_name(id, number), small.size, &small.media_type),
            None => (blob_name(id), whole, &about.media_type),
        };
        let reader = self.blobs()?.reader(&name, bytes).await.map_err(Problem::from)?;
        let mut response = ranges::answer(&reader, None, media_type)?;
        let tag = format!("\"{}.{number}\"", &about.sha256);
        mark(response.headers_mut(), &tag, &about.name, media_type);
        Ok(FileAnswer(response))
    }
}

impl Files {
    pub(super) fn blobs(&self) -> Result<&Blobs, Failure> {
        self.0.blobs.as_ref().ok_or_else(|| {
            let detail = "this installation takes no files: its operator named no store for them";
            Problem::new(ProblemKind::NotFound, "attachment.off", detail).into()
        })
    }

    /// A file that the caller may see now, and what is known of it.
    async fn visible(
        &self,
        session: &Session,
        id: Uuid,
    ) -> Result<(AttachmentId, u64, AboutAttachment), Failure> {
        let id = AttachmentId::new(id);
        let found = self.0.read.attachment(id).await.map_err(of_read_model)?;
        let found = found.ok_or_else(no_such_file)?;
        let place = self.0.rooms.place(found.room).await?;
        let hidden = self
            .0
            .access
            .hidden_in_room(session.account(), found.space, place.gate)
            .await;
        let hidden = hidden.map_err(|problem| match problem.kind {
            ProblemKind::NotFound => no_such_file(),
            _ => problem,
        })?;
        if found.posted <= hidden {
            return Err(no_such_file().into());
        }
        let gone = || Problem::new(ProblemKind::Gone, "attachment.gone", "the file was removed");
        let about = found.attachment.about.ok_or_else(gone)?;
        Ok((id, found.attachment.size, about))
    }
}

/// The one answer for files that are not there and files that the caller may not know of.
fn no_such_file() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "attachment.not_found",
        "there is no such file, or not for you",
    )
}

/// How browsers keep and show it. Its bytes never change; nothing in it is ever to run as ours.
pub(super) fn mark(headers: &mut http::HeaderMap, tag: &str, name: &str, media_type: &str) {
    let shown = if is_inline(media_type) {
        "inline"
    } else {
        "attachment"
    };
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' {
                c
            } else {
                '_'
            }
        })
        .collect();
    let exact: String = name.bytes().map(percent).collect();
    let disposition = format!("{shown}; filename=\"{plain}\"; filename*=UTF-8''{exact}");
    for (header, value) in [
        (header::CONTENT_DISPOSITION, disposition.as_str()),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "private, max-age=31536000, immutable"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(header, value);
        }
    }
}

/// A byte of a name as RFC 8187 writes it.
fn percent(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// The body of the request, of whatever type.
struct Content(Body);

impl<'a> ApiExtractor<'a> for Content {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];

    type ParamType = ();
    type ParamRawType = ();

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: Some("The bytes of the file. What type it is, its content decides."),
            content: vec![binary("application/octet-stream")],
            required: true,
        })
    }

    async fn from_request(
        _: &'a Request,
        body: &mut RequestBody,
        _: ExtractParamOptions<()>,
    ) -> Result<Self> {
        Ok(Self(body.take()?))
    }
}

/// The bytes of a file.
#[derive(Debug)]
pub(super) struct FileAnswer(pub(super) Response);

impl IntoResponse for FileAnswer {
    fn into_response(self) -> Response {
        self.0
    }
}

impl ApiResponse for FileAnswer {
    fn meta() -> MetaResponses {
        let answer = |status: StatusCode, description, content| MetaResponse {
            description,
            status: Some(status.as_u16()),
            status_range: None,
            content,
            headers: Vec::new(),
        };
        MetaResponses {
            responses: vec![
                answer(StatusCode::OK, "The whole file.", vec![binary("*/*")]),
                answer(
                    StatusCode::PARTIAL_CONTENT,
                    "The parts asked for.",
                    vec![binary("*/*")],
                ),
                answer(StatusCode::NOT_MODIFIED, "The client has it already.", Vec::new()),
            ],
        }
    }

    fn register(_: &mut Registry) {}
}

fn binary(content_type: &'static str) -> MetaMediaType {
    MetaMediaType {
        content_type,
        schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "binary"))),
    }
}

//! `/v1/messages/{message}/previews`: what is shown of pages that a message links to.

use std::sync::Arc;

use http::{HeaderValue, header};
use poem::Response;
use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;
use veza_platform::contract::{Problem, ProblemKind};

use super::files::FileAnswer;
use super::fresh::Fresh;
use super::problem::Failure;
use super::rates::Rates;
use super::reply::Found;
use super::session::Session;
use super::tags::Chapter;
use crate::previews::{Link, Preview};
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on what messages link to.
pub(super) struct LinkPreviews(pub(super) Arc<Gateway>);

/// What a page says of itself.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct LinkPreview {
    /// Names the link in the address of its picture.
    id: String,
    /// The link as it stands in the message.
    link: String,
    /// What the page is called.
    title: Option<String>,
    /// What it is about.
    description: Option<String>,
    /// What the whole site is called.
    site: Option<String>,
    /// Its picture, to be had at `/v1/messages/{message}/previews/{id}/picture`.
    picture: Option<PreviewPicture>,
}

/// The picture of a page.
#[derive(Object)]
struct PreviewPicture {
    /// Its width.
    width: u32,
    /// Its height.
    height: u32,
    /// What stands in for it until it is there (<https://blurha.sh>).
    blur_hash: String,
}

/// What is shown of the pages that a message links to.
#[derive(Object)]
struct PreviewsOfMessage {
    /// In the order of the links; pages that say nothing of themselves are left out.
    items: Vec<LinkPreview>,
}

impl LinkPreview {
    fn shown(link: Link<'_>, preview: &Preview) -> Self {
        Self {
            id: link.id(),
            link: link.0.to_owned(),
            title: preview.title.clone(),
            description: preview.description.clone(),
            site: preview.site.clone(),
            picture: preview.picture.as_ref().map(|picture| PreviewPicture {
                width: picture.width,
                height: picture.height,
                blur_hash: picture.blur_hash.clone(),
            }),
        }
    }
}

#[OpenApi(tag = "Chapter::Rooms")]
impl LinkPreviews {
    /// What is shown of the pages that a message links to. It needs the permission to view the room. A link in
    /// code or in `<…>` is not looked at, and none in a space whose `previews` are off.
    #[oai(
        path = "/v1/messages/:message/previews",
        method = "get",
        operation_id = "list_previews"
    )]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        rates: Rates,
        message: Path<Uuid>,
    ) -> Result<Found<PreviewsOfMessage>, Failure> {
        let account = session.account();
        let text = self.text(&session, *message).await?;
        let links = self.0.previews.links(&text);
        let looks = links.iter().map(async |link| {
            let charge = || rates.preview(account);
            let found = self.0.previews.of(*link, &self.0.intake, charge).await?;
            Ok::<_, Failure>(found.map(|found| LinkPreview::shown(*link, &found)))
        });
        let found = futures::future::try_join_all(looks).await?;
        let items = found.into_iter().flatten().collect();
        Ok(Found::new(PreviewsOfMessage { items }))
    }

    /// The picture of a page that a message links to. It needs the permission to view the room.
    #[oai(
        path = "/v1/messages/:message/previews/:id/picture",
        method = "get",
        operation_id = "get_preview_picture"
    )]
    async fn picture(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        rates: Rates,
        message: Path<Uuid>,
        id: Path<String>,
    ) -> Result<FileAnswer, Failure> {
        let account = session.account();
        let text = self.text(&session, *message).await?;
        let links = self.0.previews.links(&text);
        let link = links.into_iter().find(|link| link.id() == *id);
        let link = link.ok_or_else(no_picture)?;
        let charge = || rates.preview(account);
        let found = self.0.previews.of(link, &self.0.intake, charge).await?;
        let of = found.as_ref().and_then(|found| found.picture.as_ref());
        let of = of.ok_or_else(no_picture)?;
        let shown = self.0.previews.picture(of, &self.0.intake, charge).await?;
        let shown = shown.ok_or_else(no_picture)?;
        let mut response = Response::builder()
            .content_type(shown.small.media_type)
            .body(shown.small.bytes.clone());
        for (name, value) in [
            (header::CACHE_CONTROL, "private, max-age=3600"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        ] {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        Ok(FileAnswer(response))
    }
}

impl LinkPreviews {
    /// What a message says, for those who may read it; nothing where the space wants no previews.
    async fn text(&self, session: &Session, message: Uuid) -> Result<String, Failure> {
        let placed = self.0.message(session.account(), message.into()).await?;
        // A conversation between a few has no such choice.
        let space = self.0.read.space(placed.space).await.map_err(of_read_model)?;
        let wanted = space.is_none_or(|space| space.previews);
        Ok(placed.message.body.filter(|_| wanted).unwrap_or_default())
    }
}

fn no_picture() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "message.no_preview",
        "the message has no such link, or its page has no picture",
    )
}

//! `/v1/exports`: what one has, or what was said in a space, as an archive.

use std::sync::Arc;

use http::{HeaderValue, header};
use poem_openapi::param::{Header, Path};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::SpaceId;
use veza_platform::ambient;
use veza_platform::contract::accounts::ConfirmPassword;
use veza_platform::contract::chat::MayExport;
use veza_platform::contract::{Caller, Problem, ProblemKind, Sensitive};
use veza_platform::exports::{self, ExportOf, ExportState};

use super::body::Json;
use super::files::{FileAnswer, Files, mark};
use super::page::Items;
use super::problem::Failure;
use super::ranges;
use super::rates::Rates;
use super::reply::{Created, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::state::Gateway;

/// Media type of an archive.
const ZIP: &str = "application/zip";

/// Operations on exports.
pub(super) struct Exports(pub(super) Arc<Gateway>);

/// Who asks.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct ExportRequest {
    /// The account's password, again; left out by an account that has none.
    password: Option<String>,
}

/// What is exported.
#[derive(Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum ExportKind {
    /// What the account has: profile, memberships, messages, reactions, settings, files.
    Account,
    /// What was said in a space.
    Space,
}

/// How far it is.
#[derive(Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
enum ExportStanding {
    /// It is being made, or will be.
    Running,
    /// It can be fetched.
    Done,
    /// There will be none.
    Failed,
}

/// An export.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Export {
    /// Which one.
    id: Uuid,
    /// Of what.
    kind: ExportKind,
    /// Of which space.
    space: Option<Uuid>,
    /// How far it is.
    state: ExportStanding,
    /// When it was asked for.
    asked_at: OffsetDateTime,
    /// When it was ready.
    done_at: Option<OffsetDateTime>,
    /// Bytes of the archive.
    size: Option<u64>,
    /// Until when it can be fetched.
    expires_at: Option<OffsetDateTime>,
    /// Why there will be none: `export.too_large`, `export.nothing_there` or `export.given_up`.
    code: Option<String>,
}

impl From<exports::Export> for Export {
    fn from(export: exports::Export) -> Self {
        let (kind, space) = match export.of {
            ExportOf::Account => (ExportKind::Account, None),
            ExportOf::Space(space) => (ExportKind::Space, Some(space.uuid())),
        };
        let mut shown = Self {
            id: export.id,
            kind,
            space,
            state: ExportStanding::Running,
            asked_at: export.asked_at.time(),
            done_at: None,
            size: None,
            expires_at: None,
            code: None,
        };
        match export.state {
            ExportState::Waiting | ExportState::Running { .. } => {}
            ExportState::Done { at, size, expires_at } => {
                shown.state = ExportStanding::Done;
                shown.done_at = Some(at.time());
                shown.size = Some(size);
                shown.expires_at = Some(expires_at.time());
            }
            ExportState::Failed { code, .. } => {
                shown.state = ExportStanding::Failed;
                shown.code = Some(code);
            }
        }
        shown
    }
}

#[OpenApi(tag = "Chapter::Accounts")]
impl Exports {
    /// Have made what belongs to one's own account: a ZIP of JSON lines and files. One at a time; the account's devices
    /// are told by `account.export` when it is there, or cannot be.
    #[oai(
        path = "/v1/accounts/me/exports",
        method = "post",
        operation_id = "export_account"
    )]
    async fn account(
        &self,
        session: Session,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<ExportRequest>,
    ) -> Result<Created<Export>, Failure> {
        self.ask(&session, &rates, &once, body, ExportOf::Account).await
    }

    /// Have made what was said in a space. Needs `manage_space` and to see all of its rooms, when it is asked for and when
    /// it is fetched.
    #[oai(
        path = "/v1/spaces/:space/exports",
        method = "post",
        operation_id = "export_space"
    )]
    async fn space(
        &self,
        session: Session,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        Json(body): Json<ExportRequest>,
    ) -> Result<Created<Export>, Failure> {
        let space = (*space).into();
        self.may_export(&session, space).await?;
        self.ask(&session, &rates, &once, body, ExportOf::Space(space))
            .await
    }

    /// The export that one has asked for last, if there is one.
    #[oai(path = "/v1/exports", method = "get", operation_id = "list_exports")]
    async fn list(&self, session: Session) -> Result<Found<Items<Export>>, Failure> {
        let found = self.0.exports.get(session.account()).await?;
        let found = found.map(|entry| entry.value);
        Ok(Found::new(Items::all(found, Export::from)))
    }

    /// The archive, whole or in parts (`Range`). Only who asked for it has it.
    #[oai(
        path = "/v1/exports/:export/archive",
        method = "get",
        operation_id = "fetch_export"
    )]
    async fn fetch(
        &self,
        session: Session,
        export: Path<Uuid>,
        /// Which parts, as RFC 9110 says; up to 8.
        #[oai(name = "Range")]
        range: Header<Option<String>>,
        /// Only while the archive has this `ETag`; else all of it.
        #[oai(name = "If-Range")]
        if_range: Header<Option<String>>,
    ) -> Result<FileAnswer, Failure> {
        let found = self.0.exports.get(session.account()).await?;
        let found = found.map(|entry| entry.value).filter(|found| found.id == *export);
        let found = found.ok_or_else(|| {
            let detail = "there is no such export, or not for you";
            Problem::new(ProblemKind::NotFound, "export.not_found", detail)
        })?;
        let size = match found.state {
            ExportState::Done { size, expires_at, .. } if expires_at.time() > ambient::now() => size,
            ExportState::Done { .. } => {
                let detail = "the archive was kept long enough; ask for a new one";
                return Err(Problem::new(ProblemKind::Gone, "export.expired", detail).into());
            }
            ExportState::Waiting | ExportState::Running { .. } | ExportState::Failed { .. } => {
                let detail = "the archive is not there; `GET /v1/exports` says how far it is";
                return Err(Problem::new(ProblemKind::Conflict, "export.not_ready", detail).into());
            }
        };
        if let ExportOf::Space(space) = found.of {
            self.may_export(&session, space).await?;
        }
        let tag = format!("\"{}.{}\"", found.id, found.tries);
        let range = range.0.filter(|_| if_range.0.is_none_or(|asked| asked == tag));
        let blobs = Files(Arc::clone(&self.0));
        let reader = blobs.blobs()?.reader(&found.object(), size).await;
        let reader = reader.map_err(Problem::from)?;
        let mut response = ranges::answer(&reader, range.as_deref(), ZIP)?;
        let name = format!("veza-export-{}.zip", found.id);
        mark(response.headers_mut(), &tag, &name, ZIP);
        let private = HeaderValue::from_static("private, no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, private);
        Ok(FileAnswer(response))
    }
}

impl Exports {
    async fn may_export(&self, session: &Session, space: SpaceId) -> Result<(), Failure> {
        let caller = Caller::asking(session.account());
        self.0.chat(&caller, &MayExport { space }).await?;
        Ok(())
    }

    async fn ask(
        &self,
        session: &Session,
        rates: &Rates,
        once: &Once,
        body: ExportRequest,
        of: ExportOf,
    ) -> Result<Created<Export>, Failure> {
        let account = session.account();
        // Without a store of files there is nowhere to put it.
        Files(Arc::clone(&self.0)).blobs()?;
        rates.sign_in(&account.to_string())?;
        let password = body.password.map(Sensitive::new);
        let caller = once.caller(&self.0, session).await?;
        self.0.accounts(&caller, &ConfirmPassword { password }).await?;
        let id = caller.command.derive(account.uuid(), "export");
        let export = self.0.exports.ask(account, id, of, ambient::now().into()).await?;
        Ok(Created::new(export.into()))
    }
}

//! Reports of messages.

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_platform::contract::chat::{ReportMessage, ResolveReport};
use veza_platform::contract::{Problem, ProblemKind};
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::page::{self, Items};
use super::problem::Failure;
use super::rates::Rates;
use super::reply::{Changed, Created, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on reports.
pub(super) struct Reports(pub(super) Arc<Gateway>);

/// What is wrong with a message.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "veza_events::report::ReportReason", rename_all = "snake_case")]
enum ReportReason {
    /// Advertising, or the same again and again.
    Spam,
    /// It attacks or pursues somebody.
    Harassment,
    /// It attacks people for what they are.
    Hate,
    /// Violence, or a threat of it.
    Violence,
    /// Nudity or sex.
    Sexual,
    /// It is against the law.
    Illegal,
    /// Its author may be in danger.
    SelfHarm,
    /// Something else, which the note says.
    Other,
}

/// What moderators did about it.
#[derive(Clone, Copy, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[oai(remote = "veza_events::report::ReportAction", rename_all = "snake_case")]
enum ReportAction {
    /// Nothing had to be done.
    Dismissed,
    /// The message was taken back.
    Deleted,
    /// Its author was told.
    Warned,
    /// Its author was silenced, for some time or for good.
    Silenced,
    /// Its author was shown the door.
    Removed,
    /// Its author must stay out.
    Banned,
}

/// Which reports.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum ReportStanding {
    /// Those that nobody has resolved.
    Open,
    /// The others.
    Resolved,
}

/// A new report.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewReport {
    /// What is wrong with the message.
    reason: ReportReason,
    /// More about that, at most 1,000 characters.
    note: Option<String>,
}

/// A report is there.
#[derive(Object)]
struct ReportFiled {
    /// The report; the same when the message is reported again.
    id: Uuid,
    /// Where it stands.
    seq: u64,
}

/// What came of a report.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewResolution {
    /// What was done. The deed itself is another request.
    action: ReportAction,
    /// More about that, at most 1,000 characters.
    note: Option<String>,
}

/// What came of a report.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Resolution {
    /// Who looked at it.
    by: Uuid,
    /// What was done.
    action: ReportAction,
    /// More about that.
    note: Option<String>,
    /// When.
    at: OffsetDateTime,
}

/// A report.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Report {
    /// The report.
    id: Uuid,
    /// In which room, or thread.
    room: Uuid,
    /// Which message.
    message: Uuid,
    /// Where that stands in the timeline.
    posted: u64,
    /// Who wrote it.
    author: Uuid,
    /// The author's handle; absent for an erased account.
    author_handle: Option<String>,
    /// Who reported it.
    reporter: Uuid,
    /// The reporter's handle; absent for an erased account.
    reporter_handle: Option<String>,
    /// What is wrong with it.
    reason: ReportReason,
    /// More about that.
    note: Option<String>,
    /// What the message said when it was reported, whatever became of it since; absent for an erased account, and for
    /// a message that was gone already.
    said: Option<String>,
    /// When it was filed.
    filed_at: OffsetDateTime,
    /// What came of it.
    resolution: Option<Resolution>,
    /// Last change.
    seq: u64,
}

impl From<rows::Report> for Report {
    fn from(row: rows::Report) -> Self {
        let resolution = |resolution: rows::Resolution| Resolution {
            by: resolution.by.uuid(),
            action: resolution.action.into(),
            note: resolution.note,
            at: resolution.at.time(),
        };
        Self {
            id: row.id.uuid(),
            room: row.room.uuid(),
            message: row.message.uuid(),
            posted: row.posted,
            author: row.author.uuid(),
            author_handle: row.author_handle,
            reporter: row.reporter.uuid(),
            reporter_handle: row.reporter_handle,
            reason: row.reason.into(),
            note: row.note,
            said: row.said,
            filed_at: row.filed_at.time(),
            resolution: row.resolution.map(resolution),
            seq: row.seq,
        }
    }
}

#[OpenApi(tag = "Chapter::Moderation")]
impl Reports {
    /// Report a message to those who may `manage_messages` in its room. Whoever may read it may, once.
    #[oai(
        path = "/v1/messages/:message/reports",
        method = "post",
        operation_id = "report_message"
    )]
    async fn file(
        &self,
        session: Session,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        message: Path<Uuid>,
        Json(body): Json<NewReport>,
    ) -> Result<Created<ReportFiled>, Failure> {
        rates.report(session.account())?;
        let placed = self.0.message(session.account(), (*message).into()).await?;
        let command = ReportMessage {
            space: placed.space,
            room: placed.room,
            message: placed.message.id,
            posted: placed.message.seq,
            reason: body.reason.into(),
            note: body.note,
        };
        let filed = self
            .0
            .chat(&once.caller(&self.0, &session).await?, &command)
            .await?;
        let (id, seq) = (filed.report.uuid(), filed.position.seq);
        Ok(Created::written(ReportFiled { id, seq }, filed.position))
    }

    /// What was reported in a space, oldest first, as far as the caller may `manage_messages` there.
    #[oai(
        path = "/v1/spaces/:space/reports",
        method = "get",
        operation_id = "list_reports"
    )]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
        /// Only these; all when absent.
        state: Query<Option<ReportStanding>>,
        cursor: Query<Option<String>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u16>>,
    ) -> Result<Found<Items<Report>>, Failure> {
        let space = (*space).into();
        let gates = self.0.access.managed(session.account(), space).await?;
        let open = state.0.map(|state| state == ReportStanding::Open);
        let page = page::part(cursor.0, limit.0);
        let list = self.0.read.reports(space, &gates, open, &page).await;
        Ok(Found::new(Items::part(
            list.map_err(of_read_model)?,
            Report::from,
        )))
    }

    /// Say what came of a report. Needs `manage_messages` in its room; only the first one counts.
    #[oai(
        path = "/v1/reports/:report/resolution",
        method = "post",
        operation_id = "resolve_report"
    )]
    async fn resolve(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        report: Path<Uuid>,
        Json(body): Json<NewResolution>,
    ) -> Result<Changed, Failure> {
        let report = (*report).into();
        let found = self.0.read.report(report).await.map_err(of_read_model)?;
        let found = found.ok_or_else(|| {
            let detail = "there is no such report, or not for you";
            Problem::new(ProblemKind::NotFound, "report.not_found", detail)
        })?;
        let command = ResolveReport {
            space: found.space,
            report,
            action: body.action.into(),
            note: body.note,
        };
        once.change(&self.0, &session, &command).await
    }
}

//! What people reported.

use sea_orm::prelude::*;
use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult};
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use veza_events::report::{ReportAction, ReportReason};
use veza_events::{AccountId, MessageId, ReportId, RoomId, SpaceId, Timestamp};

use crate::queries::{rows, statement};
use crate::rows::{List, PageOf};
use crate::{ReadError, ReadModel};

/// What is selected of a report.
const REPORT: &str = "SELECT r.*, a.handle AS author_handle, b.handle AS reporter_handle FROM read.report r
    LEFT JOIN read.account a ON a.account = r.author LEFT JOIN read.account b ON b.account = r.reporter";

/// A report of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The report.
    pub id: ReportId,
    /// In which space.
    pub space: SpaceId,
    /// In which room, or thread.
    pub room: RoomId,
    /// Which message.
    pub message: MessageId,
    /// Where that stands in the timeline.
    pub posted: u64,
    /// Who wrote it.
    pub author: AccountId,
    /// The name others call the author by.
    pub author_handle: Option<String>,
    /// Who reported it.
    pub reporter: AccountId,
    /// The name others call the reporter by.
    pub reporter_handle: Option<String>,
    /// What is wrong with it.
    pub reason: ReportReason,
    /// More about that.
    pub note: Option<String>,
    /// What the message said then.
    pub said: Option<String>,
    /// When it was filed.
    pub filed_at: Timestamp,
    /// What came of it.
    pub resolution: Option<Resolution>,
    /// Last change.
    pub seq: u64,
}

/// What came of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Who looked at it.
    pub by: AccountId,
    /// What was done.
    pub action: ReportAction,
    /// More about that.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
}

impl ReadModel {
    /// Reports of a space about what was said in rooms whose rights are those of `gates`, oldest first; `open`: only
    /// those that nobody, or somebody, has resolved.
    pub async fn reports(
        &self,
        space: SpaceId,
        gates: &[RoomId],
        open: Option<bool>,
        page: &PageOf,
    ) -> Result<List<Report>, ReadError> {
        let (after, limit) = page.bounds()?;
        let gates: Vec<Uuid> = gates.iter().map(|room| room.uuid()).collect();
        let sql = format!(
            "{REPORT} WHERE r.space = $1 AND r.gate = ANY($2)
            AND ($3::bool IS NULL OR (r.resolved_at IS NULL) = $3)
            AND ($4::uuid IS NULL OR (r.filed_at, r.report) >
                (SELECT l.filed_at, l.report FROM read.report l WHERE l.report = $4))
            ORDER BY r.filed_at, r.report LIMIT $5"
        );
        let ask = async |db: DatabaseConnection| {
            let values = [
                space.uuid().into(),
                gates.clone().into(),
                open.into(),
                after.into(),
                rows(limit + 1),
            ];
            let found = db.query_all_raw(statement(&sql, values)).await?;
            found.iter().map(report).collect::<Result<Vec<_>, _>>()
        };
        let found = self.0.postgres.ask(ask).await?;
        Ok(List::cut(found, limit, |report| report.id.uuid()))
    }

    /// A report.
    pub async fn report(&self, id: ReportId) -> Result<Option<Report>, ReadError> {
        let sql = format!("{REPORT} WHERE r.report = $1");
        let ask = async |db: DatabaseConnection| {
            let found = db.query_one_raw(statement(&sql, [id.uuid().into()])).await?;
            found.as_ref().map(report).transpose()
        };
        self.0.postgres.ask(ask).await
    }
}

fn report(row: &QueryResult) -> Result<Report, DbErr> {
    let resolved_at: Option<OffsetDateTime> = row.try_get("", "resolved_at")?;
    let resolution = match resolved_at {
        None => None,
        Some(at) => Some(Resolution {
            by: row.try_get::<Uuid>("", "resolved_by")?.into(),
            action: named(row, "action")?,
            note: row.try_get("", "resolution_note")?,
            at: at.into(),
        }),
    };
    Ok(Report {
        id: row.try_get::<Uuid>("", "report")?.into(),
        space: row.try_get::<Uuid>("", "space")?.into(),
        room: row.try_get::<Uuid>("", "room")?.into(),
        message: row.try_get::<Uuid>("", "message")?.into(),
        posted: row.try_get::<i64>("", "posted")?.cast_unsigned(),
        author: row.try_get::<Uuid>("", "author")?.into(),
        author_handle: row.try_get("", "author_handle")?,
        reporter: row.try_get::<Uuid>("", "reporter")?.into(),
        reporter_handle: row.try_get("", "reporter_handle")?,
        reason: named(row, "reason")?,
        note: row.try_get("", "note")?,
        said: row.try_get("", "said")?,
        filed_at: row.try_get::<OffsetDateTime>("", "filed_at")?.into(),
        resolution,
        seq: row.try_get::<i64>("", "seq")?.cast_unsigned(),
    })
}

fn named<T: DeserializeOwned>(row: &QueryResult, column: &str) -> Result<T, DbErr> {
    let name: String = row.try_get("", column)?;
    serde_json::from_value(name.into()).map_err(|error| DbErr::Type(error.to_string()))
}

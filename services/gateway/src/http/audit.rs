//! `/v1/spaces/{space}/audit`

use std::sync::Arc;

use poem_openapi::param::{Path, Query};
use poem_openapi::types::Any;
use poem_openapi::{Enum, Object, OpenApi};
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::Permission;
use veza_readmodel::{AuditFilter, rows};

use super::fresh::Fresh;
use super::page::{self, Items};
use super::problem::Failure;
use super::reply::Found;
use super::session::Session;
use super::tags::Chapter;
use crate::access::requires;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on what was done in a space.
pub(super) struct Audit(pub(super) Arc<Gateway>);

/// To what something was done.
#[derive(Clone, Copy, Enum)]
#[oai(remote = "rows::AuditTarget", rename_all = "snake_case")]
enum TargetKind {
    /// The space itself.
    Space,
    /// An account.
    Account,
    /// A role.
    Role,
    /// A room.
    Room,
    /// A category.
    Category,
    /// An invitation.
    Invite,
    /// A message.
    Message,
}

/// One deed.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Deed {
    /// Its sequence.
    seq: u64,
    /// When.
    at: OffsetDateTime,
    /// Who did it; absent for what nobody did in person.
    actor: Option<Uuid>,
    /// The handle of who did it; absent for an erased account.
    actor_handle: Option<String>,
    /// What was done, the name of the event without its version: `member.banned`.
    action: String,
    /// To what.
    target_kind: TargetKind,
    /// To which one.
    target: Uuid,
    /// The handle of whom it was done to, if it was an account.
    target_handle: Option<String>,
    /// Why, if it was said.
    reason: Option<String>,
    /// What the event says about it; depends on `action`.
    detail: Any<serde_json::Value>,
}

impl From<rows::Deed> for Deed {
    fn from(row: rows::Deed) -> Self {
        Self {
            seq: row.seq,
            at: row.at.time(),
            actor: row.actor.map(veza_events::AccountId::uuid),
            actor_handle: row.actor_handle,
            action: row.action,
            target_kind: row.target_kind.into(),
            target: row.target,
            target_handle: row.target_handle,
            reason: row.reason,
            detail: Any(row.detail),
        }
    }
}

#[OpenApi(tag = "Chapter::Moderation")]
impl Audit {
    /// Who did what to whom in a space, newest first.
    #[oai(path = "/v1/spaces/:space/audit", method = "get", operation_id = "list_audit")]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
        /// Only what this account did.
        actor: Query<Option<Uuid>>,
        /// Only what was done to the account, role, room … of this id.
        target: Query<Option<Uuid>>,
        /// Only this: `member.banned`.
        #[oai(validator(max_length = 60))]
        action: Query<Option<String>>,
        cursor: Query<Option<String>>,
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))] limit: Query<Option<u16>>,
    ) -> Result<Found<Items<Deed>>, Failure> {
        let space = (*space).into();
        let access = self.0.access.joined(session.account(), space).await?;
        requires(access.permissions, Permission::ViewAudit)?;
        let filter = AuditFilter {
            actor: actor.0.map(Into::into),
            target: target.0,
            action: action.0,
        };
        let page = page::part(cursor.0, limit.0);
        let list = self
            .0
            .read
            .audit(space, &filter, &page)
            .await
            .map_err(of_read_model)?;
        Ok(Found::new(Items::part(list, Deed::from)))
    }
}

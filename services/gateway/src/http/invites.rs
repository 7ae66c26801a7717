//! `/v1/invites`, and the invitations of a space.

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_platform::contract::chat::{AcceptInvite, CreateInvite, RevokeInvite};
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::invite_code;
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::page::Items;
use super::problem::Failure;
use super::reply::{Changed, Created, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on invitations.
pub(super) struct Invites(pub(super) Arc<Gateway>);

/// A new invitation.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewInvite {
    /// How many may come; no limit when absent.
    max_uses: Option<u32>,
    /// Until when; for ever when absent.
    #[serde(default, with = "time::serde::rfc3339::option")]
    expires_at: Option<OffsetDateTime>,
}

/// An invitation exists.
#[derive(Object)]
struct InviteMade {
    /// The invitation.
    id: Uuid,
    /// What people pass on. It is shown this once: only its digest is stored.
    code: String,
    /// Where it was written.
    seq: u64,
}

/// An invitation.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Invite {
    /// The invitation.
    id: Uuid,
    /// Who made it.
    by: Uuid,
    /// How many may come.
    max_uses: Option<u32>,
    /// How many of a limited number have come.
    uses: u32,
    /// Until when.
    expires_at: Option<OffsetDateTime>,
    /// When it was made.
    created_at: OffsetDateTime,
}

/// The caller is in.
#[derive(Object)]
struct Joined {
    /// The space.
    space: Uuid,
    /// Where it was written.
    seq: u64,
}

impl From<rows::Invite> for Invite {
    fn from(row: rows::Invite) -> Self {
        Self {
            id: row.id.uuid(),
            by: row.by.uuid(),
            max_uses: row.max_uses,
            uses: row.uses,
            expires_at: row.expires_at.map(veza_events::Timestamp::time),
            created_at: row.created_at.time(),
        }
    }
}

#[OpenApi(tag = "Chapter::Spaces")]
impl Invites {
    /// Make an invitation.
    #[oai(
        path = "/v1/spaces/:space/invites",
        method = "post",
        operation_id = "create_invite"
    )]
    async fn create(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        Json(body): Json<NewInvite>,
    ) -> Result<Created<InviteMade>, Failure> {
        let command = CreateInvite {
            space: (*space).into(),
            max_uses: body.max_uses,
            expires_at: body.expires_at.map(Into::into),
        };
        let made = self
            .0
            .chat(&once.caller(&self.0, &session).await?, &command)
            .await?;
        let (id, seq) = (made.invite.uuid(), made.position.seq);
        let code = made.code;
        Ok(Created::written(InviteMade { id, code, seq }, made.position))
    }

    /// The invitations of a space, for those who may invite.
    #[oai(
        path = "/v1/spaces/:space/invites",
        method = "get",
        operation_id = "list_invites"
    )]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
    ) -> Result<Found<Items<Invite>>, Failure> {
        let access = self.0.access.joined(session.account(), (*space).into()).await?;
        if !access.permissions.has(veza_events::Permission::Invite) {
            let detail = "only those who may invite see the invitations";
            return Err(Failure::new(ProblemKind::Forbidden, "space.not_allowed", detail));
        }
        let rows = self
            .0
            .read
            .invites((*space).into())
            .await
            .map_err(of_read_model)?;
        Ok(Found::new(Items::all(rows, Invite::from)))
    }

    /// Void an invitation.
    #[oai(
        path = "/v1/spaces/:space/invites/:invite",
        method = "delete",
        operation_id = "revoke_invite"
    )]
    async fn revoke(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        invite: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = RevokeInvite {
            space: (*space).into(),
            invite: (*invite).into(),
        };
        once.change(&self.0, &session, &command).await
    }

    /// Come in by an invitation.
    #[oai(
        path = "/v1/invites/:code/accept",
        method = "post",
        operation_id = "accept_invite"
    )]
    async fn accept(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        code: Path<String>,
    ) -> Result<Found<Joined>, Failure> {
        let code = invite_code::decode(&code)
            .map_err(|error| Problem::new(ProblemKind::NotFound, "invite.not_found", error.to_string()))?;
        let command = AcceptInvite {
            space: code.space,
            digest: code.digest,
        };
        let done = self
            .0
            .chat(&once.caller(&self.0, &session).await?, &command)
            .await?;
        let (space, seq) = (code.space.uuid(), done.position.seq);
        Ok(Found::written(Joined { space, seq }, done.position))
    }
}

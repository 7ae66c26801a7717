//! `/v1/spaces/{space}/roles`

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use uuid::Uuid;
use veza_platform::contract::chat::{DefineRole, RemoveRole};
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::page::Items;
use super::permissions::{self, Permission};
use super::problem::Failure;
use super::reply::{Changed, Found};
use super::seen::Seen;
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on roles.
pub(super) struct Roles(pub(super) Arc<Gateway>);

/// A role as it is to be.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct RoleDefinition {
    /// What it is called.
    name: String,
    /// What it allows.
    permissions: Vec<Permission>,
    /// Higher ranks act on lower ones.
    rank: u16,
}

/// A role.
#[derive(Object)]
struct Role {
    /// The role; the id of the space for everyone's.
    id: Uuid,
    /// What it is called.
    name: String,
    /// What it allows.
    permissions: Vec<Permission>,
    /// Higher ranks act on lower ones.
    rank: u16,
    /// Last change.
    seq: u64,
}

impl From<rows::Role> for Role {
    fn from(row: rows::Role) -> Self {
        Self {
            id: row.id.uuid(),
            name: row.name,
            permissions: permissions::shown(row.permissions),
            rank: row.rank,
            seq: row.seq,
        }
    }
}

#[OpenApi(tag = "Chapter::Spaces")]
impl Roles {
    /// The roles of a space, highest rank first.
    #[oai(path = "/v1/spaces/:space/roles", method = "get", operation_id = "list_roles")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
    ) -> Result<Found<Items<Role>>, Failure> {
        let space = (*space).into();
        self.0.access.joined(session.account(), space).await?;
        let rows = self.0.read.roles(space).await.map_err(of_read_model)?;
        Ok(Found::new(Items::all(rows, Role::from)))
    }

    /// Make a role under an id of one's own making, or make it anew; the id of the space for everyone's.
    #[oai(
        path = "/v1/spaces/:space/roles/:role",
        method = "put",
        operation_id = "define_role"
    )]
    async fn define(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "If-Match")] seen: Seen,
        space: Path<Uuid>,
        role: Path<Uuid>,
        Json(body): Json<RoleDefinition>,
    ) -> Result<Changed, Failure> {
        let command = DefineRole {
            space: (*space).into(),
            role: (*role).into(),
            name: body.name,
            permissions: permissions::set(body.permissions),
            rank: body.rank,
        };
        once.change_seen(&self.0, &session, seen, &command).await
    }

    /// Take a role away from everybody.
    #[oai(
        path = "/v1/spaces/:space/roles/:role",
        method = "delete",
        operation_id = "remove_role"
    )]
    async fn remove(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "If-Match")] seen: Seen,
        space: Path<Uuid>,
        role: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = RemoveRole {
            space: (*space).into(),
            role: (*role).into(),
        };
        once.change_seen(&self.0, &session, seen, &command).await
    }
}

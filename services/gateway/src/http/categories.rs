//! `/v1/spaces/{space}/categories`

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use uuid::Uuid;
use veza_events::{CategoryId, Permissions};
use veza_platform::contract::chat::{Access, ChangeCategory, CreateCategory, RemoveCategory};
use veza_platform::contract::{Problem, ProblemKind};
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

/// Operations on groups of rooms.
pub(super) struct Categories(pub(super) Arc<Gateway>);

/// A new category.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewCategory {
    /// What it is called.
    name: String,
    /// Lower ones stand first.
    #[serde(default)]
    #[oai(default)]
    position: u16,
}

/// What is to change; absent fields stay.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct CategoryChange {
    /// The new name.
    name: Option<String>,
    /// Lower ones stand first.
    position: Option<u16>,
}

/// A category exists.
#[derive(Object)]
struct CategoryMade {
    /// The category.
    id: Uuid,
    /// Where it was written.
    seq: u64,
}

/// A group of rooms.
#[derive(Object)]
struct Category {
    /// The category.
    id: Uuid,
    /// What it is called.
    name: String,
    /// Lower ones stand first.
    position: u16,
}

impl From<rows::Category> for Category {
    fn from(row: rows::Category) -> Self {
        Self {
            id: row.id.uuid(),
            name: row.name,
            position: row.position,
        }
    }
}

#[OpenApi(tag = "Chapter::Rooms")]
impl Categories {
    /// The categories of a space that one may know of, as they are listed.
    #[oai(
        path = "/v1/spaces/:space/categories",
        method = "get",
        operation_id = "list_categories"
    )]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        space: Path<Uuid>,
    ) -> Result<Found<Items<Category>>, Failure> {
        let space = (*space).into();
        let access = self.0.access.joined(session.account(), space).await?;
        let rows = self.0.read.categories(space).await.map_err(of_read_model)?;
        let visible = rows.into_iter().filter(|row| visible(&access, row.id).is_ok());
        Ok(Found::new(Items::all(visible, Category::from)))
    }

    /// Make a category.
    #[oai(
        path = "/v1/spaces/:space/categories",
        method = "post",
        operation_id = "create_category"
    )]
    async fn create(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        Json(body): Json<NewCategory>,
    ) -> Result<Created<CategoryMade>, Failure> {
        let command = CreateCategory {
            space: (*space).into(),
            name: body.name,
            position: body.position,
        };
        let made = self
            .0
            .chat(&once.caller(&self.0, &session).await?, &command)
            .await?;
        let (id, seq) = (made.category.uuid(), made.position.seq);
        Ok(Created::written(CategoryMade { id, seq }, made.position))
    }

    /// Change a category.
    #[oai(
        path = "/v1/spaces/:space/categories/:category",
        method = "patch",
        operation_id = "change_category"
    )]
    async fn change(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        category: Path<Uuid>,
        Json(body): Json<CategoryChange>,
    ) -> Result<Changed, Failure> {
        let command = ChangeCategory {
            space: (*space).into(),
            category: (*category).into(),
            name: body.name,
            position: body.position,
        };
        once.change(&self.0, &session, &command).await
    }

    /// Remove a category that has no rooms.
    #[oai(
        path = "/v1/spaces/:space/categories/:category",
        method = "delete",
        operation_id = "remove_category"
    )]
    async fn remove(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        space: Path<Uuid>,
        category: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = RemoveCategory {
            space: (*space).into(),
            category: (*category).into(),
        };
        once.change(&self.0, &session, &command).await
    }
}

/// What one may do in a category, for those who may at least know of it.
pub(super) fn visible(access: &Access, category: CategoryId) -> Result<Permissions, Problem> {
    let found = access.categories.iter().find(|(id, _)| *id == category);
    found.map(|(_, allowed)| *allowed).ok_or_else(|| {
        let detail = "there is no such category, or not for you";
        Problem::new(ProblemKind::NotFound, "category.not_found", detail)
    })
}

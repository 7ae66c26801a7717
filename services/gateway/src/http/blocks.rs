//! `/v1/accounts/me/blocks`

use std::sync::Arc;

use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use uuid::Uuid;
use veza_platform::contract::accounts::{Block, Unblock};

use super::accounts::Profile;
use super::fresh::Fresh;
use super::page::Items;
use super::problem::Failure;
use super::reply::{Changed, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on whom one does not want to hear from.
pub(super) struct Blocks(pub(super) Arc<Gateway>);

#[OpenApi(tag = "Chapter::Accounts")]
impl Blocks {
    /// Whom one has blocked.
    #[oai(path = "/v1/accounts/me/blocks", method = "get", operation_id = "list_blocks")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
    ) -> Result<Found<Items<Profile>>, Failure> {
        let blocked = self
            .0
            .read
            .blocked_by(session.account())
            .await
            .map_err(of_read_model)?;
        Ok(Found::new(Items::all(blocked, Profile::from)))
    }

    /// Block an account: no conversation of two goes on, none is begun, and it adds one to no group.
    #[oai(
        path = "/v1/accounts/me/blocks/:account",
        method = "put",
        operation_id = "block_account"
    )]
    async fn block(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        account: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = Block {
            account: (*account).into(),
        };
        let done = self
            .0
            .accounts(&once.caller(&self.0, &session).await?, &command)
            .await?;
        Ok(Changed::at(done.position))
    }

    /// Let an account be heard again.
    #[oai(
        path = "/v1/accounts/me/blocks/:account",
        method = "delete",
        operation_id = "unblock_account"
    )]
    async fn unblock(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        account: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let command = Unblock {
            account: (*account).into(),
        };
        let done = self
            .0
            .accounts(&once.caller(&self.0, &session).await?, &command)
            .await?;
        Ok(Changed::at(done.position))
    }
}

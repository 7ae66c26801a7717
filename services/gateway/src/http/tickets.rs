//! `/v1/realtime/tickets`

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};

use super::problem::Failure;
use super::reply::Created;
use super::session::Session;
use super::tags::Chapter;
use crate::state::Gateway;

/// Operations on tickets.
pub(super) struct TicketDesk(pub(super) Arc<Gateway>);

/// What lets in at `GET /v1/realtime`.
#[derive(Object)]
struct Ticket {
    /// For the first frame; works once.
    ticket: String,
    /// Its life, in seconds.
    expires_in: u64,
}

#[OpenApi(tag = "Chapter::Realtime")]
impl TicketDesk {
    /// A ticket for one WebSocket of this session.
    #[oai(
        path = "/v1/realtime/tickets",
        method = "post",
        operation_id = "create_ticket"
    )]
    async fn create(&self, session: Session) -> Result<Created<Ticket>, Failure> {
        let ticket = self
            .0
            .tickets
            .issue(session.account(), session.id(), session.scopes())
            .await?;
        let expires_in = self.0.tickets.life().as_secs();
        Ok(Created::new(Ticket { ticket, expires_in }))
    }
}

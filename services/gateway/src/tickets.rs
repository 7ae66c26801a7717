//! Tickets: what a client shows on a WebSocket instead of its access token. Each is good once, for half a
//! minute, for the session it was issued to. The bucket holds only the digest of a ticket.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, Scopes, SessionId, Timestamp};
use veza_platform::ambient;
use veza_platform::contract::Problem;
use veza_platform::event_log::EventLog;
use veza_platform::kv::{Kv, KvError};

use crate::digest;

/// Name of the bucket.
const BUCKET: &str = "TICKETS";
/// Random bytes of a ticket.
const TICKET_BYTES: usize = 32;

/// Issues and redeems tickets. Cheap to clone.
#[derive(Clone)]
pub struct Tickets {
    bucket: Kv<Holder>,
    life: Duration,
}

/// Whom a ticket lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The account.
    pub account: AccountId,
    /// The session that asked for the ticket.
    pub session: SessionId,
    /// What the bot's token was good for; absent for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// Until when the ticket is good.
    pub expires: Timestamp,
}

impl Tickets {
    /// Tickets that are good for `life`.
    pub fn new(log: &EventLog, life: Duration) -> Self {
        let bucket = Kv::open(log, BUCKET);
        Self { bucket, life }
    }

    /// How long a ticket is good.
    pub fn life(&self) -> Duration {
        self.life
    }

    /// A fresh ticket for a session.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub async fn issue(
        &self,
        account: AccountId,
        session: SessionId,
        scopes: Option<Scopes>,
    ) -> Result<String, Problem> {
        let ticket = digest::hex(&ambient::random::<TICKET_BYTES>());
        let holder = Holder {
            account,
            session,
            scopes,
            expires: (ambient::now() + self.life).into(),
        };
        self.bucket.put(&key(&ticket), &holder).await?;
        Ok(ticket)
    }

    /// Whom `ticket` lets in; it lets nobody in again. `None` when it was used, is over or never was.
    ///
    /// # Errors
    /// `platform.unavailable`; the ticket may be used up then.
    pub async fn redeem(&self, ticket: &str) -> Result<Option<Holder>, Problem> {
        let key = key(ticket);
        let Some(entry) = self.bucket.get_consistent(&key).await? else {
            return Ok(None);
        };
        match self.bucket.delete(&key, entry.revision).await {
            Ok(()) => Ok(Some(entry.value).filter(|holder| holder.expires.time() > ambient::now())),
            // Somebody else was faster.
            Err(KvError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn key(ticket: &str) -> String {
    digest::name_of(&[b"ticket", ticket.as_bytes()])
}

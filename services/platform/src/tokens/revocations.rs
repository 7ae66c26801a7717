//! Sessions that ended while tokens of them still run.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use veza_events::{SessionId, Timestamp};

use super::REVOKED;
use crate::ambient;
use crate::contract::Problem;
use crate::event_log::EventLog;
use crate::kv::Kv;

/// How long an ended session is remembered: the age at which entries leave the bucket, and longer than
/// any access token lives.
pub(super) const REMEMBER: Duration = Duration::from_mins(15);

/// Longest life of an access token: its end must come before that of the memory of an ended session.
pub const LONGEST_TOKEN_LIFE: Duration = Duration::from_mins(14);

/// The entry of an ended session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct EndedEntry {
    at: Timestamp,
}

/// Tells all gateways that sessions ended. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Revocations(Kv<EndedEntry>);

impl Revocations {
    /// The bucket of ended sessions. Makes no request.
    pub fn open(log: &EventLog) -> Self {
        Self(Kv::open(log, REVOKED))
    }

    /// Lets no token of `session` be accepted any more, from well under a second from now.
    ///
    /// # Errors
    /// `platform.unavailable` when nobody could be told.
    pub async fn end(&self, session: SessionId) -> Result<(), Problem> {
        let at = ambient::now().into();
        self.0.put(&session.to_string(), &EndedEntry { at }).await?;
        Ok(())
    }
}

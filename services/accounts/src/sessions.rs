//! Open sessions in the bucket `SESSIONS`, by id: what a refresh needs and nothing else. Whether a session
//! exists is the account's history; an entry that is missing here makes it unusable, never more usable.

use veza_events::account::AccountEvent;
use veza_events::{AccountId, SessionId, Timestamp};
use veza_platform::ambient;
use veza_platform::contract::Problem;
use veza_platform::event_log::EventLog;
use veza_platform::keyring::Keyring;
use veza_platform::kv::{Entry, Kv, KvError};
use veza_platform::tokens::Revocations;

use crate::refresh_token::{self, Session};

/// The sessions that can be refreshed. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sessions {
    bucket: Kv<Session>,
    revocations: Revocations,
    keys: Keyring,
}

/// A refresh token with the session as it is while the token is the newest.
pub(crate) struct Issued {
    /// What the client keeps.
    pub(crate) token: String,
    /// Its session.
    pub(crate) session: Session,
}

impl Sessions {
    pub(crate) fn open(log: &EventLog, keys: Keyring) -> Self {
        Self {
            bucket: Kv::open(log, "SESSIONS"),
            revocations: Revocations::open(log),
            keys,
        }
    }

    /// Puts a session that was just written to the log up for refreshing. When the same command did so
    /// before and its answer was lost, its unused token is replaced.
    ///
    /// # Errors
    /// `platform.unavailable` when the bucket is away; the command can be repeated.
    pub(crate) async fn begin(
        &self,
        id: SessionId,
        account: AccountId,
        expires_at: Timestamp,
    ) -> Result<Issued, Problem> {
        let (token, digest) = self.fresh_token(id).await?;
        let session = Session {
            account,
            current: digest,
            previous: None,
            used_at: ambient::now().into(),
            generation: 0,
            expires_at,
        };
        let key = id.to_string();
        match self.bucket.create(&key, &session).await {
            Ok(_) => return Ok(Issued { token, session }),
            Err(KvError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
        let stored = self.bucket.get_consistent(&key).await?.ok_or(KvError::Conflict)?;
        if stored.value.generation > 0 {
            return Err(super::commands::session_ended());
        }
        self.bucket.update(&key, &session, stored.revision).await?;
        Ok(Issued { token, session })
    }

    /// The session and digest that a presented token speaks of; `None` when it was never given out.
    pub(crate) async fn read_token(&self, token: &str) -> Result<Option<(SessionId, String)>, Problem> {
        let key = self.keys.installation_key().await?;
        Ok(refresh_token::read(&key, token))
    }

    /// A fresh token of `id`, and its digest.
    pub(crate) async fn fresh_token(&self, id: SessionId) -> Result<(String, String), Problem> {
        let key = self.keys.installation_key().await?;
        Ok(refresh_token::make(&key, id, &ambient::random()))
    }

    /// The session as it is now.
    pub(crate) async fn get(&self, id: SessionId) -> Result<Option<Entry<Session>>, Problem> {
        Ok(self.bucket.get_consistent(&id.to_string()).await?)
    }

    /// Puts `next` in the place of what was read at `revision`. Says whether nobody was faster.
    pub(crate) async fn replace(
        &self,
        id: SessionId,
        next: &Session,
        revision: u64,
    ) -> Result<bool, Problem> {
        match self.bucket.update(&id.to_string(), next, revision).await {
            Ok(_) => Ok(true),
            Err(KvError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Lets neither a token of `id` be accepted nor a fresh one be made. Doing it again changes nothing.
    pub(crate) async fn end(&self, id: SessionId) -> Result<(), Problem> {
        self.revocations.end(id).await?;
        self.bucket.remove(&id.to_string()).await?;
        Ok(())
    }

    /// Ends all sessions that `events` end, and those of keys that they take away. Done before the events are stored: if that fails, a session
    /// cannot be used although its history says nothing yet, and repeating the command completes it. The
    /// other way round a session could outlive its recorded end.
    pub(crate) async fn end_those_of(&self, events: &[AccountEvent]) -> Result<(), Problem> {
        for event in events {
            if let AccountEvent::SessionEnded(ended) = event {
                self.end(ended.session).await?;
            }
            // What comes of a key has the key as its session.
            if let AccountEvent::BotKeyRevoked(revoked) = event {
                self.revocations.end(revoked.key).await?;
            }
        }
        Ok(())
    }
}

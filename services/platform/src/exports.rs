//! Exports that people asked for: bucket `EXPORTS`, one entry per account. A door adds it, and whoever makes exports
//! holds it for a while, under its revision; so of several makers one works, and another goes on where one has died.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use veza_events::{AccountId, SpaceId, Timestamp};

use crate::contract::{Problem, ProblemKind};
use crate::event_log::EventLog;
use crate::kv::{Entry, Kv, KvError, Watch};

/// The bucket.
const BUCKET: &str = "EXPORTS";
/// How often an entry that changes meanwhile is looked at again.
const TRIES: u32 = 3;
/// When who asks for a second one is to come back, milliseconds.
const RUNNING_RETRY_MS: u64 = 10_000;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportOf {
    /// What the account that asks has.
    Account,
    /// What was said in a space.
    Space(SpaceId),
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportState {
    /// Nobody has begun.
    Waiting,
    /// Somebody makes it, and says so again before then.
    Running {
        /// Until then.
        until: Timestamp,
    },
    /// It can be fetched.
    Done {
        /// Since when.
        at: Timestamp,
        /// Bytes of the archive.
        size: u64,
        /// Until when.
        expires_at: Timestamp,
    },
    /// There will be none.
    Failed {
        /// Since when.
        at: Timestamp,
        /// Why.
        code: String,
    },
}

/// An export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Which one.
    pub id: Uuid,
    /// Of what.
    pub of: ExportOf,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// How far it is.
    pub state: ExportState,
    /// How often it was begun; each time in an object of its own.
    pub tries: u32,
    /// The one before it, whose objects are to go: its id, and how often that was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<(Uuid, u32)>,
}

impl Export {
    /// The object of this try.
    pub fn object(&self) -> String {
        object(self.id, self.tries)
    }
}

/// The object of one try to make an export.
pub fn object(id: Uuid, number: u32) -> String {
    format!("exports/{id}.{number}")
}

/// The exports. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exports(Kv<Export>);

impl Exports {
    /// The bucket in `log`. Makes no request.
    pub fn open(log: &EventLog) -> Self {
        Self(Kv::open(log, BUCKET))
    }

    /// The export of an account, if there is one.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub async fn get(&self, account: AccountId) -> Result<Option<Entry<Export>>, Problem> {
        Ok(self.0.get_consistent(&account.to_string()).await?)
    }

    /// Asks for an export, in the place of one that is over. Asking again for the same one changes nothing.
    ///
    /// # Errors
    /// `export.running` while another one is made; `platform.unavailable`.
    pub async fn ask(
        &self,
        account: AccountId,
        id: Uuid,
        of: ExportOf,
        now: Timestamp,
    ) -> Result<Export, Problem> {
        let key = account.to_string();
        for _ in 0..TRIES {
            let found = self.0.get_consistent(&key).await?;
            let previous = match &found {
                None => None,
                Some(entry) if entry.value.id == id => return Ok(entry.value.clone()),
                Some(entry) => match entry.value.state {
                    ExportState::Waiting | ExportState::Running { .. } => return Err(running()),
                    ExportState::Done { .. } | ExportState::Failed { .. } => {
                        Some((entry.value.id, entry.value.tries))
                    }
                },
            };
            let export = Export {
                id,
                of,
                asked_at: now,
                state: ExportState::Waiting,
                tries: 0,
                previous,
            };
            let wrote = match found {
                None => self.0.create(&key, &export).await,
                Some(entry) => self.0.update(&key, &export, entry.revision).await,
            };
            match wrote {
                Ok(_) => return Ok(export),
                Err(KvError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KvError::Conflict.into())
    }

    /// Replaces what was read at `revision`. Returns the new revision; `None` when somebody else was faster.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub async fn update(
        &self,
        account: AccountId,
        export: &Export,
        revision: u64,
    ) -> Result<Option<u64>, Problem> {
        match self.0.update(&account.to_string(), export, revision).await {
            Ok(revision) => Ok(Some(revision)),
            Err(KvError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Forgets what was read at `revision`; nothing happens when somebody else was faster.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub async fn forget(&self, account: AccountId, revision: u64) -> Result<(), Problem> {
        match self.0.delete(&account.to_string(), revision).await {
            Ok(()) | Err(KvError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// All of them, and every change. Keys are accounts.
    pub fn watch(&self) -> Watch<Export> {
        self.0.watch()
    }
}

/// Until when somebody who says so now holds an export.
pub fn held_until(now: Timestamp, lease: Duration) -> Timestamp {
    (now.time() + lease).into()
}

fn running() -> Problem {
    Problem {
        retry_after_ms: Some(RUNNING_RETRY_MS),
        ..Problem::new(
            ProblemKind::Conflict,
            "export.running",
            "an export of yours is being made; wait for it",
        )
    }
}

//! What gateways and workers say to each other over the command bus. Internal: both ends ship
//! together, yet a rolling deploy mixes two neighbouring versions, so fields are added, not renamed.

pub mod accounts;
pub mod chat;
pub mod media;
mod problem;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use veza_events::{AccountId, CommandId, SessionId};

pub use problem::{FieldError, Problem, ProblemKind};

/// A command that some worker takes.
pub trait Command: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// What it is called on the bus, `snake_case`, unique among its worker's.
    const NAME: &'static str;
    /// What the worker answers when it is done.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// Who gives a command, and under which id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The id under which it is done at most once. `UUIDv7`.
    pub command: CommandId,
    /// The signed-in account; `None` before signing in.
    pub account: Option<AccountId>,
    /// Its session.
    pub session: Option<SessionId>,
    /// The sequence at which the caller has seen what it changes: the command is refused when that has
    /// changed since. `None` to change it whatever happened.
    pub seen: Option<u64>,
}

impl Caller {
    /// Somebody whose rights are asked about, or who only looks: nothing is written, so no command is remembered.
    pub fn asking(account: AccountId) -> Self {
        Self {
            command: crate::ambient::new_uuid().into(),
            account: Some(account),
            session: None,
            seen: None,
        }
    }

    /// The signed-in account.
    ///
    /// # Errors
    /// `session.required` when nobody is signed in.
    pub fn account(&self) -> Result<AccountId, Problem> {
        self.account
            .ok_or_else(|| Problem::new(ProblemKind::Unauthenticated, "session.required", "sign in first"))
    }
}

/// A password or token on its way between our own processes. Shown to nobody: `Debug` is redacted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sensitive(String);

impl Sensitive {
    /// Wraps a text that must not be shown.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sensitive(…)")
    }
}

/// Declares commands: name on the bus, struct, reply.
macro_rules! commands {
    ($($name:literal: $command:ty => $reply:ty,)+) => {$(
        impl $crate::contract::Command for $command {
            const NAME: &'static str = $name;
            type Reply = $reply;
        }
    )+};
}
use commands;

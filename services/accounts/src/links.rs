//! One-time links to sign in with, in the bucket `LINKS`, by the digest of what the link carries.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Serialize};
use veza_events::{AccountId, CommandId, Timestamp};
use veza_platform::ambient;
use veza_platform::contract::{Problem, Sensitive};
use veza_platform::event_log::EventLog;
use veza_platform::keyring::hex;
use veza_platform::kv::{Kv, KvError};

/// How long a link is good; entries leave the bucket at the same age.
const LIFE: Duration = Duration::from_hours(24);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Link {
    account: AccountId,
    expires_at: Timestamp,
    /// The command that used it: repeating that one is no second use.
    used_by: Option<CommandId>,
}

/// The links that are out. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Links(Kv<Link>);

impl Links {
    pub(crate) fn open(log: &EventLog) -> Self {
        Self(Kv::open(log, "LINKS"))
    }

    /// What a fresh link for `account` carries.
    ///
    /// # Errors
    /// `platform.unavailable` when the bucket is away.
    pub(crate) async fn make(&self, account: AccountId) -> Result<Sensitive, Problem> {
        let token = BASE64URL.encode(ambient::random::<32>());
        let link = Link {
            account,
            expires_at: (ambient::now() + LIFE).into(),
            used_by: None,
        };
        self.0.create(&key(&token), &link).await?;
        Ok(Sensitive::new(token))
    }

    /// The account of a link that `command` uses now; `None` when the link is none, is over, or was used
    /// by another command.
    ///
    /// # Errors
    /// `platform.unavailable` when the bucket is away.
    pub(crate) async fn take(
        &self,
        token: &Sensitive,
        command: CommandId,
    ) -> Result<Option<AccountId>, Problem> {
        let key = key(token.expose());
        let Some(entry) = self.0.get_consistent(&key).await? else {
            return Ok(None);
        };
        let link = entry.value;
        if link.expires_at.time() <= ambient::now() {
            return Ok(None);
        }
        if let Some(user) = link.used_by {
            return Ok((user == command).then_some(link.account));
        }
        let used = Link {
            used_by: Some(command),
            ..link
        };
        match self.0.update(&key, &used, entry.revision).await {
            Ok(_) => Ok(Some(used.account)),
            Err(KvError::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn key(token: &str) -> String {
    hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}

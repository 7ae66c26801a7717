//! Where the devices of accounts want to be told: bucket `PUSH_SUBSCRIPTIONS`, one entry per account, sealed under
//! the account's key. An address of a push service is as good as a secret: who has it can knock.

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use veza_events::{AccountId, KeyId, SessionId, Timestamp};

use crate::contract::{Problem, ProblemKind};
use crate::event_log::EventLog;
use crate::keyring::{Aad, Keyring};
use crate::kv::{Change, Kv, KvError, Watch};

/// The bucket.
const BUCKET: &str = "PUSH_SUBSCRIPTIONS";
/// Times that a write is tried against others.
const TRIES: u32 = 8;

/// One device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSubscription {
    /// Names it.
    pub id: Uuid,
    /// Where its push service takes messages.
    pub endpoint: String,
    /// Its public key, base64url.
    pub p256dh: String,
    /// Its secret, base64url.
    pub auth: String,
    /// The key of this installation that it was made with.
    pub key: String,
    /// The session that made it; with its end it ends.
    pub session: SessionId,
    /// When.
    pub made_at: Timestamp,
}

impl std::fmt::Debug for PushSubscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushSubscription")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// As it lies in the bucket.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    key: KeyId,
    sealed: String,
}

/// The subscriptions of all accounts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PushSubscriptions {
    entries: Kv<Stored>,
    keys: Keyring,
}

impl PushSubscriptions {
    /// The bucket in `log`. Makes no request.
    pub fn open(log: &EventLog, keys: Keyring) -> Self {
        Self {
            entries: Kv::open(log, BUCKET),
            keys,
        }
    }

    /// The devices of an account, oldest first.
    ///
    /// # Errors
    /// `platform.unavailable`
    pub async fn of(&self, account: AccountId) -> Result<Vec<PushSubscription>, Problem> {
        Ok(self.read(account).await?.0)
    }

    /// Adds a device, at most `most` of them. One with the same address is replaced and keeps its id, which is
    /// returned.
    ///
    /// # Errors
    /// `push.too_many`; `platform.unavailable`
    pub async fn add(&self, account: AccountId, new: PushSubscription, most: usize) -> Result<Uuid, Problem> {
        let mut id = new.id;
        self.change(account, |all| {
            let known = all.iter_mut().find(|known| known.endpoint == new.endpoint);
            if let Some(known) = known {
                id = known.id;
                *known = PushSubscription { id, ..new.clone() };
            } else if all.len() >= most {
                let detail = format!("an account has at most {most} devices; remove one of them");
                return Err(Problem::new(ProblemKind::TooMany, "push.too_many", detail));
            } else {
                id = new.id;
                all.push(new.clone());
            }
            Ok(true)
        })
        .await?;
        Ok(id)
    }

    /// Removes a device. Returns whether it was there.
    ///
    /// # Errors
    /// `platform.unavailable`
    pub async fn remove(&self, account: AccountId, id: Uuid) -> Result<bool, Problem> {
        self.change(account, |all| {
            let before = all.len();
            all.retain(|known| known.id != id);
            Ok(all.len() != before)
        })
        .await
    }

    /// Who has devices, and every change of it.
    pub fn watch(&self) -> Subscribers {
        Subscribers(self.entries.watch())
    }

    async fn change(
        &self,
        account: AccountId,
        mut change: impl FnMut(&mut Vec<PushSubscription>) -> Result<bool, Problem> + Send,
    ) -> Result<bool, Problem> {
        for _ in 0..TRIES {
            let (mut all, revision) = self.read(account).await?;
            if !change(&mut all)? {
                return Ok(false);
            }
            let name = account.to_string();
            let wrote = match revision {
                Some(revision) if all.is_empty() => self.entries.delete(&name, revision).await,
                None if all.is_empty() => Ok(()),
                Some(revision) => {
                    let stored = self.sealed(account, &all).await?;
                    self.entries.update(&name, &stored, revision).await.map(drop)
                }
                None => {
                    let stored = self.sealed(account, &all).await?;
                    self.entries.create(&name, &stored).await.map(drop)
                }
            };
            match wrote {
                Ok(()) => return Ok(true),
                Err(KvError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KvError::Conflict.into())
    }

    async fn read(&self, account: AccountId) -> Result<(Vec<PushSubscription>, Option<u64>), Problem> {
        let Some(entry) = self.entries.get_consistent(&account.to_string()).await? else {
            return Ok((Vec::new(), None));
        };
        let Stored { key, sealed } = entry.value;
        // An account that was erased has no key any more, and so no devices.
        let opened = self.keys.get(key).await?;
        let opened = opened.and_then(|data_key| data_key.open(&aad(account, key), &sealed));
        let all = opened.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Ok((all.unwrap_or_default(), Some(entry.revision)))
    }

    async fn sealed(&self, account: AccountId, all: &[PushSubscription]) -> Result<Stored, Problem> {
        let (key, data_key) = self.keys.ensure(account).await?;
        let clear = serde_json::to_vec(all).map_err(|error| Problem::internal(&error))?;
        Ok(Stored {
            key,
            sealed: data_key.seal(&aad(account, key), &clear),
        })
    }
}

fn aad(account: AccountId, key: KeyId) -> Aad {
    let account = account.uuid();
    Aad::framed(&[
        b"veza.push_subscriptions",
        account.as_bytes(),
        key.uuid().as_bytes(),
    ])
}

/// Whether an account has devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It has some.
    Has(AccountId),
    /// It has none any more.
    Lost(AccountId),
    /// Everybody who had some from the start has been named.
    Current,
    /// Nothing of note.
    Nothing,
}

/// Who has devices, as they come and go.
#[derive(Debug)]
pub struct Subscribers(Watch<Stored>);

impl Subscribers {
    /// What happened next.
    ///
    /// # Errors
    /// `platform.unavailable`, or an entry that cannot be read; asking again goes on behind it.
    pub async fn next(&mut self) -> Result<Changed, Problem> {
        Ok(match self.0.next().await? {
            Change::Put { key, .. } => key.parse().map_or(Changed::Nothing, Changed::Has),
            Change::Removed { key, .. } => key.parse().map_or(Changed::Nothing, Changed::Lost),
            Change::Current => Changed::Current,
        })
    }
}

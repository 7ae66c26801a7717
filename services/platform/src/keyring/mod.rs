//! The keys under which personal data stand in the log: one data key per account, and one key of the
//! installation for digests of names. All of them lie in Postgres, wrapped by a key-encryption key from
//! a file; what is taken from Postgres is kept in memory.
//!
//! The tables are not derived from the log and are made by a migration:
//!
//! ```sql
//! CREATE TABLE veza.keyring (
//!     id         uuid        PRIMARY KEY,
//!     account    uuid        NOT NULL UNIQUE,
//!     wrapped    bytea,                              -- NULL: destroyed for good, the account gets no other
//!     kek        text        NOT NULL,               -- fingerprint of the key-encryption key
//!     created_at timestamptz NOT NULL DEFAULT now()
//! );
//! CREATE INDEX keyring_kek ON veza.keyring (kek);    -- finds what is still wrapped by an older one
//! CREATE TABLE veza.installation_key (
//!     id         boolean     PRIMARY KEY DEFAULT true CHECK (id),   -- one row
//!     wrapped    bytea       NOT NULL,
//!     kek        text        NOT NULL,
//!     created_at timestamptz NOT NULL DEFAULT now()
//! );
//! ```

mod cache;
mod data_key;
mod kek;
mod store;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbErr};
use uuid::Uuid;
use veza_events::{AccountId, KeyId};
use zeroize::Zeroizing;

use self::cache::{Cache, Found};
use self::data_key::{KEY_LEN, fresh_material};
use self::store::{Row, Store};
use crate::ambient;
use crate::config::KeysConfig;
use crate::contract::{Problem, ProblemKind};

pub use self::data_key::{Aad, DataKey, hex};
pub use self::kek::{KekError, Keks, Wrapped};

/// When a caller that found Postgres away is to come back, milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;
/// Longest wait for Postgres when a key in memory is old but at hand.
const REFRESH_WAIT: Duration = Duration::from_millis(250);
/// Most rows of one call of [`Keyring::rewrap`].
const REWRAP_ROWS: u32 = 500;

/// Finds, makes and keeps data keys. Cheap to clone; all clones share one memory.
///
/// A key in memory is looked up again after `keys.cache_ttl_s`, so that a destroyed one is forgotten. While
/// Postgres is away nothing can be destroyed, and what is in memory goes on being used, up to a day.
#[derive(Clone)]
pub struct Keyring(Arc<Inner>);

struct Inner {
    store: Store,
    keks: Keks,
    cache: Cache,
    installation: OnceLock<DataKey>,
}

impl Keyring {
    /// The keyring in `db`. Reads the key file, and makes no request.
    ///
    /// # Errors
    /// When the key file cannot be used.
    pub fn open(db: DatabaseConnection, config: &KeysConfig) -> Result<Self, KekError> {
        Ok(Self(Arc::new(Inner {
            store: Store(db),
            keks: Keks::load(config)?,
            cache: Cache::new(config.cached_keys, Duration::from_secs(config.cache_ttl_s)),
            installation: OnceLock::new(),
        })))
    }

    /// The key-encryption keys, for what else must be wrapped.
    pub fn keks(&self) -> &Keks {
        &self.0.keks
    }

    /// The data key of `account`, made if it has none.
    ///
    /// # Errors
    /// `platform.unavailable` when it is not in memory and Postgres is away; `account.erased` when it was
    /// destroyed.
    pub async fn ensure(&self, account: AccountId) -> Result<(KeyId, DataKey), Problem> {
        if let Some(found) = self.of_account(account).await? {
            return Ok(found);
        }
        let id = KeyId::new(ambient::new_uuid());
        let material = fresh_material();
        let wrapped = self
            .0
            .keks
            .wrap(&aad_of(id.uuid(), account.uuid()), material.as_slice());
        let inserted = self.0.store.insert(id.uuid(), account.uuid(), wrapped).await;
        if inserted.map_err(|error| self.away(&error))? {
            let key = DataKey::new(&material);
            self.0.cache.keep(account, id, Some(key.clone()));
            return Ok((id, key));
        }
        // Somebody else made one in the meantime, or it was destroyed.
        self.look_up_account(account)
            .await?
            .ok_or_else(|| Problem::new(ProblemKind::Gone, "account.erased", "the account was erased"))
    }

    /// The data key of `account`, `None` when it has none (any more).
    ///
    /// # Errors
    /// `platform.unavailable` when it is not in memory and Postgres is away.
    pub async fn of_account(&self, account: AccountId) -> Result<Option<(KeyId, DataKey)>, Problem> {
        match self.0.cache.of_account(account) {
            Found::Fresh(id, key) => Ok(key.map(|key| (id, key))),
            Found::Old(id, key) => {
                match tokio::time::timeout(REFRESH_WAIT, self.look_up_account(account)).await {
                    Ok(Ok(found)) => Ok(found),
                    Ok(Err(problem)) if problem.kind != ProblemKind::Unavailable => Err(problem),
                    Ok(Err(_)) | Err(_) => {
                        self.0.cache.postgres_is_away();
                        Ok(key.map(|key| (id, key)))
                    }
                }
            }
            Found::Nothing => {
                self.refuse_while_away()?;
                self.look_up_account(account).await
            }
        }
    }

    /// A data key by its id; `None` when there is none (any more).
    ///
    /// # Errors
    /// `platform.unavailable` when it is not in memory and Postgres is away.
    pub async fn get(&self, id: KeyId) -> Result<Option<DataKey>, Problem> {
        Ok(self.get_many(&[id]).await?.remove(&id))
    }

    /// Data keys by their ids, with one request at most. Those that are no more are left out.
    ///
    /// # Errors
    /// `platform.unavailable` when one is not in memory and Postgres is away.
    pub async fn get_many(&self, ids: &[KeyId]) -> Result<HashMap<KeyId, DataKey>, Problem> {
        let mut keys = HashMap::with_capacity(ids.len());
        let mut old = HashMap::new();
        let mut missing = Vec::new();
        for &id in ids {
            match self.0.cache.get(id) {
                Found::Fresh(_, key) => keys.extend(key.map(|key| (id, key))),
                Found::Old(_, key) => {
                    old.insert(id, key);
                }
                Found::Nothing => missing.push(id),
            }
        }
        if missing.is_empty() && old.is_empty() {
            return Ok(keys);
        }
        let wanted: Vec<KeyId> = missing.iter().chain(old.keys()).copied().collect();
        let looked_up = if missing.is_empty() {
            let in_time = tokio::time::timeout(REFRESH_WAIT, self.look_up(&wanted)).await;
            in_time.unwrap_or_else(|_| Err(unavailable()))
        } else {
            self.refuse_while_away()?;
            self.look_up(&wanted).await
        };
        match looked_up {
            Ok(found) => keys.extend(found),
            Err(problem) if missing.is_empty() && problem.kind == ProblemKind::Unavailable => {
                self.0.cache.postgres_is_away();
                keys.extend(old.into_iter().filter_map(|(id, key)| Some((id, key?))));
            }
            Err(problem) => return Err(problem),
        }
        Ok(keys)
    }

    /// The key of this installation, for digests that only it can make. Made on first use, never replaced.
    ///
    /// # Errors
    /// `platform.unavailable` when it is not in memory and Postgres is away.
    pub async fn installation_key(&self) -> Result<DataKey, Problem> {
        if let Some(key) = self.0.installation.get() {
            return Ok(key.clone());
        }
        let mut stored = self.0.store.installation_key().await;
        if matches!(stored, Ok(None)) {
            let fresh = self.0.keks.wrap(&installation_aad(), fresh_material().as_slice());
            stored = match self.0.store.insert_installation_key(fresh).await {
                Ok(_) => self.0.store.installation_key().await,
                Err(error) => Err(error),
            };
        }
        let wrapped = stored
            .map_err(|error| self.away(&error))?
            .ok_or_else(|| Problem::internal(&"the installation key vanished"))?;
        let key = self.unwrap(&installation_aad(), &wrapped)?;
        Ok(self.0.installation.get_or_init(|| key).clone())
    }

    /// Wraps some of what stands under an older key-encryption key anew, under the newest. Returns how many
    /// keys; 0 means that the older ones are needed no more.
    ///
    /// # Errors
    /// `platform.unavailable` while Postgres is away.
    pub async fn rewrap(&self) -> Result<usize, Problem> {
        let newest = self.0.keks.newest();
        let mut done = 0;
        if let Some(old) = self.stored(self.0.store.installation_key().await)?
            && old.kek != newest
        {
            let new = self.wrap_anew(&installation_aad(), &old)?;
            done += usize::from(self.stored(self.0.store.replace_installation_key(old, new).await)?);
        }
        for row in self.stored(self.0.store.under_others(newest, REWRAP_ROWS).await)? {
            let Some(old) = row.wrapped else { continue };
            let new = self.wrap_anew(&aad_of(row.id, row.account), &old)?;
            done += usize::from(self.stored(self.0.store.replace(row.id, old, new).await)?);
        }
        Ok(done)
    }

    async fn look_up_account(&self, account: AccountId) -> Result<Option<(KeyId, DataKey)>, Problem> {
        let row = self.stored(self.0.store.by_account(account.uuid()).await)?;
        match row {
            Some(row) => {
                let (id, key) = self.keep(row)?;
                Ok(key.map(|key| (id, key)))
            }
            None => Ok(None),
        }
    }

    async fn look_up(&self, ids: &[KeyId]) -> Result<HashMap<KeyId, DataKey>, Problem> {
        let wanted = ids.iter().map(|id| id.uuid()).collect();
        let rows = self.stored(self.0.store.by_ids(wanted).await)?;
        let mut keys = HashMap::with_capacity(rows.len());
        for row in rows {
            let (id, key) = self.keep(row)?;
            keys.extend(key.map(|key| (id, key)));
        }
        for &id in ids.iter().filter(|id| !keys.contains_key(id)) {
            self.0.cache.keep_absent(id);
        }
        Ok(keys)
    }

    fn keep(&self, row: Row) -> Result<(KeyId, Option<DataKey>), Problem> {
        let aad = aad_of(row.id, row.account);
        let key = row
            .wrapped
            .map(|wrapped| self.unwrap(&aad, &wrapped))
            .transpose()?;
        let id = KeyId::new(row.id);
        self.0.cache.keep(AccountId::new(row.account), id, key.clone());
        Ok((id, key))
    }

    fn unwrap(&self, aad: &Aad, wrapped: &Wrapped) -> Result<DataKey, Problem> {
        let material = self.0.keks.unwrap(aad, wrapped).and_then(|bytes| {
            <[u8; KEY_LEN]>::try_from(bytes.as_slice())
                .ok()
                .map(Zeroizing::new)
        });
        material.map(|material| DataKey::new(&material)).ok_or_else(|| {
            Problem::internal(&format!(
                "a stored key does not unwrap: it needs key-encryption key {}, and `keys.kek_file` holds {:?}",
                wrapped.kek, self.0.keks
            ))
        })
    }

    fn wrap_anew(&self, aad: &Aad, old: &Wrapped) -> Result<Wrapped, Problem> {
        let clear =
            self.0.keks.unwrap(aad, old).ok_or_else(|| {
                Problem::internal(&format!("no key-encryption key {} to unwrap with", old.kek))
            })?;
        Ok(self.0.keks.wrap(aad, &clear))
    }

    fn refuse_while_away(&self) -> Result<(), Problem> {
        if self.0.cache.is_postgres_away() {
            return Err(unavailable());
        }
        Ok(())
    }

    fn stored<T>(&self, result: Result<T, DbErr>) -> Result<T, Problem> {
        result.map_err(|error| self.away(&error))
    }

    fn away(&self, error: &DbErr) -> Problem {
        tracing::warn!(%error, "the keyring cannot be read");
        self.0.cache.postgres_is_away();
        unavailable()
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("keks", &self.0.keks)
            .finish_non_exhaustive()
    }
}

/// A data key for tests of what is done with one.
#[cfg(test)]
pub(crate) fn test_key(seed: u8) -> DataKey {
    DataKey::new(&zeroize::Zeroizing::new([seed; KEY_LEN]))
}

/// A wrapped data key is bound to its row: rows cannot be swapped.
fn aad_of(id: Uuid, account: Uuid) -> Aad {
    Aad::framed(&[b"veza.keyring", id.as_bytes(), account.as_bytes()])
}

fn installation_aad() -> Aad {
    Aad::framed(&[b"veza.installation_key"])
}

fn unavailable() -> Problem {
    Problem::unavailable("the keyring is not reachable", RETRY_AFTER_MS)
}

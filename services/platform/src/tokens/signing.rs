//! The keys that sign, shared by all accounts workers through one entry of a bucket.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::EncodingKey;
use tokio_util::sync::CancellationToken;

use super::claims::{self, Claims, Parties};
use super::keyset::{KeySet, Rotation, StoredKey};
use super::{KEYS_ENTRY, SIGNING_KEYS};
use crate::ambient;
use crate::contract::Problem;
use crate::event_log::EventLog;
use crate::keyring::Keks;
use crate::kv::{Kv, KvError};

/// Keys older than this in memory are read again before they sign.
const STALE_AFTER: Duration = Duration::from_secs(30);
/// Longest pause between two looks at the keys; a fraction of what retiring leaves as a margin.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Shortest such pause.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
/// How long a token waits for such a reading; then the keys at hand sign.
const READ_WAIT: Duration = Duration::from_millis(500);
/// How often another worker may be faster before this one waits for its next round.
const MAX_RACES: u32 = 5;

/// Signs access tokens, and sees to it that the keys change. Cheap to clone.
///
/// Any number of workers may do so side by side: they change the keys under the revision they read, so one
/// succeeds and the others take over what it wrote.
#[derive(Clone)]
pub struct SigningKeys(Arc<Inner>);

struct Inner {
    bucket: Kv<KeySet>,
    keks: Keks,
    parties: Parties,
    rotation: Rotation,
    loaded: RwLock<Option<Arc<Loaded>>>,
}

struct Loaded {
    set: KeySet,
    /// The private halves, by thumbprint.
    private: HashMap<String, EncodingKey>,
    read: Instant,
}

impl SigningKeys {
    /// The keys in the bucket, changed as `rotation` says. Makes no request.
    pub fn open(log: &EventLog, keks: Keks, parties: Parties, rotation: Rotation) -> Self {
        Self(Arc::new(Inner {
            bucket: Kv::open(log, SIGNING_KEYS),
            keks,
            parties,
            rotation,
            loaded: RwLock::new(None),
        }))
    }

    /// Reads the keys, adds the next one when it is time, retires old ones. The first call on a fresh
    /// installation makes the first key.
    ///
    /// # Errors
    /// `platform.unavailable` when the bucket cannot be reached.
    pub async fn look_after(&self) -> Result<(), Problem> {
        for _ in 0..MAX_RACES {
            let entry = self.0.bucket.get_consistent(KEYS_ENTRY).await?;
            let (set, revision) = match entry {
                Some(entry) => (entry.value, Some(entry.revision)),
                None => (KeySet::default(), None),
            };
            let Some(next) = set.maintained(ambient::now(), self.0.rotation, &self.0.keks) else {
                return self.load(set);
            };
            let written = match revision {
                Some(revision) => self.0.bucket.update(KEYS_ENTRY, &next, revision).await,
                None => self.0.bucket.create(KEYS_ENTRY, &next).await,
            };
            match written {
                Ok(_) => {
                    tracing::info!(keys = next.keys.len(), "the signing keys changed");
                    return self.load(next);
                }
                Err(KvError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Problem::unavailable("the signing keys keep changing", 1_000))
    }

    /// Looks after the keys until `stop`. While the bucket is away the keys at hand go on signing.
    pub async fn run(self, stop: CancellationToken) {
        let pause = (self.0.rotation.publish_ahead / 4).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if let Err(problem) = self.look_after().await {
                tracing::warn!(%problem, "the signing keys could not be looked after");
            }
        }
    }

    /// A token with these claims; issuer and audience are put in here.
    ///
    /// # Errors
    /// `platform.unavailable` when no key was ever read.
    pub async fn issue(&self, mut claims: Claims) -> Result<String, Problem> {
        claims.iss.clone_from(&self.0.parties.issuer);
        claims.aud.clone_from(&self.0.parties.audience);
        let loaded = self.current().await?;
        let due = loaded.set.signing(ambient::now());
        let (kid, key) = due
            .and_then(|due| Some((&due.kid, loaded.private.get(&due.kid)?)))
            .ok_or_else(|| Problem::internal(&"there is no signing key"))?;
        claims::sign(&claims, kid, key).map_err(|error| Problem::internal(&error))
    }

    /// The keys at hand, read again if they are old: a worker that was cut off must not sign with a key
    /// that others have retired meanwhile.
    async fn current(&self) -> Result<Arc<Loaded>, Problem> {
        let at_hand = self.loaded();
        match at_hand {
            Some(loaded) if loaded.read.elapsed() < STALE_AFTER => Ok(loaded),
            at_hand => {
                let read = tokio::time::timeout(READ_WAIT, self.look_after()).await;
                let problem = match read {
                    Ok(Ok(())) => None,
                    Ok(Err(problem)) => Some(problem),
                    Err(_) => Some(Problem::unavailable("the signing keys cannot be read", 1_000)),
                };
                match (problem, self.loaded().or(at_hand)) {
                    (_, Some(loaded)) => Ok(loaded),
                    (Some(problem), None) => Err(problem),
                    (None, None) => Err(Problem::internal(&"signing keys vanished while being read")),
                }
            }
        }
    }

    fn loaded(&self) -> Option<Arc<Loaded>> {
        self.0
            .loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn load(&self, set: KeySet) -> Result<(), Problem> {
        let private = set
            .keys
            .iter()
            .map(|key| Ok((key.kid.clone(), self.private_half(key)?)));
        let loaded = Arc::new(Loaded {
            private: private.collect::<Result<_, Problem>>()?,
            set,
            read: Instant::now(),
        });
        *self.0.loaded.write().unwrap_or_else(PoisonError::into_inner) = Some(loaded);
        Ok(())
    }

    fn private_half(&self, key: &StoredKey) -> Result<EncodingKey, Problem> {
        let document = key.pair(&self.0.keks).and_then(|pair| pair.to_pkcs8().ok());
        let document = document.ok_or_else(|| {
            let needed = &key.wrapped.kek;
            Problem::internal(&format!("no key-encryption key {needed} for a signing key"))
        })?;
        Ok(EncodingKey::from_ed_der(document.as_ref()))
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKeys")
            .field("parties", &self.0.parties)
            .finish_non_exhaustive()
    }
}

//! The keys by which push services know this installation (VAPID, RFC 8292). A browser binds a subscription to the
//! key that was in force, so an older key stays as long as somebody may have subscribed under it.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use url::Url;
use veza_events::Timestamp;

use crate::ambient;
use crate::contract::Problem;
use crate::event_log::EventLog;
use crate::keyring::{Aad, Keks, Wrapped};
use crate::kv::{Kv, KvError};

/// The bucket.
const BUCKET: &str = "PUSH_KEYS";
/// Its one entry.
const ENTRY: &str = "keys";
/// How long a copy is used.
const FRESH: Duration = Duration::from_mins(1);
/// How long a push service may take a token for ours; RFC 8292 allows a day.
const TOKEN_LIFE_S: i64 = 12 * 3_600;
/// Keys that are kept; the oldest makes room.
const MAX_KEYS: usize = 8;

/// All keys as they lie in the bucket, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct KeySet {
    keys: Vec<StoredKey>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredKey {
    /// The public half, base64url.
    public: String,
    /// The private half, PKCS#8.
    wrapped: Wrapped,
    made_at: Timestamp,
}

/// The keys of this installation. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PushKeys {
    bucket: Kv<KeySet>,
    keks: Keks,
    known: Cache<(), Arc<KeySet>>,
}

impl PushKeys {
    /// The keys in the bucket. Makes no request.
    pub fn open(log: &EventLog, keks: Keks) -> Self {
        Self {
            bucket: Kv::open(log, BUCKET),
            keks,
            known: Cache::builder().max_capacity(1).time_to_live(FRESH).build(),
        }
    }

    /// Sees to it that there is a key. Safe to repeat, also side by side.
    ///
    /// # Errors
    /// `platform.unavailable`
    pub async fn ensure(&self) -> Result<(), Problem> {
        if self.bucket.get_consistent(ENTRY).await?.is_some() {
            return Ok(());
        }
        let first = KeySet {
            keys: vec![self.fresh()?],
        };
        match self.bucket.create(ENTRY, &first).await {
            Ok(_) | Err(KvError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a new key, under which browsers subscribe from now on. Older ones stay in use for the devices that
    /// subscribed with them; of more than eight the oldest goes, and its devices with it.
    ///
    /// # Errors
    /// `platform.unavailable`
    pub async fn rotate(&self) -> Result<(), Problem> {
        let Some(entry) = self.bucket.get_consistent(ENTRY).await? else {
            return self.ensure().await;
        };
        let mut set = entry.value;
        set.keys.push(self.fresh()?);
        let surplus = set.keys.len().saturating_sub(MAX_KEYS);
        set.keys.drain(..surplus);
        self.bucket.update(ENTRY, &set, entry.revision).await?;
        self.known.invalidate(&()).await;
        Ok(())
    }

    /// The public half of the newest key, base64url: the `applicationServerKey` of a browser.
    ///
    /// # Errors
    /// `platform.unavailable`
    pub async fn newest(&self) -> Result<String, Problem> {
        let set = self.set().await?;
        let newest = set.keys.last().map(|key| key.public.clone());
        newest.ok_or_else(|| Problem::internal(&"there is no push key: run `veza setup`"))
    }

    /// All keys, oldest first: public half, and when it was made.
    ///
    /// # Errors
    /// `platform.unavailable`
    pub async fn all(&self) -> Result<Vec<(String, Timestamp)>, Problem> {
        let set = self.set().await?;
        Ok(set
            .keys
            .iter()
            .map(|key| (key.public.clone(), key.made_at))
            .collect())
    }

    /// Whether `public` is one of the keys.
    ///
    /// # Errors
    /// `platform.unavailable`
    pub async fn has(&self, public: &str) -> Result<bool, Problem> {
        Ok(self.set_with(public).await?.is_some())
    }

    /// The value of `Authorization` for a request to `endpoint`, under the key that was subscribed with. `contact`
    /// is whom a push service turns to. `None` when that key is gone.
    ///
    /// # Errors
    /// `platform.unavailable`, `platform.internal`
    pub async fn authorization(
        &self,
        public: &str,
        endpoint: &Url,
        contact: &str,
    ) -> Result<Option<String>, Problem> {
        let Some(set) = self.set_with(public).await? else {
            return Ok(None);
        };
        let Some(stored) = set.keys.iter().find(|key| key.public == public) else {
            return Ok(None);
        };
        let private = self.keks.unwrap(&aad(public), &stored.wrapped);
        let private = private.ok_or_else(|| Problem::internal(&"no key-encryption key for a push key"))?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private);
        let pair = pair.map_err(|_| Problem::internal(&"a push key cannot be read"))?;
        let claims = serde_json::json!({
            "aud": endpoint.origin().ascii_serialization(),
            "exp": ambient::now().unix_timestamp() + TOKEN_LIFE_S,
            "sub": contact,
        });
        let head = BASE64URL.encode(br#"{"typ":"JWT","alg":"ES256"}"#);
        let signed = format!("{head}.{}", BASE64URL.encode(claims.to_string()));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.map_err(|_| Problem::internal(&"a push token could not be signed"))?;
        let token = BASE64URL.encode(signature.as_ref());
        Ok(Some(format!("vapid t={signed}.{token}, k={public}")))
    }

    /// The set, if it has this key. What is in memory may be older than the key.
    async fn set_with(&self, public: &str) -> Result<Option<Arc<KeySet>>, Problem> {
        let has = |set: &KeySet| set.keys.iter().any(|key| key.public == public);
        let set = self.set().await?;
        if has(&set) {
            return Ok(Some(set));
        }
        self.known.invalidate(&()).await;
        Ok(Some(self.set().await?).filter(|set| has(set)))
    }

    async fn set(&self) -> Result<Arc<KeySet>, Problem> {
        if let Some(known) = self.known.get(&()).await {
            return Ok(known);
        }
        let entry = self.bucket.get_consistent(ENTRY).await?;
        let set = Arc::new(entry.map(|entry| entry.value).unwrap_or_default());
        if !set.keys.is_empty() {
            self.known.insert((), Arc::clone(&set)).await;
        }
        Ok(set)
    }

    fn fresh(&self) -> Result<StoredKey, Problem> {
        let failed = |_| Problem::internal(&"a push key could not be made");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(failed)?;
        let private = pair.to_pkcs8v1().map_err(failed)?;
        let public = BASE64URL.encode(pair.public_key().as_ref());
        Ok(StoredKey {
            wrapped: self.keks.wrap(&aad(&public), private.as_ref()),
            public,
            made_at: ambient::now().into(),
        })
    }
}

fn aad(public: &str) -> Aad {
    Aad::framed(&[b"veza.push_key", public.as_bytes()])
}

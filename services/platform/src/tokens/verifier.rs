//! Checking tokens without asking anyone: keys and ended sessions are followed in the background.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::DecodingKey;
use serde::Serialize;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use tokio::sync::broadcast;
use veza_events::SessionId;

use super::claims::{self, Claims, Parties, TokenError};
use super::keyset::KeySet;
use super::revocations::{EndedEntry, REMEMBER};
use super::{KEYS_ENTRY, REVOKED, SIGNING_KEYS};
use crate::event_log::EventLog;
use crate::kv::{Change, Kv};
use crate::lifecycle::Lifecycle;

/// Pause before following a bucket again after an error.
const PAUSE: Duration = Duration::from_millis(200);
/// Ended sessions that a listener may be behind before it is told that it missed some.
const LISTENER_CAPACITY: usize = 1_024;
/// How often sessions that ended long ago are forgotten, at most.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Checks access tokens. Cheap to clone; all clones share what they know.
///
/// While NATS is away the last known keys and ended sessions count.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    parties: Parties,
    keys: RwLock<Keys>,
    ended: RwLock<Ended>,
    ended_known: AtomicBool,
    listeners: broadcast::Sender<SessionId>,
}

/// Sessions that ended lately. Bounded like the bucket they come from: entries leave both after a while.
struct Ended {
    since: HashMap<SessionId, Instant>,
    swept: Instant,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, DecodingKey>,
    document: Jwks,
}

/// The public keys as others read them (RFC 7517).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Jwks {
    /// All that may have signed a token that is still good, and the next one.
    pub keys: Vec<Jwk>,
}

/// One public key (RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Jwk {
    /// `OKP`.
    pub kty: &'static str,
    /// `Ed25519`.
    pub crv: &'static str,
    /// `EdDSA`.
    pub alg: &'static str,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
    /// Its thumbprint.
    pub kid: String,
    /// The key, base64url.
    pub x: String,
}

impl Verifier {
    /// Begins to follow keys and ended sessions, to the end of `lifecycle`.
    pub fn start(log: &EventLog, parties: Parties, lifecycle: &Lifecycle) -> Self {
        let verifier = Self(Arc::new(Inner {
            parties,
            keys: RwLock::default(),
            ended: RwLock::new(Ended {
                since: HashMap::new(),
                swept: Instant::now(),
            }),
            ended_known: AtomicBool::new(false),
            listeners: broadcast::Sender::new(LISTENER_CAPACITY),
        }));
        let (keys, ended) = (verifier.clone(), verifier.clone());
        let bucket: Kv<KeySet> = Kv::open(log, SIGNING_KEYS);
        lifecycle.accompany(
            "signing-keys",
            follow(bucket, SIGNING_KEYS, move |change| keys.keys_changed(change)),
        );
        let bucket: Kv<EndedEntry> = Kv::open(log, REVOKED);
        lifecycle.accompany(
            "ended-sessions",
            follow(bucket, REVOKED, move |change| ended.session_ended(&change)),
        );
        verifier
    }

    /// The claims of a token that is good at `now`. Waits for nothing.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn verify(&self, token: &str, now: OffsetDateTime) -> Result<Claims, TokenError> {
        if !self.is_ready() {
            return Err(TokenError::NotReady);
        }
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        let claims = claims::check(token, &self.0.parties, now, |kid| keys.by_id.get(kid))?;
        if self.is_ended(claims.sid) {
            return Err(TokenError::Revoked);
        }
        Ok(claims)
    }

    /// Whether the session was ended while tokens of it may still run.
    pub fn is_ended(&self, session: SessionId) -> bool {
        self.0
            .ended
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .since
            .contains_key(&session)
    }

    /// Sessions as they end, for what stays open longer than a request. Who lags asks
    /// [`Verifier::is_ended`] for each of its own.
    pub fn ended_sessions(&self) -> broadcast::Receiver<SessionId> {
        self.0.listeners.subscribe()
    }

    /// Whether keys and ended sessions are known. Before that no token is accepted.
    pub fn is_ready(&self) -> bool {
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        !keys.by_id.is_empty() && self.0.ended_known.load(Ordering::Acquire)
    }

    /// The public keys.
    pub fn jwks(&self) -> Jwks {
        let keys = self.0.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.document.clone()
    }

    fn keys_changed(&self, change: Change<KeySet>) {
        let Change::Put { key, entry } = change else {
            return;
        };
        if key != KEYS_ENTRY {
            return;
        }
        let mut known = Keys::default();
        for key in entry.value.keys {
            match DecodingKey::from_ed_components(&key.x) {
                Ok(decoding) => known.by_id.insert(key.kid.clone(), decoding),
                Err(error) => {
                    tracing::error!(%error, kid = key.kid, "a signing key cannot be read");
                    continue;
                }
            };
            known.document.keys.push(Jwk {
                kty: "OKP",
                crv: "Ed25519",
                alg: "EdDSA",
                usage: "sig",
                kid: key.kid,
                x: key.x,
            });
        }
        *self.0.keys.write().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn session_ended(&self, change: &Change<EndedEntry>) {
        match change {
            Change::Put { key, .. } => {
                let Ok(session) = key.parse() else {
                    tracing::error!(key, "what ended is no session");
                    return;
                };
                self.remember(session);
                // Nobody listening is no failure.
                let _ = self.0.listeners.send(session);
            }
            Change::Removed { .. } => {}
            Change::Current => self.0.ended_known.store(true, Ordering::Release),
        }
    }

    fn remember(&self, session: SessionId) {
        let mut ended = self.0.ended.write().unwrap_or_else(PoisonError::into_inner);
        if ended.swept.elapsed() > SWEEP_EVERY {
            ended.since.retain(|_, since| since.elapsed() <= REMEMBER);
            ended.swept = Instant::now();
        }
        ended.since.insert(session, Instant::now());
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("parties", &self.0.parties)
            .finish_non_exhaustive()
    }
}

/// Hands every change of a bucket to `see`, for ever; the bucket may be away in between.
async fn follow<T: Serialize + DeserializeOwned>(
    bucket: Kv<T>,
    name: &'static str,
    mut see: impl FnMut(Change<T>) + Send,
) {
    let mut watch = bucket.watch();
    loop {
        match watch.next().await {
            Ok(change) => see(change),
            Err(error) => {
                tracing::warn!(%error, bucket = name, "a bucket cannot be followed just now");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

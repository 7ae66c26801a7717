//! argon2id (RFC 9106) away from the async threads, a bounded number at once, with a bounded wait.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use unicode_normalization::UnicodeNormalization;
use veza_platform::ambient;
use veza_platform::config::AccountsConfig;
use veza_platform::contract::{Problem, Sensitive};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::telemetry::Metrics;
use zeroize::Zeroizing;

use super::policy::MAX_CHARS;

/// Longest wait for one's turn: below what a door waits for the answer.
const LONGEST_WAIT: Duration = Duration::from_secs(3);
/// When a caller that could not be served is to come back, milliseconds.
const RETRY_AFTER_MS: u64 = 2_000;
/// Bytes of a salt (RFC 9106, 3.1).
const SALT_LEN: usize = 16;

/// Makes and checks password hashes. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    /// The hash of a password that nobody knows: checking against it takes as long as any.
    dummy: Arc<str>,
    /// One permit for each that computes or waits.
    queue: Arc<Semaphore>,
    /// One permit for each that computes.
    turns: Arc<Semaphore>,
    waiting: Gauge,
    computed: Counter,
    lifecycle: Lifecycle,
}

impl Passwords {
    /// With the cost that is configured.
    ///
    /// # Errors
    /// When argon2 does not take the cost.
    pub(crate) async fn new(
        config: &AccountsConfig,
        metrics: &Metrics,
        lifecycle: &Lifecycle,
    ) -> anyhow::Result<Self> {
        let params = Params::new(
            config.argon2_memory_kib,
            config.argon2_iterations,
            config.argon2_parallelism,
            None,
        )
        .context("`accounts.argon2_…` are no parameters of argon2")?;
        let (waiting, computed) = (Gauge::default(), Counter::default());
        metrics.register(|registry| {
            let help = "Password hashes being computed or waiting for their turn";
            registry.register("accounts_hashes_pending", help, waiting.clone());
            registry.register("accounts_hashes", "Password hashes computed", computed.clone());
        });
        let mut passwords = Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            dummy: Arc::from(""),
            queue: Arc::new(Semaphore::new(config.hash_concurrency + config.hash_queue)),
            turns: Arc::new(Semaphore::new(config.hash_concurrency)),
            waiting,
            computed,
            lifecycle: lifecycle.clone(),
        };
        let nobodys = Sensitive::new(ambient::new_uuid().to_string());
        passwords.dummy = passwords.hash(&nobodys).await?.into();
        Ok(passwords)
    }

    /// The hash of `password` in PHC form.
    ///
    /// # Errors
    /// `platform.unavailable` when too many wait.
    pub(crate) async fn hash(&self, password: &Sensitive) -> Result<String, Problem> {
        let argon2 = self.argon2.clone();
        let hashed = self
            .computed(password, move |password| {
                let salt: [u8; SALT_LEN] = ambient::random();
                let hash = argon2.hash_password_with_salt(password, &salt);
                hash.map(|hash| hash.to_string())
            })
            .await?;
        hashed.map_err(|error| Problem::internal(&error))
    }

    /// Whether `password` is the one that `hash` was made of. Without a hash: no, as slowly.
    ///
    /// # Errors
    /// `platform.unavailable` when too many wait.
    pub(crate) async fn verify(&self, password: &Sensitive, hash: Option<&str>) -> Result<bool, Problem> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.dummy).to_owned();
        let argon2 = self.argon2.clone();
        let verified = self
            .computed(password, move |password| {
                let hash = PasswordHash::new(&hash)?;
                Ok::<_, argon2::password_hash::phc::Error>(argon2.verify_password(password, &hash).is_ok())
            })
            .await?;
        let right = verified.map_err(|error| Problem::internal(&error))?;
        Ok(right && known)
    }

    async fn computed<T: Send + 'static>(
        &self,
        password: &Sensitive,
        work: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let normal = normalised(password);
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| busy())?;
        let waiting = Waiting::new(&self.waiting);
        let turn = tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.turns).acquire_owned());
        let turn: OwnedSemaphorePermit = turn
            .await
            .map_err(|_| busy())?
            .expect("the semaphore is never closed");
        // Permits go along: a caller that gives up does not make room for more than is computed.
        self.computed.inc();
        let computing = self.lifecycle.spawn_blocking(move || {
            let done = work(normal.as_bytes());
            drop((turn, place, waiting));
            done
        });
        computing.await.map_err(|error| Problem::internal(&error))
    }
}

/// The same password whatever keyboard it was typed on (NFKC), and no longer than any that is taken.
fn normalised(password: &Sensitive) -> Zeroizing<String> {
    Zeroizing::new(password.expose().nfkc().take(2 * MAX_CHARS).collect())
}

fn busy() -> Problem {
    Problem::unavailable("too many are signing in at this moment", RETRY_AFTER_MS)
}

/// Counts for as long as it lives.
struct Waiting(Gauge);

impl Waiting {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quick() -> AccountsConfig {
        AccountsConfig {
            argon2_memory_kib: 64,
            argon2_iterations: 1,
            ..AccountsConfig::default()
        }
    }

    async fn passwords(config: &AccountsConfig) -> Passwords {
        Passwords::new(config, &Metrics::new(), &Lifecycle::default())
            .await
            .unwrap()
    }

    fn secret(text: &str) -> Sensitive {
        Sensitive::new(text)
    }

    #[tokio::test]
    async fn the_right_password_is_recognised_and_no_other() {
        let passwords = passwords(&quick()).await;
        let hash = passwords.hash(&secret("korrekte pferde")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash(&secret("korrekte pferde")).await.unwrap());
        assert!(
            passwords
                .verify(&secret("korrekte pferde"), Some(&hash))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify(&secret("korrekte pferdE"), Some(&hash))
                .await
                .unwrap()
        );
        assert!(!passwords.verify(&secret("korrekte pferde"), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_password_is_the_same_from_any_keyboard() {
        let passwords = passwords(&quick()).await;
        let hash = passwords
            .hash(&secret("scho\u{308}ne gru\u{308}sse"))
            .await
            .unwrap();
        assert!(
            passwords
                .verify(&secret("schöne grüsse"), Some(&hash))
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn a_hash_made_at_another_cost_still_works() {
        let hash = passwords(&quick()).await.hash(&secret("x")).await.unwrap();
        let costlier = AccountsConfig {
            argon2_memory_kib: 128,
            ..quick()
        };
        assert!(
            passwords(&costlier)
                .await
                .verify(&secret("x"), Some(&hash))
                .await
                .unwrap()
        );
    }

    #[tokio::test]
    async fn beyond_the_queue_callers_are_told_to_come_back() {
        let config = AccountsConfig {
            hash_concurrency: 1,
            hash_queue: 1,
            ..quick()
        };
        let passwords = passwords(&config).await;
        let busy = Arc::clone(&passwords.turns).acquire_owned().await.unwrap();
        let password = secret("a");
        let (first, second) = (passwords.hash(&password), passwords.hash(&password));
        let release = async {
            let third = passwords.hash(&password);
            assert_eq!(third.await.unwrap_err().retry_after_ms, Some(RETRY_AFTER_MS));
            drop(busy);
        };
        let (first, second, ()) = tokio::join!(first, second, release);
        assert!(first.is_ok() && second.is_ok());
    }
}

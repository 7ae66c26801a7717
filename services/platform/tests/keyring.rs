//! The keyring on a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use uuid::Uuid;
use veza_events::{AccountId, KeyId};
use veza_platform::config::{KeysConfig, PostgresConfig, ServiceUrl};
use veza_platform::contract::ProblemKind;
use veza_platform::keyring::{Aad, Keyring};
use veza_testkit::{TestFolder, TestPostgres, fresh_database};

/// Whatever is waited for must come within this.
const SOON: Duration = Duration::from_secs(20);

/// A database with tables, and a folder for key files.
struct Site {
    url: String,
    folder: TestFolder,
}

impl Site {
    async fn new() -> Self {
        Self::on(fresh_database().await).await
    }

    async fn on(url: String) -> Self {
        veza_migrations::migrate(&url).await.unwrap();
        Self {
            url,
            folder: TestFolder::new(),
        }
    }

    /// A file with one key per seed, the newest last.
    fn file(&self, seeds: &[u8]) -> PathBuf {
        let path = self.folder.path().join(format!("kek-{seeds:?}"));
        let lines: Vec<String> = seeds.iter().map(|seed| BASE64.encode([*seed; 32])).collect();
        std::fs::write(&path, lines.join("\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    async fn db(&self) -> DatabaseConnection {
        let config = PostgresConfig {
            url: ServiceUrl::new(&self.url),
            // Generous: a busy machine takes its time to open the first connection.
            acquire_timeout_ms: 10_000,
            ..PostgresConfig::default()
        };
        veza_platform::postgres::connect(&config, "test").await.unwrap()
    }

    async fn keyring(&self, seeds: &[u8], cache_ttl_s: u64) -> Keyring {
        let config = KeysConfig {
            kek_file: Some(self.file(seeds)),
            cache_ttl_s,
            ..KeysConfig::default()
        };
        Keyring::open(self.db().await, &config).unwrap()
    }

    async fn sql(&self, statement: &str) {
        self.db().await.execute_unprepared(statement).await.unwrap();
    }
}

fn account(n: u128) -> AccountId {
    Uuid::from_u128(n).into()
}

fn aad() -> Aad {
    Aad::framed(&[b"test"])
}

#[tokio::test]
async fn an_account_has_one_key_however_many_ask_first() {
    let site = Site::new().await;
    let rings = [site.keyring(&[1], 300).await, site.keyring(&[1], 300).await];
    let asked = (0..20).map(|n| rings[n % 2].ensure(account(7)));
    let keys = futures::future::join_all(asked).await;
    let ids: Vec<KeyId> = keys.iter().map(|key| key.as_ref().unwrap().0).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");

    let sealed = keys[0].as_ref().unwrap().1.seal(&aad(), b"hello");
    let other = site.keyring(&[1], 300).await;
    assert_eq!(
        other
            .get(ids[0])
            .await
            .unwrap()
            .unwrap()
            .open(&aad(), &sealed)
            .unwrap(),
        b"hello"
    );
    assert_eq!(other.of_account(account(7)).await.unwrap().unwrap().0, ids[0]);
    assert!(other.of_account(account(8)).await.unwrap().is_none());
}

#[tokio::test]
async fn many_keys_come_with_one_request_and_absent_ones_are_left_out() {
    let site = Site::new().await;
    let maker = site.keyring(&[1], 300).await;
    let mut ids = Vec::new();
    for n in 0..50 {
        ids.push(maker.ensure(account(n)).await.unwrap().0);
    }
    ids.push(KeyId::new(Uuid::from_u128(999)));
    let reader = site.keyring(&[1], 300).await;
    let keys = reader.get_many(&ids).await.unwrap();
    assert_eq!(keys.len(), 50);
    assert!(!keys.contains_key(&ids[50]));
}

#[tokio::test]
async fn the_installation_has_one_key_for_its_digests() {
    let site = Site::new().await;
    let rings = [site.keyring(&[1], 300).await, site.keyring(&[1], 300).await];
    let asked = (0..10).map(|n| rings[n % 2].installation_key());
    let keys = futures::future::join_all(asked).await;
    let digests: Vec<String> = keys
        .iter()
        .map(|key| key.as_ref().unwrap().digest(b"ada"))
        .collect();
    assert!(digests.iter().all(|digest| *digest == digests[0]));
}

#[tokio::test]
async fn without_postgres_memory_goes_on_and_the_rest_says_so() {
    let mut postgres = TestPostgres::start().await;
    postgres.create_database("keys").await.unwrap();
    let site = Site::on(postgres.url_of("keys")).await;
    // A memory that is never young enough: every use asks Postgres, if it is there.
    let keyring = site.keyring(&[1], 0).await;
    let (id, key) = keyring.ensure(account(1)).await.unwrap();
    let sealed = key.seal(&aad(), b"hello");
    keyring.installation_key().await.unwrap();

    postgres.kill9().await;
    let began = Instant::now();
    for _ in 0..20 {
        let (same, key) = keyring.of_account(account(1)).await.unwrap().unwrap();
        assert_eq!(
            (same, key.open(&aad(), &sealed).unwrap()),
            (id, b"hello".to_vec())
        );
        assert!(keyring.get(id).await.unwrap().is_some());
        keyring.installation_key().await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let began = Instant::now();
    let problem = keyring.ensure(account(2)).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unavailable);
    assert!(problem.retry_after_ms.is_some());
    let again = keyring.ensure(account(2)).await.unwrap_err();
    assert_eq!(again.kind, ProblemKind::Unavailable);
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "known to be away: {:?}",
        began.elapsed()
    );

    postgres.restart().await.unwrap();
    let deadline = Instant::now() + SOON;
    while let Err(problem) = keyring.ensure(account(2)).await {
        assert!(Instant::now() < deadline, "{problem}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_destroyed_key_is_forgotten_and_not_replaced() {
    let site = Site::new().await;
    let keyring = site.keyring(&[1], 0).await;
    let (id, _) = keyring.ensure(account(1)).await.unwrap();
    site.sql("UPDATE veza.keyring SET wrapped = NULL").await;
    // A slow answer counts as none, and the key in memory is used once more.
    let deadline = Instant::now() + SOON;
    while keyring.get(id).await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "the key is still there");
    }
    assert!(keyring.of_account(account(1)).await.unwrap().is_none());
    let problem = keyring.ensure(account(1)).await.unwrap_err();
    assert_eq!(
        (problem.kind, problem.code.as_str()),
        (ProblemKind::Gone, "account.erased")
    );
}

#[tokio::test]
async fn keys_move_under_the_newest_kek_and_the_old_one_is_needed_no_more() {
    let site = Site::new().await;
    let old = site.keyring(&[1], 300).await;
    let digest = old.installation_key().await.unwrap().digest(b"ada");
    let (id, key) = old.ensure(account(1)).await.unwrap();
    old.ensure(account(2)).await.unwrap();
    let sealed = key.seal(&aad(), b"hello");

    let both = site.keyring(&[1, 2], 300).await;
    assert_eq!(both.rewrap().await.unwrap(), 3);
    assert_eq!(both.rewrap().await.unwrap(), 0);

    let new = site.keyring(&[2], 300).await;
    assert_eq!(
        new.get(id).await.unwrap().unwrap().open(&aad(), &sealed).unwrap(),
        b"hello"
    );
    assert_eq!(new.installation_key().await.unwrap().digest(b"ada"), digest);
}

#[tokio::test]
async fn wrapped_keys_cannot_be_swapped_or_read_under_another_kek() {
    let site = Site::new().await;
    let keyring = site.keyring(&[1], 300).await;
    let (id, _) = keyring.ensure(account(1)).await.unwrap();
    keyring.ensure(account(2)).await.unwrap();
    let stranger = site.keyring(&[9], 300).await;
    assert_eq!(stranger.get(id).await.unwrap_err().kind, ProblemKind::Internal);

    let (one, two) = (account(1), account(2));
    site.sql(&format!(
        "UPDATE veza.keyring a SET wrapped = b.wrapped FROM veza.keyring b \
         WHERE a.account = '{one}' AND b.account = '{two}'"
    ))
    .await;
    let reader = site.keyring(&[1], 300).await;
    assert_eq!(reader.get(id).await.unwrap_err().kind, ProblemKind::Internal);
}

//! Files in a real object store, under keys in a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use futures::StreamExt;
use s3::creds::Credentials;
use s3::{Bucket, Region};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use veza_events::AccountId;
use veza_platform::ambient;
use veza_platform::blobs::{BlobError, Blobs, create_bucket};
use veza_platform::config::{KeysConfig, PostgresConfig, S3Config, Secret, ServiceUrl};
use veza_platform::keyring::{Keks, Keyring};
use veza_platform::lifecycle::Lifecycle;
use veza_platform::telemetry::Metrics;
use veza_testkit::{TestFolder, TestS3, fresh_database};

struct Site {
    s3: TestS3,
    url: String,
    config: S3Config,
    keys: KeysConfig,
    _folder: TestFolder,
}

impl Site {
    async fn start() -> Self {
        let (s3, url, folder) = (TestS3::start().await, fresh_database().await, TestFolder::new());
        veza_migrations::migrate(&url).await.unwrap();
        let kek = folder.path().join("kek");
        Keks::create_file(&kek).unwrap();
        let config = S3Config {
            endpoint: s3.url(),
            access_key: Secret::new(s3.access_key()),
            secret_key: Secret::new(s3.secret_key()),
            request_timeout_ms: 10_000,
            max_tries: 2,
            ..S3Config::default()
        };
        create_bucket(&config).await.unwrap();
        create_bucket(&config).await.unwrap();
        Self {
            s3,
            url,
            config,
            keys: KeysConfig {
                kek_file: Some(kek),
                ..KeysConfig::default()
            },
            _folder: folder,
        }
    }

    async fn db(&self) -> DatabaseConnection {
        let config = PostgresConfig {
            url: ServiceUrl::new(&self.url),
            acquire_timeout_ms: 10_000,
            ..PostgresConfig::default()
        };
        veza_platform::postgres::connect(&config, "test").await.unwrap()
    }

    /// A role that remembers no key yet.
    async fn blobs(&self) -> Blobs {
        let keys = Keyring::open(self.db().await, &self.keys).unwrap();
        Blobs::open(&self.config, keys, &Metrics::new(), &Lifecycle::default(), "test").unwrap()
    }

    /// The store as whoever copies its disk sees it.
    fn raw(&self) -> Box<Bucket> {
        let region = Region::Custom {
            region: self.config.region.clone(),
            endpoint: self.config.endpoint.clone(),
        };
        let (access, secret) = (self.s3.access_key(), self.s3.secret_key());
        let credentials = Credentials::new(Some(access), Some(secret), None, None, None).unwrap();
        Bucket::new(&self.config.bucket, region, credentials)
            .unwrap()
            .with_path_style()
    }
}

fn person() -> AccountId {
    AccountId::new(ambient::new_uuid())
}

/// Bytes that tell where they are.
fn content(size: usize) -> Vec<u8> {
    (0..size)
        .map(|at| u8::try_from((at / 7 + at / 4_096) % 251).unwrap())
        .collect()
}

async fn read(blobs: &Blobs, name: &str, size: usize, range: std::ops::Range<u64>) -> Vec<u8> {
    let reader = blobs.reader(name, size as u64).await.unwrap();
    let parts: Vec<_> = reader.read(range).collect().await;
    parts
        .into_iter()
        .map(|part| part.unwrap())
        .collect::<Vec<_>>()
        .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_back_whole_and_in_any_part() {
    let site = Site::start().await;
    let (blobs, owner) = (site.blobs().await, person());
    for size in [0, 1, 65_535, 65_536, 65_537, 20_000_001] {
        let (name, clear) = (format!("files/{size}"), content(size));
        let mut writer = blobs.writer(&name, owner).await.unwrap();
        for piece in clear.chunks(100_000) {
            writer.write(piece).await.unwrap();
        }
        assert_eq!(writer.finish().await.unwrap(), size as u64);
        let end = size as u64;
        assert!(read(&blobs, &name, size, 0..end).await == clear, "{size}");
        for (from, to) in [
            (0, 1),
            (65_530, 65_540),
            (1_000_000, 9_000_000),
            (end.saturating_sub(3), end + 9),
        ] {
            let (begin, stop) = (from.min(end), to.min(end).max(from.min(end)));
            let part = &clear[usize::try_from(begin).unwrap()..usize::try_from(stop).unwrap()];
            assert!(
                read(&blobs, &name, size, from..to).await == part,
                "{size}: {from}..{to}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_sees_no_clear_byte_and_can_change_none() {
    let site = Site::start().await;
    let (blobs, raw) = (site.blobs().await, site.raw());
    let clear = b"a secret of some length, ".repeat(8_000);
    blobs.put("files/one", person(), &clear).await.unwrap();
    let mut stored = raw.get_object("files/one").await.unwrap().to_vec();
    assert!(!stored.windows(8).any(|window| window == b"a secret"));
    let outcome = async |stored: &[u8], name: &str| {
        raw.put_object(name, stored).await.unwrap();
        let reader = blobs.reader(name, clear.len() as u64).await?;
        reader.read_all().await
    };
    assert!(outcome(&stored, "files/one").await.unwrap() == clear);
    assert!(matches!(
        outcome(&stored, "files/two").await,
        Err(BlobError::Damaged)
    ));
    stored[100_000] ^= 1;
    assert!(matches!(
        outcome(&stored, "files/one").await,
        Err(BlobError::Damaged)
    ));
    stored[100_000] ^= 1;
    stored.truncate(150_000);
    assert!(matches!(
        outcome(&stored, "files/one").await,
        Err(BlobError::Damaged)
    ));
    assert!(matches!(
        outcome(
            b"GIF89a and so on, which is no file of ours at all.............",
            "files/one"
        )
        .await,
        Err(BlobError::Damaged)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_leaves_nothing_to_read() {
    let site = Site::start().await;
    let owner = person();
    site.blobs().await.put("files/mine", owner, b"me").await.unwrap();
    let sql = format!(
        "UPDATE veza.keyring SET wrapped = NULL WHERE account = '{}'",
        owner.uuid()
    );
    site.db().await.execute_unprepared(&sql).await.unwrap();
    let blobs = site.blobs().await;
    assert!(matches!(
        blobs.reader("files/mine", 2).await,
        Err(BlobError::KeyGone)
    ));
    blobs.delete("files/mine").await.unwrap();
    blobs.delete("files/mine").await.unwrap();
    assert!(matches!(
        blobs.reader("files/mine", 2).await,
        Err(BlobError::Absent)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_said_so_and_comes_back() {
    let mut site = Site::start().await;
    let (blobs, owner) = (site.blobs().await, person());
    blobs.put("files/a", owner, b"before").await.unwrap();
    let mut broken = blobs.writer("files/broken", owner).await.unwrap();
    broken.write(&content(9_000_000)).await.unwrap();
    site.s3.stop().await;
    assert!(matches!(
        blobs.reader("files/a", 6).await,
        Err(BlobError::Unavailable(_))
    ));
    assert!(matches!(
        broken.write(&content(9_000_000)).await,
        Err(BlobError::Unavailable(_))
    ));
    drop(broken);
    site.s3.restart().await.unwrap();
    let read = blobs
        .reader("files/a", 6)
        .await
        .unwrap()
        .read_all()
        .await
        .unwrap();
    assert_eq!(read, b"before");
    assert!(matches!(
        blobs.reader("files/broken", 18_000_000).await,
        Err(BlobError::Absent)
    ));
}

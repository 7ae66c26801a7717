//! An installation for one test: log, keys, tables, cache, and any number of projectors.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use fred::interfaces::{ClientLike, KeysInterface};
use futures::TryStreamExt;
use veza_events::Shards;
use veza_platform::config::{Config, Profile, Secret, ServiceUrl};
use veza_platform::event_log::{EventLog, LogOptions, StreamsSpec};
use veza_platform::keyring::{Keks, Keyring};
use veza_platform::runtime::Runtime;
use veza_projector::workload::{Community, Fact, Scribe};
use veza_readmodel::{PostgresOptions, ReadMetrics, ReadModel, ReadOptions};
use veza_testkit::{TestFolder, TestNats, TestPostgres, TestRedis};

/// Whatever is waited for must come within this.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) struct Site {
    pub(crate) nats: TestNats,
    pub(crate) postgres: TestPostgres,
    pub(crate) redis: TestRedis,
    pub(crate) log: EventLog,
    pub(crate) keys: Keyring,
    pub(crate) scribe: Scribe,
    pub(crate) client: async_nats::Client,
    kek: PathBuf,
    _folder: TestFolder,
}

/// A running projector.
pub(crate) struct Projector(pub(crate) Runtime);

impl Site {
    pub(crate) async fn new() -> Self {
        let (nats, postgres, redis) =
            tokio::join!(TestNats::start(), TestPostgres::start(), TestRedis::start());
        veza_migrations::migrate(&postgres.url()).await.unwrap();
        let folder = TestFolder::new();
        let kek = folder.path().join("kek");
        Keks::create_file(&kek).unwrap();
        let config = config(&nats, &postgres, &redis, &kek);
        let rt = Runtime::new(config.clone());
        let client = veza_platform::nats::connect(&config.nats, "test", &rt.lifecycle.soft)
            .await
            .unwrap();
        let log = EventLog::connect(client.clone(), LogOptions::new(&config.nats, &rt.lifecycle));
        log.apply(&StreamsSpec::builtin()).await.unwrap();
        let db = veza_platform::postgres::connect(&config.postgres, "test")
            .await
            .unwrap();
        let keys = Keyring::open(db, &config.keys).unwrap();
        let scribe = Scribe::new(log.clone(), keys.clone());
        Self {
            nats,
            postgres,
            redis,
            log,
            keys,
            scribe,
            client,
            kek,
            _folder: folder,
        }
    }

    pub(crate) fn config(&self) -> Config {
        config(&self.nats, &self.postgres, &self.redis, &self.kek)
    }

    /// Starts a projector, and waits until it owns or stands by.
    pub(crate) async fn projector(&self) -> Projector {
        self.projector_with(self.config()).await
    }

    pub(crate) async fn projector_with(&self, config: Config) -> Projector {
        let rt = Runtime::new(config);
        rt.run_role("projector", veza_projector::run);
        rt.health.ready(SOON).await.unwrap();
        Projector(rt)
    }

    pub(crate) async fn bench(&self) -> veza_projector::projection::Workbench {
        veza_projector::projection::Workbench::open(&Runtime::new(self.config()))
            .await
            .unwrap()
    }

    /// The read models as a door has them.
    pub(crate) async fn reader(&self, cached: bool) -> ReadModel {
        let config = self.config();
        let cache = veza_projector::cache_options(&config);
        let options = ReadOptions {
            shards: shards(),
            postgres: PostgresOptions {
                url: self.postgres.url(),
                max_connections: 4,
                acquire_timeout: Duration::from_secs(2),
                statement_timeout: Duration::from_secs(5),
            },
            cache: cached.then_some(cache),
        };
        ReadModel::connect(options, ReadMetrics::default()).await.unwrap()
    }

    /// A community that is written to the log, without messages.
    pub(crate) async fn community(&self) -> Community {
        let community = Community::new(shards());
        self.scribe.write(community.people_facts()).await.unwrap();
        self.scribe.write(community.structure()).await.unwrap();
        community
    }

    /// Writes messages into the first room; returns the sequence of the last.
    pub(crate) async fn say(&self, community: &Community, bodies: &[&str]) -> u64 {
        let says = |body: &&str| community.says(community.people[0], community.rooms[0], body);
        let facts: Vec<Fact> = bodies.iter().map(says).collect();
        self.scribe.write(facts).await.unwrap()
    }

    /// Waits until the tables have everything that the log has.
    pub(crate) async fn caught_up(&self) {
        let reader = self.reader(false).await;
        for stream in self.log.streams() {
            let head = self.log.head(&stream).await.unwrap();
            eventually(&format!("{stream} at {head}"), async || {
                reader
                    .wait_for(stream.as_str(), head, Duration::from_secs(1))
                    .await
                    .is_ok()
            })
            .await;
        }
    }

    pub(crate) async fn hashes(&self, schema: &str) -> BTreeMap<String, String> {
        veza_projector::projection::table_hashes(&self.postgres.url(), schema)
            .await
            .unwrap()
    }

    pub(crate) async fn sql(&self, statement: &str) -> String {
        self.postgres
            .sql("veza", statement)
            .await
            .unwrap()
            .trim()
            .to_owned()
    }

    /// A client of the cache, for looking at it.
    pub(crate) async fn cache(&self) -> fred::clients::Client {
        let client =
            fred::prelude::Builder::from_config(fred::prelude::Config::from_url(&self.redis.url()).unwrap())
                .build()
                .unwrap();
        client.init().await.unwrap();
        client
    }

    /// Keys of the cache like `pattern`.
    pub(crate) async fn cached(&self, pattern: &str) -> usize {
        let client = self.cache().await;
        let keys = client
            .scan_buffered(pattern, Some(1_000), None)
            .try_collect::<Vec<_>>()
            .await;
        keys.unwrap_or_default().len()
    }

    /// Waits until the cache of the first shard is in force at the position of the tables.
    pub(crate) async fn cache_in_force(&self) {
        let client = self.cache().await;
        let head = self.log.head(&"SPACES_0".into()).await.unwrap();
        eventually("the cache follows", async || {
            let generation: Option<String> = client.get("c:{SPACES_0}:g").await.unwrap_or(None);
            let Some(generation) = generation else {
                return false;
            };
            let position: Option<u64> = client
                .get(format!("c:{{SPACES_0}}:{generation}:p"))
                .await
                .unwrap_or(None);
            position == Some(head)
        })
        .await;
    }
}

impl Projector {
    /// A counter or gauge, summed over the streams.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let text = self.0.metrics.encode();
        let values = text
            .lines()
            .filter(|line| line.starts_with(name))
            .filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.parse::<i64>().unwrap()).sum()
    }

    pub(crate) async fn stop(&self) {
        self.0.lifecycle.drain(SOON).await.unwrap();
    }

    /// As if the process had died: nothing is finished, nothing is given back.
    pub(crate) async fn kill(&self) {
        self.0.lifecycle.hard.cancel();
        let _ = self.0.lifecycle.drain(Duration::ZERO).await;
    }
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + SOON;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn shards() -> Shards {
    Shards::new(1)
}

fn config(nats: &TestNats, postgres: &TestPostgres, redis: &TestRedis, kek: &std::path::Path) -> Config {
    let mut config = Config {
        profile: Profile::Development,
        ..Config::default()
    };
    config.nats.url = ServiceUrl::new(nats.url());
    config.postgres.url = ServiceUrl::new(postgres.url());
    config.redis.url = ServiceUrl::new(redis.url());
    config.keys.kek_file = Some(kek.to_owned());
    config.projector.max_retry_delay_ms = 500;
    config.projector.lock_retry_ms = 50;
    config.s3.access_key = Secret::new("unused");
    config
}

//! Real servers for tests, on free ports. None survives the test process.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::OnceCell;
use veza_servers::{
    Nats, NatsCluster, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions, S3, S3Options,
    ServerError, Tools,
};

use crate::certificates::TestCertificates;
use crate::folder::{TestFolder, kept};

/// A server on a folder of its own, for tests that need a clean one or want to kill it. Both end with this value.
#[derive(Debug)]
pub struct OnFolder<S> {
    // Dropped in this order: the server lets go of the folder first.
    server: S,
    _folder: TestFolder,
}

/// A nats-server with an empty log: about 50 ms.
pub type TestNats = OnFolder<Nats>;
/// Several nats-servers that replicate: about 300 ms.
pub type TestCluster = OnFolder<NatsCluster>;
/// A PostgreSQL of one's own: about 200 ms. Most tests are content with a [`fresh_database`].
pub type TestPostgres = OnFolder<Postgres>;
/// An empty Redis: about 50 ms.
pub type TestRedis = OnFolder<Redis>;
/// An empty S3 server: four to eight seconds.
pub type TestS3 = OnFolder<S3>;

impl TestNats {
    /// Starts one.
    pub async fn start() -> Self {
        let folder = TestFolder::new();
        let options = NatsOptions {
            dir: folder.path().into(),
            ..NatsOptions::default()
        };
        Self {
            server: started(Nats::start(&Tools::find(), options).await),
            _folder: folder,
        }
    }

    /// Starts `size` nodes that replicate among themselves.
    pub async fn cluster(size: usize) -> TestCluster {
        let folder = TestFolder::new();
        TestCluster {
            server: started(NatsCluster::start(&Tools::find(), folder.path(), size).await),
            _folder: folder,
        }
    }
}

impl TestPostgres {
    /// Starts one. It does not flush to disk: a kill loses nothing, a power cut would.
    pub async fn start() -> Self {
        let folder = TestFolder::new();
        let options = PostgresOptions {
            dir: folder.path().join("pg"),
            port: None,
            throwaway: Some(kept()),
        };
        Self {
            server: started(Postgres::start(&Tools::find(), options).await),
            _folder: folder,
        }
    }
}

impl TestRedis {
    /// Starts one.
    pub async fn start() -> Self {
        let folder = TestFolder::new();
        Self::start_in(folder, None).await
    }

    /// Starts one that speaks TLS, too.
    pub async fn start_tls(certificates: &TestCertificates) -> Self {
        let tls = (certificates.certificate(), certificates.key());
        Self::start_in(TestFolder::new(), Some(tls)).await
    }

    async fn start_in(folder: TestFolder, tls: Option<(PathBuf, PathBuf)>) -> Self {
        let options = RedisOptions {
            dir: folder.path().into(),
            port: None,
            tls,
        };
        Self {
            server: started(Redis::start(&Tools::find(), options).await),
            _folder: folder,
        }
    }
}

impl TestS3 {
    /// Starts one.
    pub async fn start() -> Self {
        let folder = TestFolder::new();
        Self::start_in(folder, None).await
    }

    /// Starts one that speaks TLS, too.
    pub async fn start_tls(certificates: &TestCertificates) -> Self {
        let tls = (certificates.certificate(), certificates.key());
        Self::start_in(TestFolder::new(), Some(tls)).await
    }

    async fn start_in(folder: TestFolder, tls: Option<(PathBuf, PathBuf)>) -> Self {
        let options = S3Options {
            dir: folder.path().into(),
            port: None,
            tls,
        };
        Self {
            server: started(S3::start(&Tools::find(), options).await),
            _folder: folder,
        }
    }
}

impl<S> Deref for OnFolder<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.server
    }
}

impl<S> DerefMut for OnFolder<S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.server
    }
}

/// The servers that all tests of one process share.
#[derive(Debug)]
pub struct Servers {
    /// One node.
    pub nats: TestNats,
    /// Give each test a [`fresh_database`] of it.
    pub postgres: &'static TestPostgres,
    /// One Redis.
    pub redis: TestRedis,
}

/// The shared servers, started when first asked for.
pub async fn servers() -> &'static Servers {
    static SERVERS: OnceCell<Servers> = OnceCell::const_new();
    let start = async || {
        let (nats, postgres, redis) = tokio::join!(TestNats::start(), postgres(), TestRedis::start());
        Servers {
            nats,
            postgres,
            redis,
        }
    };
    SERVERS.get_or_init(start).await
}

/// The address of a new, empty database on the shared PostgreSQL.
pub async fn fresh_database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let postgres = postgres().await;
    match COUNT.fetch_add(1, Ordering::Relaxed) {
        // The server comes with an empty one; most tests need no more.
        0 => postgres.url(),
        count => {
            let name = format!("test_{count}");
            started(postgres.create_database(&name).await);
            postgres.url_of(&name)
        }
    }
}

async fn postgres() -> &'static TestPostgres {
    static POSTGRES: OnceCell<TestPostgres> = OnceCell::const_new();
    POSTGRES.get_or_init(TestPostgres::start).await
}

/// In the words that a user would read, and not those of `Debug`.
fn started<T>(result: Result<T, ServerError>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

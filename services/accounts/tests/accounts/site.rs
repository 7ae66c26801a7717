//! Workers on servers of their own, and people who use them.

use std::time::{Duration, Instant};

use veza_events::{AccountId, CommandId, SessionId, Shards};
use veza_platform::bus::Bus;
use veza_platform::config::{Config, Secret, ServiceUrl};
use veza_platform::contract::accounts::{EndSession, Refresh, Register, Registered, SignIn, SignedIn};
use veza_platform::contract::{Caller, Command, Problem, ProblemKind, Sensitive};
use veza_platform::event_log::{EventLog, LogOptions, StreamsSpec};
use veza_platform::keyring::Keks;
use veza_platform::lifecycle::Lifecycle;
use veza_platform::runtime::Runtime;
use veza_platform::tokens::{Claims, Parties, TokenError, Verifier};
use veza_platform::{ambient, nats};
use veza_testkit::{TestCluster, TestFolder, TestNats, fresh_database};

/// Whatever is waited for must come within this, also on a busy machine.
pub(crate) const SOON: Duration = Duration::from_mins(1);
pub(crate) const PASSWORD: &str = "a long enough phrase";

pub(crate) struct Site {
    pub(crate) log: EventLog,
    pub(crate) verifier: Verifier,
    bus: Bus,
    workers: Vec<Runtime>,
    lifecycle: Lifecycle,
    _nats: Nats,
    _folder: TestFolder,
}

/// One node or three.
enum Nats {
    One(Box<TestNats>),
    Three(TestCluster),
}

impl Site {
    /// One worker.
    pub(crate) async fn new() -> Self {
        Self::with(1, &fresh_database().await, |_| {}).await
    }

    /// Several workers on the database at `postgres`, configured by `change`.
    pub(crate) async fn with(workers: usize, postgres: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::on(
            Nats::One(Box::new(TestNats::start().await)),
            workers,
            postgres,
            change,
        )
        .await
    }

    /// Two workers on three nodes that replicate.
    pub(crate) async fn on_three_nodes() -> Self {
        let nodes = Nats::Three(TestNats::cluster(3).await);
        let three = |config: &mut Config| config.nats.replicas = 3;
        Self::on(nodes, 2, &fresh_database().await, three).await
    }

    async fn on(server: Nats, workers: usize, postgres: &str, change: impl FnOnce(&mut Config)) -> Self {
        let folder = TestFolder::new();
        let mut config = config(&server, postgres, &folder);
        change(&mut config);
        veza_migrations::migrate(postgres).await.unwrap();
        let lifecycle = Lifecycle::default();
        let client = nats::connect(&config.nats, "test", &lifecycle.soft)
            .await
            .unwrap();
        let log = EventLog::connect(client.clone(), LogOptions::new(&config.nats, &lifecycle));
        log.apply(&StreamsSpec::builtin()).await.unwrap();
        let site = Self {
            verifier: Verifier::start(&log, Parties::of(&config), &lifecycle),
            log,
            bus: Bus::new(client, Shards::new(1), Duration::from_secs(30)),
            workers: (0..workers).map(|_| Runtime::new(config.clone())).collect(),
            lifecycle,
            _nats: server,
            _folder: folder,
        };
        for worker in &site.workers {
            worker.run_role("accounts", veza_accounts::run);
            worker.health.ready(SOON).await.unwrap();
        }
        site.serving().await;
        site
    }

    /// Waits until somebody answers.
    async fn serving(&self) {
        let nobodys = EndSession {
            session: ambient::new_uuid().into(),
        };
        let deadline = Instant::now() + SOON;
        while self.give(&caller(), &nobodys).await.unwrap_err().kind == ProblemKind::Unavailable {
            assert!(Instant::now() < deadline, "no worker answers");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.until(|| self.verifier.is_ready()).await;
    }

    pub(crate) async fn give<C: Command>(&self, caller: &Caller, command: &C) -> Result<C::Reply, Problem> {
        self.bus.accounts(caller, command).await
    }

    /// Password hashes computed so far by the only worker.
    pub(crate) fn hashes(&self) -> u64 {
        let metrics = self.workers[0].metrics.encode();
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("veza_accounts_hashes_total "));
        line.unwrap().parse().unwrap()
    }

    pub(crate) async fn until(&self, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + SOON;
        while !condition() {
            assert!(Instant::now() < deadline, "it did not come");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn register(&self, name: &str) -> Registered {
        self.give(&caller(), &registration(name)).await.unwrap()
    }

    pub(crate) async fn sign_in(&self, login: &str) -> SignedIn {
        self.give(&caller(), &signing_in(login, PASSWORD)).await.unwrap()
    }

    pub(crate) async fn refresh(&self, token: &Sensitive) -> Result<SignedIn, Problem> {
        let refresh_token = token.clone();
        self.give(&caller(), &Refresh { refresh_token }).await
    }

    pub(crate) fn verify(&self, signed_in: &SignedIn) -> Result<Claims, TokenError> {
        self.verifier
            .verify(signed_in.access_token.expose(), ambient::now())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.lifecycle.soft.cancel();
        }
        self.lifecycle.soft.cancel();
    }
}

fn config(server: &Nats, postgres: &str, folder: &TestFolder) -> Config {
    let mut config = Config::default();
    let url = match server {
        Nats::One(node) => node.url(),
        Nats::Three(nodes) => nodes.url(),
    };
    let address: async_nats::ServerAddr = url.split(',').next().unwrap().parse().unwrap();
    address.username().unwrap().clone_into(&mut config.nats.user);
    config.nats.password = Secret::new(address.password().unwrap());
    config.nats.url = ServiceUrl::new(url);
    config.postgres.url = ServiceUrl::new(postgres);
    config.postgres.acquire_timeout_ms = 10_000;
    let file = folder.path().join("kek");
    Keks::create_file(&file).unwrap();
    config.keys.kek_file = Some(file);
    config.accounts.argon2_memory_kib = 64;
    config.accounts.argon2_iterations = 1;
    config
}

/// Somebody who is not signed in, with a fresh command.
pub(crate) fn caller() -> Caller {
    Caller {
        command: CommandId::new(ambient::new_uuid()),
        account: None,
        session: None,
        seen: None,
    }
}

/// Somebody who is signed in, with a fresh command.
pub(crate) fn signed_in(account: AccountId, session: SessionId) -> Caller {
    Caller {
        account: Some(account),
        session: Some(session),
        ..caller()
    }
}

pub(crate) fn registration(name: &str) -> Register {
    Register {
        handle: name.to_owned(),
        email: format!("{name}@example.org"),
        password: Sensitive::new(PASSWORD),
        display_name: None,
    }
}

pub(crate) fn signing_in(login: &str, password: &str) -> SignIn {
    SignIn {
        login: login.to_owned(),
        password: Sensitive::new(password),
        device: Some("a test".to_owned()),
    }
}

pub(crate) fn code<T>(result: Result<T, Problem>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(problem) => problem.code,
    }
}

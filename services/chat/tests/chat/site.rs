//! An installation as far as chat workers see it: NATS, the keyring, and people who give commands.

use std::{future::Future, path::PathBuf, time::Duration};

use sea_orm::Database;
use tokio::time::{Instant, sleep};
use veza_events::{
    AccountId, CommandId, Event, RoomId, Shards, SpaceId,
    member::{Membership, Standing},
    room::{Mentions, MessagePosted, RoomEvent},
};
use veza_platform::{
    ambient,
    bus::Bus,
    config::{Config, KeysConfig, NatsConfig, PostgresConfig, ServiceUrl},
    contract::{
        Caller, Command, Problem, ProblemKind,
        chat::{
            AcceptInvite, Access, CreateInvite, CreateSpace, GetAccess, InSpace, InviteCreated, Post, Posted,
            Preset, SpaceCreated,
        },
    },
    event_log::{EventLog, LogOptions, Record, StreamName, StreamsSpec},
    invite_code,
    keyring::{Keks, Keyring},
    ledger::{Ledger, Recorded},
    lifecycle::Lifecycle,
    nats,
    runtime::Runtime,
};
use veza_testkit::{TestCluster, TestFolder, TestNats, TestPostgres};

/// Whatever is waited for must come within this.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) enum Nats {
    One(Box<TestNats>),
    Three(Box<TestCluster>),
}

impl Nats {
    fn url(&self) -> String {
        match self {
            Self::One(node) => node.url(),
            Self::Three(nodes) => nodes.url(),
        }
    }

    fn replicas(&self) -> u32 {
        match self {
            Self::One(_) => 1,
            Self::Three(_) => 3,
        }
    }
}

pub(crate) struct Site {
    pub(crate) nats: Nats,
    pub(crate) postgres: TestPostgres,
    pub(crate) ledger: Ledger,
    pub(crate) bus: Bus,
    config: Config,
    _folder: TestFolder,
}

/// A running worker.
pub(crate) struct Worker {
    pub(crate) rt: Runtime,
    role: Lifecycle,
}

/// An account that gives commands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person(pub(crate) AccountId);

/// A space with one room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    pub(crate) space: SpaceId,
    pub(crate) room: RoomId,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::on(Nats::One(Box::new(TestNats::start().await))).await
    }

    pub(crate) async fn clustered() -> Self {
        Self::on(Nats::Three(Box::new(TestNats::cluster(3).await))).await
    }

    async fn on(nats: Nats) -> Self {
        let (folder, postgres) = (TestFolder::new(), TestPostgres::start().await);
        veza_migrations::migrate(&postgres.url()).await.unwrap();
        let config = config(&nats, &postgres, folder.path().join("kek"));
        let client = nats::connect(&config.nats, "test", &Lifecycle::default().soft)
            .await
            .unwrap();
        let log = EventLog::connect(
            client.clone(),
            LogOptions::new(&config.nats, &Lifecycle::default()),
        );
        log.apply(&StreamsSpec::builtin()).await.unwrap();
        let db = Database::connect(postgres.url()).await.unwrap();
        let keys = Keyring::open(db, &config.keys).unwrap();
        let bus = Bus::new(client, Shards::new(1), Duration::from_secs(10));
        Self {
            nats,
            postgres,
            ledger: Ledger::new(log, keys, "veza/test"),
            bus,
            config,
            _folder: folder,
        }
    }

    /// Starts one more worker and waits until it serves.
    pub(crate) async fn worker(&self) -> Worker {
        self.worker_with(|_| {}).await
    }

    pub(crate) async fn worker_with(&self, change: impl FnOnce(&mut Config)) -> Worker {
        let mut config = self.config.clone();
        change(&mut config);
        let rt = Runtime::new(config);
        let role = rt.run_role("chat", veza_chat::run);
        rt.health.ready(SOON).await.unwrap();
        let nobody = Person(ambient::new_uuid().into());
        nobody
            .patiently(
                self,
                &GetAccess {
                    space: ambient::new_uuid().into(),
                },
            )
            .await
            .unwrap();
        Worker { rt, role }
    }

    /// Somebody with an account, as far as the keyring knows.
    pub(crate) async fn person(&self) -> Person {
        let account = ambient::new_uuid().into();
        self.ledger.keys().ensure(account).await.unwrap();
        Person(account)
    }

    /// A space of `owner` in which everybody else is.
    pub(crate) async fn home(&self, preset: Preset, owner: Person, others: &[Person]) -> Home {
        let SpaceCreated { space, room, .. } = owner.create_space(self, preset).await;
        let home = Home { space, room };
        let code = owner.invite(self, home, None).await.unwrap().code;
        for other in others {
            other.accept(self, &code).await.unwrap();
        }
        home
    }

    /// Every record of the spaces, in order.
    pub(crate) async fn records(&self) -> Vec<Record> {
        let (log, stream) = (self.ledger.log(), StreamName::spaces(0));
        let head = log.head(&stream).await.unwrap();
        let mut records: Vec<Record> = Vec::new();
        while records.last().map_or(0, |last| last.position.seq) < head {
            let after = records.last().map_or(0, |last| last.position.seq);
            // Any replica answers, and it may be behind.
            records.extend(
                log.page(&stream, after, 1_000, None, Some(head))
                    .await
                    .unwrap()
                    .records,
            );
        }
        records
    }

    /// Every event of the spaces, in order, opened.
    pub(crate) async fn events(&self) -> Vec<Recorded> {
        let mut events = Vec::new();
        for record in self.records().await {
            events.push(self.ledger.read(record).await.unwrap());
        }
        events
    }

    pub(crate) async fn messages(&self) -> Vec<MessagePosted> {
        let message = |recorded: Recorded| match recorded.event {
            Event::Room(RoomEvent::MessagePosted(message)) => Some(message),
            _ => None,
        };
        self.events().await.into_iter().filter_map(message).collect()
    }
}

fn config(nats: &Nats, postgres: &TestPostgres, kek: PathBuf) -> Config {
    Keks::create_file(&kek).unwrap();
    Config {
        nats: NatsConfig {
            url: ServiceUrl::new(nats.url()),
            replicas: nats.replicas(),
            ..NatsConfig::default()
        },
        postgres: PostgresConfig {
            url: ServiceUrl::new(postgres.url()),
            ..PostgresConfig::default()
        },
        keys: KeysConfig {
            kek_file: Some(kek),
            ..KeysConfig::default()
        },
        ..Config::default()
    }
}

impl Worker {
    /// Lets it finish what is under way, and ends it.
    pub(crate) async fn stop(self) {
        self.role.drain(SOON).await.unwrap();
    }

    /// The value of one line of its metrics, 0 while there is none.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.rt.metrics.encode();
        let value = text.lines().find_map(|found| found.strip_prefix(line));
        value.map_or(0.0, |value| value.trim().parse().unwrap())
    }
}

impl Person {
    pub(crate) fn caller(self) -> Caller {
        Caller {
            command: CommandId::new(ambient::new_uuid()),
            account: Some(self.0),
            session: None,
            seen: None,
        }
    }

    /// Gives a command once.
    pub(crate) async fn ask<C: Command + InSpace>(
        self,
        site: &Site,
        command: &C,
    ) -> Result<C::Reply, Problem> {
        site.bus.chat(&self.caller(), command).await
    }

    /// Gives the same command again until somebody is there to take it.
    pub(crate) async fn patiently<C: Command + InSpace>(
        self,
        site: &Site,
        command: &C,
    ) -> Result<C::Reply, Problem> {
        let caller = self.caller();
        let deadline = Instant::now() + SOON;
        loop {
            match site.bus.chat(&caller, command).await {
                Err(problem) if problem.kind == ProblemKind::Unavailable && Instant::now() < deadline => {
                    sleep(Duration::from_millis(20)).await;
                }
                outcome => return outcome,
            }
        }
    }

    pub(crate) async fn create_space(self, site: &Site, preset: Preset) -> SpaceCreated {
        let caller = self.caller();
        let space = caller.command.derive(self.0.uuid(), "space");
        site.bus
            .chat(
                &caller,
                &CreateSpace {
                    space,
                    name: "home".into(),
                    preset,
                },
            )
            .await
            .unwrap()
    }

    pub(crate) async fn invite(
        self,
        site: &Site,
        home: Home,
        max_uses: Option<u32>,
    ) -> Result<InviteCreated, Problem> {
        self.ask(
            site,
            &CreateInvite {
                space: home.space,
                max_uses,
                expires_at: None,
            },
        )
        .await
    }

    pub(crate) async fn accept(self, site: &Site, code: &str) -> Result<(), Problem> {
        let code = invite_code::decode(code).unwrap();
        self.ask(
            site,
            &AcceptInvite {
                space: code.space,
                digest: code.digest,
            },
        )
        .await
        .map(drop)
    }

    pub(crate) async fn say(self, site: &Site, home: Home, body: &str) -> Result<Posted, Problem> {
        self.ask(site, &post(home, body)).await
    }

    pub(crate) async fn access(self, site: &Site, space: SpaceId) -> Access {
        self.ask(site, &GetAccess { space }).await.unwrap()
    }
}

pub(crate) fn post(home: Home, body: &str) -> Post {
    Post {
        space: home.space,
        room: home.room,
        body: body.into(),
        reply_to: None,
        attachments: Vec::new(),
        mentions: Mentions::default(),
    }
}

/// The code of a refusal.
#[track_caller]
pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, Problem>) -> String {
    outcome.expect_err("a refusal").code
}

/// Waits until `probe` gives something.
pub(crate) async fn within<T, F: Future<Output = Option<T>>>(
    limit: Duration,
    mut probe: impl FnMut() -> F,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not so within {limit:?}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// What the log must never hold: a message of somebody who at that place of it was not in, or muted.
pub(crate) fn assert_fenced(events: &[Recorded]) {
    let mut members = std::collections::HashMap::<(SpaceId, AccountId), Membership>::new();
    for recorded in events {
        match &recorded.event {
            Event::Member(event) => {
                members.insert(event.of(), event.membership().clone());
            }
            Event::Room(RoomEvent::MessagePosted(message)) => {
                let author = &members[&(message.space, message.author)];
                let allowed = author.standing == Standing::Joined && !author.muted;
                assert!(allowed, "{} passed {author:?}", recorded.position);
            }
            _ => {}
        }
    }
}

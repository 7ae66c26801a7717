//! A gateway, the NATS behind it, and workers that answer as told.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::ServerAddr;
use serde_json::Value;
use uuid::Uuid;
use veza_events::{AccountId, MessageId, Permissions, RoomId, SessionId, SpaceId, Subject, space::RoomKind};
use veza_platform::ambient;
use veza_platform::bus::{self, BusMetrics, Router, ServeOptions};
use veza_platform::config::{Config, Profile, ServiceUrl};
use veza_platform::contract::chat::{
    Access, ChangeRoom, Changed, CreateRoom, GetAccess, Post, Posted, RoomCreated,
};
use veza_platform::contract::{Caller, Problem};
use veza_platform::event_log::{Draft, EventLog, Expect, LogOptions, Position, StreamName, StreamsSpec};
use veza_platform::keyring::Keks;
use veza_platform::lifecycle::Lifecycle;
use veza_platform::nats;
use veza_platform::runtime::Runtime;
use veza_platform::tokens::{ACR_ONE_FACTOR, Claims, Parties, Rotation, SigningKeys};
use veza_testkit::{TestFolder, TestNats};

/// Whatever is waited for must come within this.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What the workers have been asked.
#[derive(Default)]
pub(crate) struct Worker {
    /// Who asked for accesses.
    pub(crate) asked: Mutex<Vec<AccountId>>,
    /// Who posted what.
    pub(crate) posts: Mutex<Vec<(Caller, Post)>>,
    /// What is answered to questions for accesses.
    pub(crate) access: Mutex<Option<Access>>,
}

/// Everything that a test needs.
pub(crate) struct Site {
    pub(crate) nats: TestNats,
    pub(crate) log: EventLog,
    pub(crate) worker: Arc<Worker>,
    pub(crate) keys: SigningKeys,
    pub(crate) runtime: Runtime,
    base: String,
    http: reqwest::Client,
    _folder: TestFolder,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) retry_after: Option<String>,
    pub(crate) took: Duration,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

/// A signed-in account.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) account: AccountId,
    pub(crate) session: SessionId,
    pub(crate) token: String,
}

impl Site {
    /// Starts all of it.
    pub(crate) async fn new() -> Self {
        let (nats, folder) = (TestNats::start().await, TestFolder::new());
        let config = config(&nats, &folder);
        let runtime = Runtime::new(config.clone());
        let lifecycle = Lifecycle::new("workers");
        let client = nats::connect(&config.nats, "test", &lifecycle.soft)
            .await
            .unwrap();
        let log = EventLog::connect(client.clone(), LogOptions::new(&config.nats, &lifecycle));
        log.apply(&StreamsSpec::builtin()).await.unwrap();
        let wrapping = Keks::load(&config.keys).unwrap();
        let keys = SigningKeys::open(
            &log,
            wrapping,
            Parties::of(&config),
            Rotation::of(&config.accounts),
        );
        keys.look_after().await.unwrap();
        let worker = Arc::new(Worker::default());
        serve(&client, &lifecycle, &worker);
        runtime.run_role("gateway", veza_gateway::run);
        runtime.health.ready(SOON).await.unwrap();
        Self {
            base: config.gateway.public_url.clone(),
            nats,
            log,
            worker,
            keys,
            runtime,
            http: reqwest::Client::new(),
            _folder: folder,
        }
    }

    /// Somebody with a good token.
    pub(crate) async fn person(&self) -> Person {
        self.person_until(300).await
    }

    /// Somebody whose token is good for so many seconds.
    pub(crate) async fn person_until(&self, seconds: i64) -> Person {
        let (account, session) = (
            AccountId::new(ambient::new_uuid()),
            SessionId::new(ambient::new_uuid()),
        );
        let now = ambient::now().unix_timestamp();
        let claims = Claims {
            iss: String::new(),
            aud: String::new(),
            exp: now + seconds,
            nbf: now - 600,
            iat: now - 600,
            sub: account,
            sid: session,
            ver: 0,
            acr: ACR_ONE_FACTOR.into(),
            jti: ambient::new_uuid(),
            scope: None,
        };
        let token = self.keys.issue(claims).await.unwrap();
        Person {
            account,
            session,
            token,
        }
    }

    /// A room that is in the log.
    pub(crate) async fn room(&self) -> (SpaceId, RoomId) {
        let (space, room) = (
            SpaceId::new(ambient::new_uuid()),
            RoomId::new(ambient::new_uuid()),
        );
        let opened = serde_json::json!({ "space": space, "room": room });
        self.append(&Subject::Room(0, room), &opened).await;
        (space, room)
    }

    /// Appends an event of a type that the gateway need not know.
    pub(crate) async fn append(&self, subject: &Subject, body: &Value) -> u64 {
        let draft = Draft {
            subject: subject.to_string(),
            expect: Expect::Any,
            msg_id: String::new(),
            headers: async_nats::HeaderMap::new(),
            payload: body.to_string().into(),
        };
        self.log.append(draft).await.unwrap().position.seq
    }

    /// Lets the workers answer that everybody may do everything in `room`.
    pub(crate) fn allow(&self, room: RoomId) {
        *self.worker.access.lock().unwrap() = Some(access(true, room));
    }

    /// Makes a request.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        person: Option<&Person>,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let begun = Instant::now();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(person) = person {
            request = request.bearer_auth(&person.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let retry_after = answer
            .headers()
            .get("retry-after")
            .map(|value| value.to_str().unwrap().to_owned());
        Answer {
            status: answer.status().as_u16(),
            retry_after,
            body: answer.json().await.unwrap_or_default(),
            took: begun.elapsed(),
        }
    }

    pub(crate) async fn get(&self, path: &str, person: &Person) -> Answer {
        self.ask("GET", path, Some(person), &[], None).await
    }

    /// Posts a message.
    pub(crate) async fn post(&self, room: RoomId, person: &Person, key: Option<&str>, text: &str) -> Answer {
        let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        let body = serde_json::json!({ "body": text });
        self.ask(
            "POST",
            &format!("/v1/rooms/{room}/messages"),
            Some(person),
            &headers,
            Some(body),
        )
        .await
    }
}

/// What a worker says about somebody who may do everything, or is not in.
pub(crate) fn access(joined: bool, room: RoomId) -> Access {
    Access {
        joined,
        permissions: if joined {
            Permissions::all()
        } else {
            Permissions::NONE
        },
        rooms: if joined {
            vec![(room, Permissions::all())]
        } else {
            Vec::new()
        },
        categories: Vec::new(),
        hidden: Vec::new(),
        space_seq: 0,
        member_seq: 0,
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < SOON, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Nobody listens on port 1: Postgres and Redis are away.
fn config(nats: &TestNats, folder: &TestFolder) -> Config {
    let server: ServerAddr = nats.url().parse().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let kek_file = folder.path().join("kek");
    Keks::create_file(&kek_file).unwrap();
    let mut config = Config {
        profile: Profile::Development,
        ..Config::default()
    };
    config.nats.url = ServiceUrl::new(format!("nats://{}:{}", server.host(), server.port()));
    server
        .username()
        .unwrap_or_default()
        .clone_into(&mut config.nats.user);
    config.nats.password = veza_platform::config::Secret::new(server.password().unwrap_or_default());
    config.postgres.url = ServiceUrl::new("postgres://nobody:x@127.0.0.1:1/none");
    config.redis.url = ServiceUrl::new("redis://127.0.0.1:1");
    config.keys.kek_file = Some(kek_file);
    config.gateway.listen = format!("127.0.0.1:{port}");
    config.gateway.public_url = format!("http://127.0.0.1:{port}");
    config
}

fn serve(client: &async_nats::Client, lifecycle: &Lifecycle, worker: &Arc<Worker>) {
    let router = Router::new(Arc::clone(worker))
        .on(|worker: Arc<Worker>, caller: Caller, _: GetAccess| async move {
            worker.asked.lock().unwrap().push(caller.account()?);
            let access = worker.access.lock().unwrap().clone();
            access.ok_or_else(|| Problem::unavailable("told to", 1))
        })
        .on(|worker: Arc<Worker>, caller: Caller, post: Post| async move {
            worker.posts.lock().unwrap().push((caller, post));
            let message = MessageId::new(caller.command.derive(caller.account()?.uuid(), "message"));
            Ok(Posted {
                message,
                position: position(7),
                duplicate: false,
                held: false,
            })
        })
        .on(|_, _: Caller, command: CreateRoom| async move {
            assert_eq!(command.kind, RoomKind::Voice);
            Ok(RoomCreated {
                room: RoomId::new(Uuid::from_u128(5)),
                position: position(8),
            })
        })
        .on(|_, _: Caller, _: ChangeRoom| async move {
            Ok(Changed {
                position: position(9),
            })
        });
    let (client, life) = (client.clone(), lifecycle.clone());
    let options = ServeOptions {
        name: "chat",
        subject: "cmd.chat.*.*".into(),
        concurrency: 64,
    };
    lifecycle.spawn("chat", async move {
        let metrics = BusMetrics::register(&veza_platform::telemetry::Metrics::new(), "chat");
        bus::serve(&client, &life, &metrics, options, router)
            .await
            .unwrap();
    });
}

fn position(seq: u64) -> Position {
    Position {
        stream: StreamName::spaces(0),
        seq,
    }
}

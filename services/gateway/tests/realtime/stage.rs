//! A gateway's sockets on a log of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::{EndpointExt, Route, get};
use veza_events::{AccountId, RoomId};
use veza_gateway::realtime::{Realtime, Upgrade};
use veza_gateway::{Origins, Server};
use veza_platform::config::{Config, RealtimeConfig};
use veza_platform::event_log::{EventLog, LogOptions, StreamsSpec};
use veza_platform::lifecycle::{Lifecycle, StopError};
use veza_platform::runtime::Runtime;
use veza_testkit::TestNats;

use crate::client::Client;
use crate::world::World;

/// Whatever is waited for must come within this.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    gateway: Door,
    pub(crate) nats: TestNats,
}

impl std::ops::Deref for Stage {
    type Target = Door;

    fn deref(&self) -> &Door {
        &self.gateway
    }
}

/// One gateway.
pub(crate) struct Door {
    pub(crate) world: Arc<World>,
    pub(crate) address: SocketAddr,
    pub(crate) runtime: Runtime,
    nats: String,
}

impl Stage {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// With other settings than a test needs by itself: many frames at once are allowed.
    pub(crate) async fn with(change: impl FnOnce(&mut RealtimeConfig)) -> Self {
        let nats = TestNats::start().await;
        let mut config = Config::default();
        config.gateway.listen = "127.0.0.1:0".into();
        config.gateway.max_connections_per_address = 5_000;
        config.realtime.frames_per_minute = 100_000;
        config.realtime.frame_burst = 10_000;
        config.realtime.restart_jitter_ms = 100;
        change(&mut config.realtime);
        let gateway = Door::on(nats.url(), config, None).await;
        Self { gateway, nats }
    }
}

impl Door {
    /// Another gateway on the same log, with the same settings.
    pub(crate) async fn beside(&self) -> Self {
        let config = (*self.runtime.config).clone();
        Self::on(self.nats.clone(), config, Some(Arc::clone(&self.world))).await
    }

    async fn on(nats: String, config: Config, world: Option<Arc<World>>) -> Self {
        let runtime = Runtime::new(config);
        let server: async_nats::ServerAddr = nats.parse().unwrap();
        let (user, password) = (server.username().unwrap(), server.password().unwrap());
        let client = async_nats::ConnectOptions::with_user_and_password(user.into(), password.into())
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(server)
            .await
            .unwrap();
        let options = LogOptions {
            shards: 1,
            replicas: 1,
            timeout: Duration::from_secs(5),
            lifecycle: Lifecycle::default(),
        };
        let log = EventLog::connect(client.clone(), options);
        log.apply(&StreamsSpec::builtin()).await.unwrap();
        let world = world.unwrap_or_else(|| {
            let world = World::new(log.clone());
            world.reads.start(&runtime.lifecycle);
            world
        });
        let services = Arc::<World>::clone(&world);
        let sockets = Realtime::start(&runtime, client, log, services);
        let origins = Arc::new(Origins::new(&runtime.config.gateway).unwrap());
        let app = Route::new().at("/v1/realtime", get(Upgrade::new(sockets, origins)));
        let server = Server::bind(&runtime.config.gateway, &runtime.metrics)
            .await
            .unwrap();
        let address = server.local_addr().unwrap();
        let lifecycle = runtime.lifecycle.clone();
        runtime.lifecycle.spawn("server", async move {
            server.run(Arc::new(app.boxed()), &lifecycle).await;
        });
        Self {
            world,
            address,
            runtime,
            nats,
        }
    }

    /// A socket of a new member that has said hello.
    pub(crate) async fn member(&self) -> Client {
        self.socket_of(self.world.member()).await
    }

    /// A socket of an account that has said hello.
    pub(crate) async fn socket_of(&self, account: AccountId) -> Client {
        let mut client = Client::connect(self.address).await;
        client.hello(&self.world, account, &[]).await;
        client
    }

    /// A socket of a new member that watches a room.
    pub(crate) async fn watcher(&self, room: RoomId) -> Client {
        let mut client = self.member().await;
        client.watch(&[room]).await;
        client
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.runtime.metrics.encode();
        let line = text.lines().find(|line| line.starts_with(name));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    pub(crate) async fn stop(&self) -> Result<(), StopError> {
        self.runtime.lifecycle.drain(SOON).await
    }
}

/// Waits until something is so.
pub(crate) async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, wait)
        .await
        .unwrap_or_else(|_| panic!("{what}"));
}

//! One or three real servers, and the log on them.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, HeaderMap};
use bytes::Bytes;
use veza_platform::event_log::{
    AppendError, Appended, Draft, EventLog, Expect, LogOptions, ReadError, Record, StreamName, StreamsSpec,
};
use veza_platform::kv::{Kv, KvError};
use veza_platform::lifecycle::Lifecycle;
use veza_testkit::{TestCluster, TestNats};

/// Whatever is waited for must come within this.
pub(crate) const SOON: Duration = Duration::from_secs(20);

#[expect(clippy::large_enum_variant, reason = "a test has one")]
pub(crate) enum Servers {
    One(TestNats),
    Three(TestCluster),
}

pub(crate) struct Site {
    pub(crate) log: EventLog,
    pub(crate) servers: Servers,
}

impl Site {
    pub(crate) async fn one_node() -> Self {
        Self::on(Servers::One(TestNats::start().await)).await
    }

    pub(crate) async fn three_nodes() -> Self {
        Self::on(Servers::Three(TestNats::cluster(3).await)).await
    }

    async fn on(servers: Servers) -> Self {
        let log = servers.log(1).await;
        log.apply(&StreamsSpec::builtin()).await.unwrap();
        heard_of_everywhere(&log).await;
        Self { log, servers }
    }

    /// The same log over another connection.
    pub(crate) async fn another(&self) -> EventLog {
        self.servers.log(1).await
    }
}

impl Servers {
    pub(crate) async fn client(&self) -> Client {
        let url = match self {
            Self::One(node) => node.url(),
            Self::Three(nodes) => nodes.url(),
        };
        let servers: Vec<async_nats::ServerAddr> = url.split(',').map(|url| url.parse().unwrap()).collect();
        let user = servers[0].username().unwrap().to_owned();
        let password = servers[0].password().unwrap().to_owned();
        let options = ConnectOptions::with_user_and_password(user, password);
        let options = options.reconnect_delay_callback(|_| Duration::from_millis(50));
        options.connect(servers).await.unwrap()
    }

    pub(crate) async fn log(&self, shards: u16) -> EventLog {
        let options = LogOptions {
            shards,
            replicas: match self {
                Self::One(_) => 1,
                Self::Three(_) => 3,
            },
            timeout: Duration::from_secs(5),
            lifecycle: Lifecycle::default(),
        };
        EventLog::connect(self.client().await, options)
    }

    pub(crate) async fn kill_all(&self) {
        match self {
            Self::One(node) => drop(node.kill9().await),
            Self::Three(nodes) => {
                for node in nodes.nodes() {
                    node.kill9().await;
                }
            }
        }
    }

    pub(crate) async fn restart_all(&mut self) {
        match self {
            Self::One(node) => node.restart().await.unwrap(),
            Self::Three(nodes) => {
                let names: Vec<_> = nodes.nodes().iter().map(|node| node.name().to_owned()).collect();
                for name in names {
                    nodes.node_mut(&name).unwrap().restart().await.unwrap();
                }
            }
        }
    }

    /// Kills the server that stores for the stream, and starts it again.
    pub(crate) async fn kill_leader(&mut self, stream: &str) {
        let client = self.client().await;
        match self {
            Self::One(node) => {
                node.kill9().await;
                node.restart().await.unwrap();
            }
            Self::Three(nodes) => {
                let info = client
                    .request(format!("$JS.API.STREAM.INFO.{stream}"), Bytes::new())
                    .await
                    .unwrap();
                let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
                let leader = info["cluster"]["leader"].as_str().unwrap();
                let node = nodes.node_mut(leader).unwrap();
                node.kill9().await;
                tokio::time::sleep(Duration::from_secs(1)).await;
                node.restart().await.unwrap();
            }
        }
    }
}

pub(crate) const ROOM: &str = "evt.0.room.r";
pub(crate) const MEMBER: &str = "evt.0.member.s.a";

pub(crate) fn spaces() -> StreamName {
    StreamName::spaces(0)
}

pub(crate) fn draft(subject: &str, expect: Expect, msg_id: &str) -> Draft {
    let mut headers = HeaderMap::new();
    headers.insert("ce-type", "room.message_posted.v1");
    Draft {
        subject: subject.to_owned(),
        expect,
        msg_id: msg_id.to_owned(),
        headers,
        payload: Bytes::from(format!("{{\"id\":\"{msg_id}\"}}")),
    }
}

pub(crate) fn fence(subject: &str, seq: u64) -> Expect {
    Expect::Fence {
        subject: subject.to_owned(),
        seq,
    }
}

/// Appends until there is an answer, as a patient caller would.
pub(crate) async fn persist(log: &EventLog, draft: Draft) -> Appended {
    let trying = async {
        loop {
            match log.append(draft.clone()).await {
                Ok(appended) => return appended,
                Err(AppendError::Unavailable { .. } | AppendError::Conflict) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(SOON * 2, trying)
        .await
        .expect("the servers come back")
}

/// In a fresh cluster the node that is asked may not have heard yet where the streams are. What is stale is
/// refused, so this stores nothing.
async fn heard_of_everywhere(log: &EventLog) {
    for subject in [ROOM, "evt.account.a"] {
        let asking = async {
            while log.append(draft(subject, Expect::Last(99), "")).await != Err(AppendError::Conflict) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, asking)
            .await
            .expect("the streams are served");
    }
    for bucket in ["SESSIONS", "REVOKED", "TICKETS", "LINKS"] {
        let bucket = Kv::<u32>::open(log, bucket);
        let asking = async {
            while bucket.update("none", &0, 99).await != Err(KvError::Conflict) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, asking)
            .await
            .expect("the buckets are served");
    }
}

/// Reads until the replicas show what is asked for.
pub(crate) async fn eventually<T>(
    mut read: impl AsyncFnMut() -> Result<T, ReadError>,
    enough: impl Fn(&T) -> bool,
) -> T {
    let search = async {
        loop {
            match read().await {
                Ok(found) if enough(&found) => return found,
                Ok(_) | Err(ReadError::Unavailable { .. }) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(SOON, search)
        .await
        .expect("the log shows it")
}

/// All events of a subject, `count` of them.
pub(crate) async fn all(log: &EventLog, subject: &str, count: usize) -> Vec<Record> {
    eventually(
        async || log.load(subject, 0).await,
        |records| records.len() >= count,
    )
    .await
}

pub(crate) fn seqs(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.position.seq).collect()
}

pub(crate) fn bodies(records: &[Record]) -> Vec<Bytes> {
    records.iter().map(|record| record.payload.clone()).collect()
}

//! HTTP by hand, for tests: what no proper client would send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::{Endpoint, EndpointExt, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use veza_platform::config::GatewayConfig;
use veza_platform::lifecycle::Lifecycle;
use veza_platform::telemetry::Metrics;

use crate::Server;

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A server on a port of its own.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) lifecycle: Lifecycle,
}

/// Settings for a server on any port.
pub(crate) fn config() -> GatewayConfig {
    GatewayConfig {
        listen: "127.0.0.1:0".into(),
        ..GatewayConfig::default()
    }
}

/// Lets `endpoint` answer.
pub(crate) async fn serve(
    config: &GatewayConfig,
    endpoint: impl Endpoint<Output = Response> + 'static,
) -> Running {
    let server = Server::bind(config, &Metrics::new()).await.unwrap();
    let address = server.local_addr().unwrap();
    let lifecycle = Lifecycle::new("test");
    let (life, endpoint): (_, Arc<BoxEndpoint<'static>>) = (lifecycle.clone(), Arc::new(endpoint.boxed()));
    lifecycle.spawn("server", async move { server.run(endpoint, &life).await });
    Running { address, lifecycle }
}

/// A connection.
pub(crate) struct Raw(pub(crate) TcpStream);

/// An answer, its head in lower case.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let line = |line: &'_ str| {
            line.strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(": "))
                .is_some()
        };
        let found = self.head.lines().find(|text| line(text));
        found.map(|text| &text[name.len() + 2..])
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server may close before everything is sent.
        let _ = self.0.write_all(bytes.as_ref()).await;
    }

    /// The next answer; `None` when the server closes instead.
    pub(crate) async fn answer(&mut self) -> Option<Answer> {
        tokio::time::timeout(PATIENCE, self.read_answer())
            .await
            .expect("an answer in time")
    }

    async fn read_answer(&mut self) -> Option<Answer> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let mut answer = Answer {
            status: head.split(' ').nth(1)?.parse().unwrap(),
            head,
            body: Vec::new(),
        };
        let length = answer
            .header("content-length")
            .map_or(0, |text| text.parse().unwrap());
        answer.body.resize(length, 0);
        self.0.read_exact(&mut answer.body).await.ok()?;
        Some(answer)
    }

    /// Waits until the server closes; whatever it says before does not matter.
    pub(crate) async fn closed(&mut self) {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await;
        // A reset closes too.
        let _ = closed.expect("the server closes in time");
    }
}

/// One request on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut raw = Raw::connect(address).await;
    raw.send(request).await;
    raw.answer().await.expect("an answer")
}

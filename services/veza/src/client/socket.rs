//! The WebSocket.

use anyhow::Context;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};
use uuid::Uuid;
use veza_platform::ambient;

use super::Person;

/// A signed-in WebSocket.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
}

impl Socket {
    /// Connects and says hello with a fresh ticket.
    pub(crate) async fn connect(person: &Person) -> anyhow::Result<Self> {
        let ticket = person.ticket().await?;
        let mut request = person.realtime_url().into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "veza.v1.json".parse()?);
        let (stream, _) = connect_async(request).await.context("opening the WebSocket")?;
        let mut socket = Self { stream, next_id: 1 };
        socket.send(&json!({ "t": "hello", "ticket": ticket })).await?;
        socket.wait_for("ready").await?;
        Ok(socket)
    }

    /// Follows a room in full.
    pub(crate) async fn watch(&mut self, room: Uuid) -> anyhow::Result<()> {
        let id = self.id();
        self.send(&json!({ "t": "watch", "id": id, "rooms": { room.to_string(): "full" } })).await?;
        self.wait_for("ok").await.map(drop)
    }

    /// Sends a message without waiting for its ack; gives the id that the ack will carry.
    pub(crate) async fn post(&mut self, room: Uuid, body: &str) -> anyhow::Result<u64> {
        let (id, command) = (self.id(), ambient::new_uuid());
        let frame = json!({ "t": "send", "id": id, "room": room, "command_id": command, "body": body });
        self.send(&frame).await?;
        Ok(id)
    }

    /// The next frame of this kind; others are passed over, an error ends it.
    pub(crate) async fn wait_for(&mut self, kind: &str) -> anyhow::Result<Value> {
        loop {
            let frame = self.next().await?;
            match frame["t"].as_str() {
                Some(found) if found == kind => return Ok(frame),
                Some("error") => anyhow::bail!("the server answered {frame}"),
                _ => {}
            }
        }
    }

    /// The next frame; heartbeats are answered on the way.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Value> {
        loop {
            let message = self.stream.next().await.context("the server closed the WebSocket")??;
            match message {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text)?;
                    if frame["t"] != "ping" {
                        return Ok(frame);
                    }
                    self.send(&json!({ "t": "pong" })).await?;
                }
                Message::Close(why) => anyhow::bail!("the server closed the WebSocket: {why:?}"),
                _ => {}
            }
        }
    }

    async fn send(&mut self, frame: &Value) -> anyhow::Result<()> {
        Ok(self.stream.send(Message::text(frame.to_string())).await?)
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

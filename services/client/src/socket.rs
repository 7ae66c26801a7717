//! The WebSocket.

use std::io::Read as _;

use flate2::read::DeflateDecoder;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};
use uuid::Uuid;

use crate::{ClientError, Person};

/// The subprotocol.
const PROTOCOL: HeaderValue = HeaderValue::from_static("veza.v1.json");

/// Longest text of a compressed frame that is taken: what a few bytes become is the sender's choice.
const MAX_INFLATED: u64 = 4 * 1024 * 1024;

/// A signed-in WebSocket.
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    next_id: u64,
}

impl Socket {
    /// Connects and says hello with a fresh ticket; watches the rooms in `resume`, each from behind the
    /// sequence that was seen last.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn connect(person: &Person, resume: &Value) -> Result<Self, ClientError> {
        let ticket = person.ticket().await?;
        let mut socket = Self::open(&person.realtime_url()).await?;
        socket
            .send(&json!({ "t": "hello", "ticket": ticket, "resume": resume, "deflate": true }))
            .await?;
        socket.wait_for("ready").await?;
        Ok(socket)
    }

    /// Connects without saying hello.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open(url: &str) -> Result<Self, ClientError> {
        let mut request = url.into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", PROTOCOL);
        let (stream, _) = connect_async(request).await?;
        Ok(Self { stream, next_id: 0 })
    }

    /// Follows a room in full; gives its head.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn watch(&mut self, room: Uuid) -> Result<u64, ClientError> {
        let id = self.fresh_id();
        self.send(&json!({ "t": "watch", "id": id, "rooms": { room.to_string(): "full" } }))
            .await?;
        let ok = self.wait_for("ok").await?;
        ok["heads"][room.to_string()]
            .as_u64()
            .ok_or_else(|| ClientError::Unexpected(ok.to_string()))
    }

    /// The next frame of this kind; others are passed over, an error ends it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn wait_for(&mut self, kind: &str) -> Result<Value, ClientError> {
        loop {
            let frame = self.next().await?;
            match frame["t"].as_str() {
                Some(found) if found == kind => return Ok(frame),
                Some("error") => return Err(ClientError::Frame(frame)),
                _ => {}
            }
        }
    }

    /// The next frame; heartbeats are answered on the way. Nothing is lost when it is dropped.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn next(&mut self) -> Result<Value, ClientError> {
        loop {
            match self.stream.next().await.ok_or(ClientError::Closed(None))?? {
                Message::Text(text) => {
                    let frame = read(&text)?;
                    if frame["t"] != "ping" {
                        return Ok(frame);
                    }
                    self.send(&json!({ "t": "pong" })).await?;
                }
                Message::Binary(bytes) => return read(&inflated(&bytes)?),
                Message::Close(why) => return Err(ClientError::Closed(why.map(|why| why.code.into()))),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn send(&mut self, frame: &Value) -> Result<(), ClientError> {
        self.send_raw(Message::text(frame.to_string())).await
    }

    /// Sends one WebSocket message as it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn send_raw(&mut self, message: Message) -> Result<(), ClientError> {
        Ok(self.stream.send(message).await?)
    }

    /// An id that no frame of this socket has had.
    pub fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

fn read(text: &str) -> Result<Value, ClientError> {
    serde_json::from_str(text).map_err(|_| ClientError::Unexpected(text.to_owned()))
}

/// The text of a frame that came compressed.
fn inflated(bytes: &[u8]) -> Result<String, ClientError> {
    let mut text = String::new();
    DeflateDecoder::new(bytes)
        .take(MAX_INFLATED)
        .read_to_string(&mut text)
        .map_err(|error| ClientError::Unexpected(format!("a compressed frame: {error}")))?;
    Ok(text)
}

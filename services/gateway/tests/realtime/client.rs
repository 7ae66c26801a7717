//! A client that speaks the protocol and nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use flate2::read::DeflateDecoder;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use veza_events::{AccountId, RoomId};
use veza_platform::ambient;

use crate::contract::Kinds;
use crate::stage::SOON;
use crate::world::World;

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) account: Option<AccountId>,
    /// Documented frames that were sent and heard.
    pub(crate) kinds: Kinds,
    /// Frames that came compressed.
    pub(crate) compressed: usize,
    next_id: u64,
}

fn read(message: &Message) -> Value {
    match message {
        Message::Binary(bytes) => serde_json::from_reader(DeflateDecoder::new(&bytes[..])).unwrap(),
        other => serde_json::from_str(other.to_text().unwrap()).unwrap(),
    }
}

impl Client {
    /// A socket that has said nothing.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address, &[]).await.unwrap()
    }

    /// A handshake with other headers.
    pub(crate) async fn try_connect(
        address: SocketAddr,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let mut request = format!("ws://{address}/v1/realtime")
            .into_client_request()
            .unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", HeaderValue::from_static("veza.v1.json"));
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Self {
            socket,
            account: None,
            kinds: Kinds::default(),
            compressed: 0,
            next_id: 1,
        })
    }

    /// Says hello with a fresh ticket. Returns `ready`.
    pub(crate) async fn hello(
        &mut self,
        world: &World,
        account: AccountId,
        resume: &[(RoomId, u64)],
    ) -> Value {
        let (ticket, _) = world.ticket(account);
        self.account = Some(account);
        let resume: BTreeMap<String, u64> = resume
            .iter()
            .map(|(room, seq)| (room.to_string(), *seq))
            .collect();
        self.send(json!({"t": "hello", "ticket": ticket, "resume": resume}))
            .await;
        self.expect("ready").await
    }

    /// Watches rooms. Returns the heads.
    pub(crate) async fn watch(&mut self, rooms: &[RoomId]) -> BTreeMap<String, u64> {
        let id = self.id();
        let rooms: BTreeMap<String, &str> = rooms.iter().map(|room| (room.to_string(), "full")).collect();
        self.send(json!({"t": "watch", "id": id, "rooms": rooms})).await;
        let ok = self.expect("ok").await;
        assert_eq!((&ok["id"], &ok["refused"]), (&json!(id), &Value::Null), "{ok}");
        serde_json::from_value(ok["heads"].clone()).unwrap()
    }

    /// Sends a message. Returns the id of the frame.
    pub(crate) async fn say(&mut self, room: RoomId, body: &str) -> u64 {
        let id = self.id();
        let command = ambient::new_uuid();
        self.send(json!({"t": "send", "id": id, "room": room, "command_id": command, "body": body}))
            .await;
        id
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) async fn send(&mut self, frame: Value) {
        self.kinds.sent(&frame);
        self.text(&frame.to_string()).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next frame; answers pings by itself.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(SOON, self.socket.next())
                .await
                .expect("a frame in time");
            let message = message.expect("an open socket").unwrap();
            self.compressed += usize::from(message.is_binary());
            match message {
                Message::Text(_) | Message::Binary(_) => {
                    let frame = read(&message);
                    self.kinds.heard(&frame);
                    if frame["t"] == "ping" {
                        self.send(json!({"t": "pong"})).await;
                    } else {
                        return frame;
                    }
                }
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// The next frame, which must be of this kind.
    pub(crate) async fn expect(&mut self, kind: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["t"], kind, "{frame}");
        frame
    }

    /// The next frame of this kind; others are passed over.
    pub(crate) async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["t"] == kind {
                return frame;
            }
        }
    }

    /// The code of the error that must come next.
    pub(crate) async fn error(&mut self) -> String {
        self.expect("error").await["code"].as_str().unwrap().to_owned()
    }

    /// Reads to the end of the socket. Returns the close code, and the last error's code before it.
    pub(crate) async fn closed(&mut self) -> (Option<u16>, Option<String>) {
        let (mut code, mut error) = (None, None);
        loop {
            match tokio::time::timeout(SOON, self.socket.next())
                .await
                .expect("an end in time")
            {
                Some(Ok(Message::Close(close))) => code = close.map(|close| close.code.into()),
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    error = frame["code"].as_str().map(str::to_owned).or(error);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return (code, error),
            }
        }
    }
}

/// What a careful client knows of one room: it follows the chain, and asks when it breaks.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) last: u64,
    /// Bodies by sequence.
    pub(crate) seen: BTreeMap<u64, String>,
    pub(crate) resets: usize,
    asked: bool,
}

impl View {
    pub(crate) fn from(last: u64) -> Self {
        Self {
            last,
            ..Self::default()
        }
    }

    /// Takes a frame about the room. Returns what to resume from, if something is missing.
    pub(crate) fn take(&mut self, frame: &Value, room: RoomId) -> Option<u64> {
        let about = frame["room"] == room.to_string();
        match frame["t"].as_str().unwrap() {
            "event" if about => {
                let (seq, prev) = (frame["seq"].as_u64().unwrap(), frame["prev"].as_u64().unwrap());
                if seq <= self.last {
                    return None;
                }
                if prev > self.last {
                    return self.ask();
                }
                self.note(frame);
            }
            "fill" if about => {
                let (from, to) = (frame["from"].as_u64().unwrap(), frame["to"].as_u64().unwrap());
                assert!(from <= self.last, "a fill begins where it was asked for: {frame}");
                for event in frame["events"].as_array().unwrap() {
                    if event["seq"].as_u64().unwrap() > self.last {
                        self.note(event);
                    }
                }
                self.last = self.last.max(to);
                self.asked &= frame["done"] != true;
            }
            "lag" => {
                self.asked = false;
                let head = frame["heads"][room.to_string()].as_u64();
                return head.filter(|head| *head > self.last).and_then(|_| self.ask());
            }
            "reset" if about => {
                self.resets += 1;
                self.asked = false;
                self.last = frame["head"].as_u64().unwrap_or(self.last);
            }
            _ => {}
        }
        None
    }

    fn ask(&mut self) -> Option<u64> {
        (!std::mem::replace(&mut self.asked, true)).then_some(self.last)
    }

    fn note(&mut self, event: &Value) {
        let seq = event["seq"].as_u64().unwrap();
        assert!(seq > self.last, "in order");
        self.last = seq;
        if let Some(body) = event["data"]["body"].as_str() {
            assert!(self.seen.insert(seq, body.to_owned()).is_none(), "once");
        }
    }
}

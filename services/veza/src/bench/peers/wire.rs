//! As much of MQTT 3.1.1, XMPP (RFC 6120, XEP-0045) and socket.io 4 as a member of a room needs.

use anyhow::{Context, bail, ensure};
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::Peer;

/// One member of one room.
pub(super) enum Member {
    Mqtt(Bytes),
    Xmpp(Bytes),
    SocketIo(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
}

/// A connection, and what was read of it and not yet taken.
pub(super) struct Bytes {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Member {
    /// Connects as member `number` and joins `room`.
    pub(super) async fn join(peer: Peer, port: u16, room: usize, number: usize) -> anyhow::Result<Self> {
        match peer {
            Peer::Mosquitto => mqtt(port, room, number).await,
            Peer::Ejabberd => xmpp(port, room, number).await,
            Peer::SocketIo => socket_io(port, room).await,
        }
    }

    /// Says `text`, which holds nothing that needs escaping, in `room`.
    pub(super) async fn say(&mut self, room: usize, text: &str) -> anyhow::Result<()> {
        match self {
            Self::Mqtt(bytes) => {
                let mut body = mqtt_text(&format!("room/{room}"));
                body.extend_from_slice(text.as_bytes());
                bytes.write(&mqtt_packet(0x30, &body)).await
            }
            Self::Xmpp(bytes) => {
                let to = format!("room{room}@conference.localhost");
                let stanza = format!("<message type='groupchat' to='{to}'><body>{text}</body></message>");
                bytes.write(stanza.as_bytes()).await
            }
            Self::SocketIo(socket) => {
                let event = format!("42[\"say\",\"{room}\",\"{text}\"]");
                Ok(socket.send(Message::text(event)).await?)
            }
        }
    }

    /// Waits for more, and hands every text that was said to `hear`.
    pub(super) async fn listen(&mut self, mut hear: impl FnMut(&str)) -> anyhow::Result<()> {
        match self {
            Self::Mqtt(bytes) => {
                bytes.more().await?;
                while let Some((kind, body, whole)) = mqtt_take(&bytes.unread) {
                    if kind & 0xf0 == 0x30 {
                        let topic = body
                            .first_chunk()
                            .map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
                        hear(std::str::from_utf8(body.get(2 + topic..).unwrap_or_default())?);
                    }
                    bytes.unread.drain(..whole);
                }
            }
            Self::Xmpp(bytes) => {
                bytes.more().await?;
                let mut taken = 0;
                let text = String::from_utf8_lossy(&bytes.unread).into_owned();
                while let Some((said, end)) = between(&text[taken..], "<body>", "</body>") {
                    hear(said);
                    taken += end;
                }
                bytes.unread.drain(..taken);
            }
            Self::SocketIo(socket) => match socket.next().await.context("the server closed the socket")?? {
                Message::Text(text) if text.as_str() == "2" => socket.send(Message::text("3")).await?,
                Message::Text(text) => {
                    if let Some((said, _)) = between(&text, "42[\"said\",\"", "\"]") {
                        hear(said);
                    }
                }
                Message::Close(_) => bail!("the server closed the socket"),
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            },
        }
        Ok(())
    }
}

impl Bytes {
    async fn connect(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let unread = Vec::new();
        Ok(Self { stream, unread })
    }

    async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        self.unread.reserve(4_096);
        let read = self.stream.read_buf(&mut self.unread).await?;
        ensure!(read > 0, "the server closed the connection");
        Ok(())
    }

    /// Reads until `sign` has come, and drops everything up to it.
    async fn until(&mut self, sign: &str) -> anyhow::Result<()> {
        loop {
            let found = self
                .unread
                .windows(sign.len())
                .position(|part| part == sign.as_bytes());
            if let Some(at) = found {
                self.unread.drain(..at + sign.len());
                return Ok(());
            }
            self.more().await?;
        }
    }
}

async fn mqtt(port: u16, room: usize, number: usize) -> anyhow::Result<Member> {
    let mut bytes = Bytes::connect(port).await?;
    // Version 4, clean session, no keep-alive.
    let mut connect = mqtt_text("MQTT");
    connect.extend([4, 2, 0, 0]);
    connect.extend(mqtt_text(&format!("member-{room}-{number}")));
    bytes.write(&mqtt_packet(0x10, &connect)).await?;
    let mut subscribe = vec![0, 1];
    subscribe.extend(mqtt_text(&format!("room/{room}")));
    subscribe.push(0);
    bytes.write(&mqtt_packet(0x82, &subscribe)).await?;
    let mut answers = 0;
    while answers < 2 {
        bytes.more().await?;
        while let Some((kind, body, whole)) = mqtt_take(&bytes.unread) {
            let good = matches!((kind, body), (0x20, [_, 0]) | (0x90, [_, _, 0]));
            ensure!(good, "mosquitto refused a member");
            answers += 1;
            bytes.unread.drain(..whole);
        }
    }
    Ok(Member::Mqtt(bytes))
}

fn mqtt_text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [length.to_be_bytes().as_slice(), text.as_bytes()].concat()
}

fn mqtt_packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        let more = length > 127;
        packet.push((length % 128) as u8 | if more { 128 } else { 0 });
        length /= 128;
        if !more {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// The first whole packet: its first byte, its body, and its length in all.
fn mqtt_take(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (mut length, mut at) = (0, 1);
    loop {
        let byte = *bytes.get(at)?;
        length |= usize::from(byte & 127) << (7 * (at - 1));
        at += 1;
        if byte & 128 == 0 {
            break;
        }
    }
    Some((bytes[0], bytes.get(at..at + length)?, at + length))
}

async fn xmpp(port: u16, room: usize, number: usize) -> anyhow::Result<Member> {
    const OPEN: &str = "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' \
        xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    let mut bytes = Bytes::connect(port).await?;
    bytes.write(OPEN.as_bytes()).await?;
    bytes.until("</stream:features>").await?;
    bytes
        .write(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>")
        .await?;
    bytes.until("<success").await?;
    bytes.write(OPEN.as_bytes()).await?;
    bytes.until("</stream:features>").await?;
    bytes
        .write(b"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        .await?;
    bytes.until("</iq>").await?;
    let join = format!(
        "<presence to='room{room}@conference.localhost/m{number}'><x xmlns='http://jabber.org/protocol/muc'>\
        <history maxstanzas='0'/></x></presence>"
    );
    bytes.write(join.as_bytes()).await?;
    // The subject comes last.
    bytes.until("<subject").await?;
    Ok(Member::Xmpp(bytes))
}

async fn socket_io(port: u16, room: usize) -> anyhow::Result<Member> {
    let url = format!("ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket");
    let (mut socket, _) = connect_async_with_config(url, None, true).await?;
    let mut steps = [("0", "40"), ("40", ""), ("430", "")].into_iter();
    let join = format!("420[\"join\",\"{room}\"]");
    let mut step = steps.next();
    while let Some((expected, answer)) = step {
        let message = socket.next().await.context("socket.io closed the socket")??;
        let text = message.to_text()?;
        ensure!(text.starts_with(expected), "socket.io said {text}");
        match (expected, answer) {
            ("40", _) => socket.send(Message::text(join.clone())).await?,
            (_, "") => {}
            (_, answer) => socket.send(Message::text(answer)).await?,
        }
        step = steps.next();
    }
    Ok(Member::SocketIo(Box::new(socket)))
}

/// What stands between two marks, and where the second one ends.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<(&'a str, usize)> {
    let from = text.find(begin)? + begin.len();
    let length = text[from..].find(end)?;
    Some((&text[from..from + length], from + length + end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_mqtt_are_taken_as_they_were_made() {
        for length in [0, 1, 127, 128, 20_000] {
            let packet = mqtt_packet(0x30, &vec![7; length]);
            let (kind, body, whole) = mqtt_take(&packet).unwrap();
            assert_eq!((kind, body.len(), whole), (0x30, length, packet.len()));
            assert!(mqtt_take(&packet[..packet.len() - 1]).is_none());
        }
    }

    #[test]
    fn a_body_is_found_once_it_is_whole() {
        assert_eq!(
            between("<m><body>hi</body></m>", "<body>", "</body>"),
            Some(("hi", 18))
        );
        assert_eq!(between("<m><body>hi</bo", "<body>", "</body>"), None);
    }
}

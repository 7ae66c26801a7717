//! One process of load: sockets that watch, sockets that send, and a check of everything that arrives.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, client::IntoClientRequest},
};
use uuid::Uuid;
use veza_platform::ambient;

use super::load_process;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// How long the last deliveries may take after the last send.
const TAIL: Duration = Duration::from_secs(20);

/// What one process shall do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) url: String,
    pub(super) sockets: Vec<SocketPlan>,
    /// How long senders send.
    pub(super) seconds: f64,
    /// Deliveries after which every watcher is done.
    pub(super) expected_per_room: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SocketPlan {
    pub(super) ticket: String,
    pub(super) room: Uuid,
    pub(super) watch: bool,
    /// Messages per second; 0 sends nothing.
    pub(super) rate: f64,
    /// Messages that may wait for their ack.
    pub(super) in_flight: usize,
    /// Messages to send at most; 0 for as many as the time allows.
    pub(super) messages: u64,
}

/// What one process saw.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) acked: u64,
    pub(super) delivered: u64,
    /// From the first send to the last ack.
    pub(super) sending_seconds: f64,
    pub(super) ack_ms: Vec<f64>,
    /// Of every event, at one watcher of each room.
    pub(super) delivery_ms: Vec<f64>,
    pub(super) faults: Vec<String>,
}

/// The parts of a frame that load looks at.
#[derive(Deserialize)]
struct Frame<'a> {
    t: &'a str,
    id: Option<u64>,
    seq: Option<u64>,
    prev: Option<u64>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
    #[serde(borrow)]
    code: Option<&'a str>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    body: Option<&'a str>,
}

/// Runs the plan on standard input and prints what was seen.
pub(super) async fn run() -> anyhow::Result<()> {
    let plan: Plan = load_process::plan()?;
    let mut sockets = Vec::new();
    for socket in &plan.sockets {
        sockets.push(open(&plan.url, socket).await?);
    }
    load_process::wait_to_begin()?;
    let ends = Instant::now() + Duration::from_secs_f64(plan.seconds);
    let mut first_watchers = BTreeSet::new();
    let count = plan.sockets.len();
    let numbered = sockets.into_iter().zip(&plan.sockets).enumerate();
    let runs = numbered.map(|(number, (stream, socket))| {
        let timed = socket.watch && first_watchers.insert(socket.room);
        Runner {
            plan: &plan,
            socket,
            phase: number as f64 / count as f64,
            ends,
            timed,
            seen: Seen::default(),
            sent: BTreeMap::new(),
            last_seq: 0,
        }
        .run(stream)
    });
    let all = futures::future::join_all(runs).await;
    let (all, _open): (Vec<Seen>, Vec<Stream>) = all.into_iter().unzip();
    let total = all.into_iter().fold(Seen::default(), |mut total, seen| {
        total.acked += seen.acked;
        total.delivered += seen.delivered;
        total.sending_seconds = total.sending_seconds.max(seen.sending_seconds);
        total.ack_ms.extend(seen.ack_ms);
        total.delivery_ms.extend(seen.delivery_ms);
        total.faults.extend(seen.faults);
        total
    });
    load_process::finish(&total)
}

async fn open(url: &str, plan: &SocketPlan) -> anyhow::Result<Stream> {
    let mut request = url.into_client_request()?;
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "veza.v1.json".parse()?);
    // As browsers do: a small frame does not wait for the one before it to be acknowledged.
    let nagle_off = true;
    let (mut stream, _) = connect_async_with_config(request, None, nagle_off).await?;
    stream
        .send(Message::text(
            json!({ "t": "hello", "ticket": plan.ticket }).to_string(),
        ))
        .await?;
    expect(&mut stream, "ready").await?;
    if plan.watch {
        let watch = json!({ "t": "watch", "id": 0, "rooms": { plan.room.to_string(): "full" } });
        stream.send(Message::text(watch.to_string())).await?;
        expect(&mut stream, "ok").await?;
    }
    Ok(stream)
}

async fn expect(stream: &mut Stream, kind: &str) -> anyhow::Result<()> {
    while let Some(message) = stream.next().await {
        if let Message::Text(text) = message? {
            let frame: Frame<'_> = serde_json::from_str(&text)?;
            anyhow::ensure!(frame.t != "error", "the server answered {text}");
            if frame.t == kind {
                return Ok(());
            }
        }
    }
    anyhow::bail!("the server closed the WebSocket")
}

struct Runner<'a> {
    plan: &'a Plan,
    socket: &'a SocketPlan,
    /// Where in its pace the first send lies, 0 to 1: people do not send in unison.
    phase: f64,
    ends: Instant,
    /// Whether this is the watcher whose delivery times count.
    timed: bool,
    seen: Seen,
    sent: BTreeMap<u64, Instant>,
    last_seq: u64,
}

impl Runner<'_> {
    /// The socket comes back, so that closing it is no part of the load.
    async fn run(mut self, mut stream: Stream) -> (Seen, Stream) {
        let started = Instant::now();
        let pace = if self.socket.rate > 0.0 {
            1.0 / self.socket.rate
        } else {
            3_600.0
        };
        let first = started + Duration::from_secs_f64(pace * self.phase);
        let mut ticks = tokio::time::interval_at(first, Duration::from_secs_f64(pace));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut number = 0;
        let limit = tokio::time::sleep_until(self.ends + TAIL);
        tokio::pin!(limit);
        while !self.done(number) {
            let may_send = self.may_send(number) && self.sent.len() < self.socket.in_flight;
            tokio::select! {
                _ = ticks.tick(), if may_send => {
                    number += 1;
                    if let Err(error) = self.send(&mut stream, number).await {
                        self.seen.faults.push(error.to_string());
                        break;
                    }
                }
                message = stream.next() => match message {
                    Some(Ok(Message::Text(text))) => self.take(&text, started),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => {
                        self.seen.faults.push("a socket was closed".to_owned());
                        break;
                    }
                    Some(Ok(_)) => {}
                },
                () = &mut limit => break,
            }
        }
        if self.socket.watch
            && self.plan.expected_per_room > 0
            && self.seen.delivered != self.plan.expected_per_room
        {
            let fault = format!(
                "{} of {} deliveries",
                self.seen.delivered, self.plan.expected_per_room
            );
            self.seen.faults.push(fault);
        }
        if !self.sent.is_empty() {
            self.seen
                .faults
                .push(format!("{} sends without an ack", self.sent.len()));
        }
        (self.seen, stream)
    }

    fn may_send(&self, number: u64) -> bool {
        let more = self.socket.messages == 0 || number < self.socket.messages;
        self.socket.rate > 0.0 && more && Instant::now() < self.ends
    }

    fn done(&self, number: u64) -> bool {
        let received = !self.socket.watch
            || (self.plan.expected_per_room > 0 && self.seen.delivered >= self.plan.expected_per_room)
            || (self.plan.expected_per_room == 0 && Instant::now() >= self.ends);
        self.sent.is_empty() && !self.may_send(number) && received
    }

    async fn send(&mut self, stream: &mut Stream, number: u64) -> anyhow::Result<()> {
        let nanoseconds = ambient::now().unix_timestamp_nanos();
        let frame = json!({
            "t": "send", "id": number, "room": self.socket.room, "command_id": ambient::new_uuid(),
            "body": format!("{nanoseconds} a message of an ordinary length, as people write them")
        });
        self.sent.insert(number, Instant::now());
        Ok(stream.send(Message::text(frame.to_string())).await?)
    }

    fn take(&mut self, text: &str, started: Instant) {
        let Ok(frame) = serde_json::from_str::<Frame<'_>>(text) else {
            return self.seen.faults.push(format!("not a frame: {text}"));
        };
        match frame.t {
            "ack" => {
                if let Some(sent) = frame.id.and_then(|id| self.sent.remove(&id)) {
                    self.seen.acked += 1;
                    self.seen.ack_ms.push(sent.elapsed().as_secs_f64() * 1_000.0);
                    self.seen.sending_seconds = started.elapsed().as_secs_f64();
                }
            }
            "event" => self.event(&frame),
            "error" => self
                .seen
                .faults
                .push(format!("error {}", frame.code.unwrap_or("without a code"))),
            "lag" | "reset" => self.seen.faults.push(format!("a watcher got `{}`", frame.t)),
            _ => {}
        }
    }

    fn event(&mut self, frame: &Frame<'_>) {
        let (seq, prev) = (frame.seq.unwrap_or(0), frame.prev.unwrap_or(0));
        if self.last_seq != 0 && prev != self.last_seq {
            self.seen.faults.push(format!(
                "event {seq} follows {prev}, but the last seen was {}",
                self.last_seq
            ));
        }
        self.last_seq = seq;
        self.seen.delivered += 1;
        if !self.timed {
            return;
        }
        let sent = frame
            .data
            .as_ref()
            .and_then(|data| data.body?.split(' ').next()?.parse::<i128>().ok());
        if let Some(sent) = sent {
            let elapsed = ambient::now().unix_timestamp_nanos() - sent;
            let elapsed = Duration::from_nanos(u64::try_from(elapsed).unwrap_or(0));
            self.seen.delivery_ms.push(elapsed.as_secs_f64() * 1_000.0);
        }
    }
}

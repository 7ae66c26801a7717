//! One process that holds sockets: they watch, answer heartbeats, come back when they are closed, and check that
//! they are filled with everything.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use futures::{SinkExt, StreamExt, stream::FuturesUnordered};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, mpsc},
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, protocol::WebSocketConfig},
};
use uuid::Uuid;
use veza_client::Api;
use veza_platform::{ambient, lifecycle::Lifecycle};

use super::load_process;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Sockets of this process that are being opened at once.
const AT_ONCE: usize = 128;
/// Longest pause before another try; half of it is random.
const RETRY: Duration = Duration::from_millis(200);
/// How long one try to open a socket, or all of them, may take.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_mins(5));

/// What one process shall hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    pub(super) api: String,
    pub(super) url: String,
    pub(super) tokens: Vec<String>,
    /// Number of this process's first socket.
    pub(super) first: usize,
    pub(super) sockets: usize,
    pub(super) rooms: Vec<Uuid>,
    /// Rooms that each watches.
    pub(super) watch: usize,
    /// What a room is filled with.
    pub(super) events: u64,
}

/// What one process saw.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Sockets that were filled again.
    pub(super) back: usize,
    /// From the word to begin to the last of them.
    pub(super) seconds: f64,
    pub(super) faults: Vec<String>,
}

/// What a socket tells.
enum Told {
    Open,
    Back,
    Fault(String),
}

/// Runs the plan on standard input and prints what was seen.
pub(super) async fn run() -> anyhow::Result<()> {
    let plan: Plan = load_process::plan()?;
    let sockets = plan.sockets;
    let (tell, mut told) = mpsc::channel(sockets * 2 + 1);
    let life = Lifecycle::new("load");
    life.spawn("sockets", async move {
        let hold = Hold {
            api: Api::new(&plan.api),
            turns: Semaphore::new(AT_ONCE),
            plan,
            tell,
        };
        let mut all: FuturesUnordered<_> = (0..hold.plan.sockets).map(|number| hold.live(number)).collect();
        while all.next().await.is_some() {}
    });
    let mut seen = Seen::default();
    let deadline = Instant::now() + PATIENCE.1;
    let mut open = 0;
    while open < sockets {
        match tokio::time::timeout_at(deadline, told.recv()).await? {
            Some(Told::Fault(fault)) => anyhow::bail!("{fault}"),
            Some(_) => open += 1,
            None => anyhow::bail!("the sockets are gone"),
        }
    }
    load_process::wait_to_begin()?;
    let begun = Instant::now();
    let deadline = begun + PATIENCE.1;
    while seen.back < sockets {
        match tokio::time::timeout_at(deadline, told.recv()).await {
            Ok(Some(Told::Fault(fault))) => seen.faults.push(fault),
            Ok(Some(_)) => seen.back += 1,
            Ok(None) | Err(_) => break,
        }
    }
    seen.seconds = begun.elapsed().as_secs_f64();
    load_process::finish(&seen)
}

struct Hold {
    plan: Plan,
    api: Api,
    turns: Semaphore,
    tell: mpsc::Sender<Told>,
}

impl Hold {
    /// One socket, for as long as the process lives.
    async fn live(&self, number: usize) {
        let mut stream = self.open_patiently(number, false).await;
        self.say(Told::Open).await;
        loop {
            while let Some(Ok(message)) = stream.next().await {
                if matches!(&message, Message::Text(text) if text.contains(r#""t":"ping""#)) {
                    let _ = stream.send(Message::text(r#"{"t":"pong"}"#)).await;
                }
            }
            stream = self.open_patiently(number, true).await;
            self.say(Told::Back).await;
        }
    }

    async fn open_patiently(&self, number: usize, resume: bool) -> Stream {
        loop {
            let turn = self.turns.acquire().await;
            match timeout(PATIENCE.0, self.open(number, resume)).await {
                Ok(Ok(stream)) => return stream,
                Ok(Err(Missed::Fault(fault))) => self.say(Told::Fault(fault)).await,
                // The gateway is not there yet, or goes.
                Ok(Err(Missed::Away)) | Err(_) => {}
            }
            drop(turn);
            let share = f64::from(u32::from_be_bytes(ambient::random())) / f64::from(u32::MAX);
            tokio::time::sleep(RETRY.mul_f64(0.5 + share / 2.0)).await;
        }
    }

    async fn open(&self, number: usize, resume: bool) -> Result<Stream, Missed> {
        let number = self.plan.first + number;
        let token = &self.plan.tokens[number % self.plan.tokens.len()];
        let path = "/v1/realtime/tickets";
        let ticket = self
            .api
            .call(
                "POST".parse().map_err(|_| Missed::Away)?,
                path,
                Some(token),
                Some(&json!({})),
            )
            .await;
        let ticket = ticket.map_err(|_| Missed::Away)?["ticket"].clone();
        let mut stream = connect(&self.plan.url).await.map_err(|_| Missed::Away)?;
        let count = self.plan.rooms.len();
        let rooms = (0..self.plan.watch).map(|nth| self.plan.rooms[(number + nth) % count].to_string());
        if resume {
            let rooms: BTreeMap<_, _> = rooms.map(|room| (room, 0)).collect();
            say(
                &mut stream,
                &json!({"t": "hello", "ticket": ticket, "resume": rooms}),
            )
            .await?;
            self.filled(&mut stream).await?;
        } else {
            let rooms: BTreeMap<_, _> = rooms.map(|room| (room, "full")).collect();
            say(&mut stream, &json!({"t": "hello", "ticket": ticket})).await?;
            hear::<Value>(&mut stream, "ready").await?;
            say(&mut stream, &json!({"t": "watch", "id": 1, "rooms": rooms})).await?;
            let ok: Value = hear(&mut stream, "ok").await?;
            if ok["heads"]
                .as_object()
                .is_none_or(|heads| heads.len() != self.plan.watch)
            {
                return Err(Missed::Fault(format!("not all rooms are watched: {ok}")));
            }
        }
        Ok(stream)
    }

    /// Takes fills until every room is filled with all that is in it.
    async fn filled(&self, stream: &mut Stream) -> Result<(), Missed> {
        let (mut done, mut events) = (0, 0);
        while done < self.plan.watch {
            let fill: Fill = hear(stream, "fill").await?;
            events += fill.events.len() as u64;
            done += usize::from(fill.done);
        }
        let expected = self.plan.events * self.plan.watch as u64;
        if events == expected {
            Ok(())
        } else {
            Err(Missed::Fault(format!(
                "filled with {events} of {expected} events"
            )))
        }
    }

    async fn say(&self, what: Told) {
        // Who does not listen any more has seen enough.
        let _ = self.tell.send(what).await;
    }
}

/// Why a socket is not open.
enum Missed {
    Away,
    Fault(String),
}

async fn connect(url: &str) -> anyhow::Result<Stream> {
    let mut request = url.into_client_request()?;
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "veza.v1.json".parse()?);
    // Thousands of them are held here.
    let small = WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0);
    Ok(connect_async_with_config(request, Some(small), true).await?.0)
}

async fn say(stream: &mut Stream, frame: &Value) -> Result<(), Missed> {
    stream
        .send(Message::text(frame.to_string()))
        .await
        .map_err(|_| Missed::Away)
}

/// What is looked at of a `fill`.
#[derive(Deserialize)]
struct Fill {
    done: bool,
    events: Vec<IgnoredAny>,
}

/// What is looked at of every frame.
#[derive(Deserialize)]
struct Kind<'a> {
    t: Cow<'a, str>,
    code: Option<Cow<'a, str>>,
}

/// The next frame of this kind. A room that cannot be filled is a fault.
async fn hear<T: DeserializeOwned>(stream: &mut Stream, kind: &str) -> Result<T, Missed> {
    let unread = |error: serde_json::Error| Missed::Fault(error.to_string());
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = message else { continue };
        let frame: Kind<'_> = serde_json::from_str(&text).map_err(unread)?;
        match &*frame.t {
            found if found == kind => return serde_json::from_str(&text).map_err(unread),
            "error" if frame.code.as_deref() == Some("platform.unavailable") => return Err(Missed::Away),
            "error" | "reset" | "lag" => return Err(Missed::Fault(text.to_string())),
            _ => {}
        }
    }
    Err(Missed::Away)
}

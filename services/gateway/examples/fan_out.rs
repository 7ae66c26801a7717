//! Measures the WebSocket alone: rooms × members on real sockets, messages through the real log, no worker
//! and no keys in between. The gateway is this process; the clients are another, so that the CPU time that is
//! printed is the gateway's. Each client checks that events come once and in order.
//!
//! `cargo run --release -p veza-gateway --example fan_out -- <rooms> <members> <messages/s> <seconds>`

#![expect(clippy::print_stdout, reason = "it prints a table")]
#![expect(clippy::cast_precision_loss, reason = "rates and shares need no more")]

#[path = "../tests/realtime/client.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests")]
mod client;
#[path = "../tests/realtime/contract.rs"]
#[allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "shared with the tests"
)]
mod contract;
#[path = "../tests/realtime/stage.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests")]
mod stage;
#[path = "../tests/realtime/world.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests")]
mod world;

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_tungstenite::tungstenite::Message;
use veza_events::RoomId;
use veza_platform::ambient;

use client::Client;
use stage::Stage;

/// What is measured.
#[derive(Clone, Copy, Debug)]
struct Load {
    rooms: usize,
    members: usize,
    per_second: u64,
    seconds: u64,
}

impl Load {
    /// Who speaks in each room: a speaker waits for its answers, so many are needed to be fast.
    fn speakers(&self) -> u64 {
        (self.per_second / self.rooms as u64 / 10).clamp(1, 50)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, usual: u64| {
        arguments
            .get(at)
            .map_or(usual, |text| text.parse().expect("a number"))
    };
    let load = Load {
        rooms: usize::try_from(number(0, 1)).expect("few"),
        members: usize::try_from(number(1, 1_000)).expect("few"),
        per_second: number(2, 100),
        seconds: number(3, 10),
    };
    let clients = arguments
        .get(4)
        .map(|address| address.parse::<SocketAddr>().expect("an address"));
    let threads = if clients.is_some() { 1 } else { 2 };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    match clients {
        None => runtime.block_on(gateway(load)),
        Some(address) => runtime.block_on(all_clients(load, address, &arguments[5])),
    }
}

/// User and system time of this process so far, seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("a line")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("a line");
    line.split_whitespace()
        .nth(1)
        .expect("a number")
        .parse()
        .expect("a number")
}

async fn gateway(load: Load) {
    let stage = Stage::with(|limits| {
        limits.frames_per_minute = u32::MAX;
        limits.frame_burst = 1_000_000;
        limits.max_sockets_per_account = 100_000;
    })
    .await;
    stage.world.open_door.store(true, Ordering::SeqCst);
    let mut rooms = Vec::new();
    for _ in 0..load.rooms {
        rooms.push(stage.world.room().await.0.to_string());
    }
    let before = resident_kib();
    let numbers = [
        load.rooms as u64,
        load.members as u64,
        load.per_second,
        load.seconds,
    ];
    let mut clients = tokio::process::Command::new(std::env::current_exe().expect("this program"))
        .args(numbers.map(|number| number.to_string()))
        .args([stage.address.to_string(), rooms.join(",")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts again");
    let mut lines = BufReader::new(clients.stdout.take().expect("piped")).lines();
    let mut line = async || {
        lines
            .next_line()
            .await
            .expect("readable")
            .expect("the clients go on")
    };
    assert_eq!(line().await, "watching");
    let sockets = (load.rooms * load.members) as u64;
    println!(
        "{:.1} KiB a socket",
        (resident_kib() - before) as f64 / sockets as f64
    );
    let (cpu_before, begin) = (cpu(), tokio::time::Instant::now());
    let writes_before = stage.metric("veza_realtime_writes_total");
    clients
        .stdin
        .take()
        .expect("piped")
        .write_all(b"go\n")
        .await
        .expect("it listens");
    let result: Value = serde_json::from_str(&line().await).expect("a result");
    let (used, took) = (cpu() - cpu_before, begin.elapsed().as_secs_f64());
    let deliveries = stage.metric("veza_realtime_deliveries_total");
    let writes = stage.metric("veza_realtime_writes_total") - writes_before;
    println!("{load:?}: {deliveries} deliveries in {took:.1} s, {used:.2} CPU-s of the gateway");
    println!(
        "{:.0} deliveries/s, {:.0} per CPU-second, {:.2} events a write",
        deliveries as f64 / took,
        deliveries as f64 / used,
        deliveries as f64 / writes as f64
    );
    println!("{result}");
}

async fn all_clients(load: Load, address: SocketAddr, rooms: &str) {
    let rooms: Vec<RoomId> = rooms
        .split(',')
        .map(|room| room.parse().expect("a room"))
        .collect();
    let seen = Arc::new(Mutex::new(Vec::<u32>::new()));
    let mut readers = tokio::task::JoinSet::new();
    let over = Arc::new(AtomicBool::new(false));
    let mut speakers = Vec::new();
    for room in &rooms {
        for _ in 0..load.speakers() {
            speakers.push((enter(address).await, *room));
        }
        for _ in 0..load.members {
            let mut client = enter(address).await;
            client.watch(&[*room]).await;
            readers.spawn(listen(client, Arc::clone(&seen), Arc::clone(&over)));
        }
    }
    println!("watching");
    let go = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    go.await.expect("no panic").expect("readable");
    let each = load.per_second as f64 / speakers.len() as f64;
    let mut talking = tokio::task::JoinSet::new();
    for (speaker, room) in speakers {
        talking.spawn(speak(speaker, room, each, load.seconds));
    }
    let mut acks: Vec<u32> = Vec::new();
    while let Some(one) = talking.join_next().await {
        acks.extend(one.expect("it speaks"));
    }
    // What is still on its way arrives before the readers are told to stop.
    tokio::time::sleep(Duration::from_millis(500)).await;
    over.store(true, Ordering::SeqCst);
    let mut received = 0;
    while let Some(one) = readers.join_next().await {
        received += one.expect("it listens");
    }
    let mut seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    println!(
        "{}",
        json!({
            "sent": acks.len(), "received": received, "complete": received == acks.len() * load.members,
            "ack_us": spread(&mut acks), "delivery_us": spread(&mut seen),
        })
    );
}

fn spread(times: &mut [u32]) -> Value {
    times.sort_unstable();
    let at = |thousandths: usize| times.get(times.len() * thousandths / 1_000);
    json!({"p50": at(500), "p99": at(990), "p99.9": at(999)})
}

async fn enter(address: SocketAddr) -> Client {
    let mut client = Client::connect(address).await;
    let ticket = ambient::new_uuid().to_string();
    client.send(json!({"t": "hello", "ticket": ticket})).await;
    client.expect("ready").await;
    client
}

fn now_us() -> u64 {
    u64::try_from(ambient::now().unix_timestamp_nanos() / 1_000).expect("after 1970")
}

fn field(text: &str, name: &str) -> Option<u64> {
    let behind = &text[text.find(name)? + name.len()..];
    let end = behind.find(|c: char| !c.is_ascii_digit())?;
    behind[..end].parse().ok()
}

/// Reads events, checks their chain, and notes the age of every eighth.
async fn listen(mut client: Client, seen: Arc<Mutex<Vec<u32>>>, over: Arc<AtomicBool>) -> usize {
    let (mut received, mut last, mut ages) = (0, None, Vec::new());
    loop {
        let message = tokio::time::timeout(Duration::from_millis(300), client.socket.next()).await;
        match message {
            Ok(Some(Ok(Message::Text(text)))) => {
                let Some(seq) = field(&text, r#""seq":"#) else {
                    continue;
                };
                let prev = field(&text, r#""prev":"#);
                assert!(last.is_none() || prev == last, "a hole or a double: {text}");
                last = Some(seq);
                received += 1;
                if received % 8 == 0
                    && let Some(sent) = field(&text, r#""body":""#)
                {
                    ages.push(u32::try_from(now_us().saturating_sub(sent)).unwrap_or(u32::MAX));
                }
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) if over.load(Ordering::SeqCst) => break,
            Err(_) => {}
        }
    }
    seen.lock().expect("no panic").extend(ages);
    received
}

/// Says something at a steady pace, one after another. Returns the times to the answers.
async fn speak(mut client: Client, room: RoomId, per_second: f64, seconds: u64) -> Vec<u32> {
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second));
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let padding = "x".repeat(80);
    let mut times = Vec::new();
    let end = tokio::time::Instant::now() + Duration::from_secs(seconds);
    while tokio::time::Instant::now() < end {
        pace.tick().await;
        let sent = now_us();
        let (id, command) = (client.id(), ambient::new_uuid());
        let body = format!("{sent} {padding}");
        client
            .send(json!({"t": "send", "id": id, "room": room, "command_id": command, "body": body}))
            .await;
        let ack = client.expect("ack").await;
        assert_eq!(ack["id"], json!(id));
        times.push(u32::try_from(now_us() - sent).unwrap_or(u32::MAX));
    }
    times
}

//! What is away comes back, and nobody who watches has to ask twice.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use veza_events::{AccountId, RoomId};

use crate::client::Client;
use crate::stage::{SOON, Stage, eventually};

const FAILED: &str = "veza_realtime_fills_total{why=\"failed\"}";

/// A room with more events than memory keeps: its sequence at the beginning and now.
async fn full_room(stage: &Stage, author: AccountId) -> (RoomId, u64, u64) {
    let (room, opened) = stage.world.room().await;
    let mut head = opened;
    for n in 0..20 {
        head = stage.world.say(room, author, &n.to_string()).await;
    }
    (room, opened, head)
}

/// Takes fills until one is done; they, and nothing else, must come.
async fn filled(client: &mut Client, from: u64) -> (u64, usize) {
    let (mut cursor, mut events) = (from, 0);
    loop {
        let fill = tokio::time::timeout(SOON, client.next()).await.expect("a fill");
        assert_eq!(
            (&fill["t"], &fill["from"]),
            (&json!("fill"), &json!(cursor)),
            "{fill}"
        );
        cursor = fill["to"].as_u64().unwrap();
        events += fill["events"].as_array().unwrap().len();
        if fill["done"] == true {
            return (cursor, events);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gap_asked_for_while_the_log_is_away_is_filled_when_it_is_back() {
    let mut stage = Stage::with(|limits| limits.ring_events = 4).await;
    let author = stage.world.member();
    let mut client = stage.member().await;
    let (room, opened, head) = full_room(&stage, author).await;
    client.watch(&[room]).await;
    stage.nats.kill9().await;
    client
        .send(json!({"t": "resume", "rooms": {room.to_string(): opened}}))
        .await;
    eventually("the fill was tried, and tried again", || {
        stage.metric(FAILED) >= 3
    })
    .await;
    stage.nats.restart().await.unwrap();
    assert_eq!(filled(&mut client, opened).await, (head, 20));
    let seq = stage.world.say(room, author, "next").await;
    let event = client.expect("event").await;
    assert_eq!((&event["prev"], &event["seq"]), (&json!(head), &json!(seq)));
    stage.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_while_a_gap_cannot_be_filled_comes_with_the_fill() {
    let stage = Stage::with(|limits| limits.ring_events = 4).await;
    let author = stage.world.member();
    let mut client = stage.member().await;
    let (room, opened, _) = full_room(&stage, author).await;
    let (other, _) = stage.world.room().await;
    client.watch(&[room, other]).await;
    stage.world.keys_away.store(true, Ordering::SeqCst);
    client
        .send(json!({"t": "resume", "rooms": {room.to_string(): opened}}))
        .await;
    eventually("the fill was tried", || stage.metric(FAILED) >= 1).await;
    let head = stage.world.say(room, author, "meanwhile").await;
    client.send(json!({"t": "ping"})).await;
    assert_eq!(
        client.next().await["t"],
        "pong",
        "it hears nothing of the room yet"
    );
    stage.world.keys_away.store(false, Ordering::SeqCst);
    let (to, events) = filled(&mut client, opened).await;
    if to < head {
        assert_eq!(client.expect("event").await["seq"], head);
    } else {
        assert_eq!((to, events), (head, 21));
    }
    let seq = stage.world.say(other, author, "elsewhere").await;
    assert_eq!(client.expect("event").await["seq"], seq);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_cannot_be_reached_at_hello_is_entered_later() {
    let stage = Stage::start().await;
    let author = stage.world.member();
    let (room, opened, head) = full_room(&stage, author).await;
    let (unwanted, _, _) = full_room(&stage, author).await;
    stage.world.workers_away.store(true, Ordering::SeqCst);
    let mut client = Client::connect(stage.address).await;
    let resume = [(room, opened), (unwanted, 0)];
    let ready = client.hello(&stage.world, author, &resume).await;
    assert_eq!(ready["heads"], json!({}), "neither is watched yet");
    client
        .send(json!({"t": "unwatch", "id": 1, "rooms": [unwanted]}))
        .await;
    assert_eq!(client.next().await["t"], "ok");
    eventually("it was tried again", || stage.metric(FAILED) >= 3).await;
    stage.world.workers_away.store(false, Ordering::SeqCst);
    assert_eq!(filled(&mut client, opened).await, (head, 20));
    let next = stage.world.say(room, author, "next").await;
    stage.world.say(unwanted, author, "unheard").await;
    assert_eq!(client.expect("event").await["seq"], next);
    tokio::time::sleep(Duration::from_millis(100)).await;
    client.send(json!({"t": "ping"})).await;
    assert_eq!(
        client.next().await["t"],
        "pong",
        "a room that was given up stays silent"
    );
}

//! Who follows a room sees every event of it, once, in order, whatever happens in between.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use veza_events::RoomId;

use crate::client::{Client, View};
use crate::stage::{SOON, Stage, eventually};

/// Reads until the room is seen up to `head`, asking for what is missing.
async fn follow(client: &mut Client, room: RoomId, view: &mut View, head: u64) {
    let read = read_up_to(client, room, view, head);
    tokio::time::timeout(SOON, read)
        .await
        .expect("everything arrives");
}

async fn read_up_to(client: &mut Client, room: RoomId, view: &mut View, head: u64) {
    while view.last < head {
        let frame = client.next().await;
        if let Some(from) = view.take(&frame, room) {
            client
                .send(json!({"t": "resume", "rooms": {room.to_string(): from}}))
                .await;
        }
    }
}

fn bodies(view: &View) -> Vec<String> {
    view.seen.values().cloned().collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_acked_and_reaches_everybody_with_its_chain() {
    let stage = Stage::start().await;
    let (room, opened) = stage.world.room().await;
    let mut ann = stage.watcher(room).await;
    let mut bob = stage.watcher(room).await;
    let id = ann.say(room, "hi").await;
    let mut frames = [ann.next().await, ann.next().await];
    frames.sort_by_key(|frame| frame["t"].as_str().map(str::to_owned));
    let [ack, event] = frames;
    assert_eq!(
        (&ack["t"], &ack["id"], &ack["duplicate"]),
        (&json!("ack"), &json!(id), &json!(false))
    );
    assert_eq!(
        (&event["t"], &event["seq"], &event["prev"]),
        (&json!("event"), &ack["seq"], &json!(opened))
    );
    assert_eq!(event["command_id"], ack["command_id"]);
    assert_eq!(event["by"], json!(ann.account));
    assert_eq!(
        event["data"],
        json!({"message": ack["message"], "body": "hi", "reply_to": null})
    );
    assert_eq!(bob.expect("event").await, event, "the same bytes for everybody");
    stage.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_tells_who_one_is_and_what_holds() {
    let stage = Stage::start().await;
    let account = stage.world.member();
    let mut client = Client::connect(stage.address).await;
    let ready = client.hello(&stage.world, account, &[]).await;
    assert_eq!(
        (&ready["account"], &ready["heartbeat_ms"]),
        (&json!(account), &json!(25_000))
    );
    assert_eq!(
        (&ready["max_frame"], &ready["heads"]),
        (&json!(65_536), &json!({}))
    );
    assert!(ready["session"].is_string() && ready["now"].is_string());
    client.send(json!({"t": "ping"})).await;
    client.expect("pong").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_is_filled_from_memory_and_goes_on() {
    let stage = Stage::start().await;
    let (room, opened) = stage.world.room().await;
    let author = stage.world.member();
    let mut watcher = stage.watcher(room).await;
    let mut view = View::from(opened);
    for n in 0..5 {
        let head = stage.world.say(room, author, &n.to_string()).await;
        follow(&mut watcher, room, &mut view, head).await;
    }
    let account = watcher.account.unwrap();
    drop(watcher);
    for n in 5..20 {
        stage.world.say(room, author, &n.to_string()).await;
    }
    let mut again = Client::connect(stage.address).await;
    let ready = again.hello(&stage.world, account, &[(room, view.last)]).await;
    assert!(ready["heads"][room.to_string()].as_u64().unwrap() >= view.last);
    let head = stage.world.say(room, author, "20").await;
    follow(&mut again, room, &mut view, head).await;
    assert_eq!(bodies(&view), numbers(0..21));
    assert!(stage.metric("veza_realtime_fills_total{why=\"memory\"}") >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_memory_has_lost_is_filled_from_the_log() {
    let stage = Stage::with(|limits| limits.ring_events = 4).await;
    let (room, opened) = stage.world.room().await;
    let author = stage.world.member();
    let mut head = opened;
    for n in 0..1_300 {
        head = stage.world.say(room, author, &n.to_string()).await;
    }
    let mut client = Client::connect(stage.address).await;
    client.hello(&stage.world, author, &[(room, opened)]).await;
    let mut view = View::from(opened);
    follow(&mut client, room, &mut view, head).await;
    let last = stage.world.say(room, author, "1300").await;
    follow(&mut client, room, &mut view, last).await;
    assert_eq!((bodies(&view), view.resets), (numbers(0..1_301), 0));
    assert!(stage.metric("veza_realtime_fills_total{why=\"log\"}") >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_missed_too_much_is_told_to_begin_anew() {
    let stage = Stage::with(|limits| {
        limits.ring_events = 4;
        limits.max_fill_events = 50;
    })
    .await;
    let (room, opened) = stage.world.room().await;
    let author = stage.world.member();
    for n in 0..80 {
        stage.world.say(room, author, &n.to_string()).await;
    }
    let mut client = Client::connect(stage.address).await;
    client.hello(&stage.world, author, &[(room, opened)]).await;
    let reset = client.expect("reset").await;
    assert_eq!((&reset["room"], &reset["why"]), (&json!(room), &json!("too_far")));
    let seq = stage.world.say(room, author, "next").await;
    let event = client.expect("event").await;
    assert_eq!(
        (&event["prev"], &event["seq"]),
        (&reset["head"], &json!(seq)),
        "goes on from the head it named"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_saw_more_than_there_is_comes_from_another_log() {
    let stage = Stage::start().await;
    let (room, opened) = stage.world.room().await;
    let mut client = Client::connect(stage.address).await;
    client
        .hello(&stage.world, stage.world.member(), &[(room, opened + 1_000)])
        .await;
    let reset = client.expect("reset").await;
    assert_eq!((&reset["why"], &reset["head"]), (&json!("epoch"), &json!(opened)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_told_of_its_lag_and_catches_up_without_a_hole() {
    let stage = Stage::with(|limits| {
        limits.lag_queue_bytes = 20_000;
        // It reads nothing for as long as the log takes to store it all.
        limits.slow_reader_timeout_ms = 600_000;
        limits.ring_events = 64;
    })
    .await;
    let (room, opened) = stage.world.room().await;
    let author = stage.world.member();
    let mut slow = stage.watcher(room).await;
    let body = "x".repeat(8_000);
    let mut head = opened;
    // More than the buffers of both systems hold, while nothing is read.
    for n in 0..1_500 {
        head = stage.world.say(room, author, &format!("{n} {body}")).await;
    }
    let mut view = View::from(opened);
    let mut lags = 0;
    let read = async {
        while view.last < head {
            let frame = slow.next().await;
            lags += usize::from(frame["t"] == "lag");
            if let Some(from) = view.take(&frame, room) {
                slow.send(json!({"t": "resume", "rooms": {room.to_string(): from}}))
                    .await;
            }
        }
    };
    tokio::time::timeout(SOON * 2, read).await.expect("it catches up");
    assert!(lags > 0, "it was slow enough to be told");
    let first_words = view
        .seen
        .values()
        .map(|body| body.split(' ').next().unwrap().to_owned());
    assert_eq!(
        (first_words.collect::<Vec<_>>(), view.resets),
        (numbers(0..1_500), 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_sockets_come_and_go_and_the_log_dies() {
    let mut stage = Stage::with(|limits| limits.ring_events = 32).await;
    let (room, opened) = stage.world.room().await;
    let author = stage.world.member();
    let world = std::sync::Arc::clone(&stage.world);
    let speaker = tokio::task::spawn(async move {
        let mut head = 0;
        for n in 0..400 {
            head = world.say(room, author, &n.to_string()).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        head
    });
    let (address, world) = (stage.address, std::sync::Arc::clone(&stage.world));
    let listener = tokio::task::spawn(async move {
        let account = world.member();
        let mut view = View::from(opened);
        for life in 0_u64.. {
            let mut client = Client::connect(address).await;
            client.hello(&world, account, &[(room, view.last)]).await;
            let until = view.last + 20 + life % 7;
            let read = read_up_to(&mut client, room, &mut view, until);
            let _ = tokio::time::timeout(Duration::from_millis(700), read).await;
            if view.seen.len() == 400 {
                break;
            }
        }
        view
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.nats.kill9().await;
    stage.nats.restart().await.unwrap();
    let head = tokio::time::timeout(SOON, speaker).await.unwrap().unwrap();
    let view = tokio::time::timeout(SOON, listener).await.unwrap().unwrap();
    assert_eq!((bodies(&view), view.resets), (numbers(0..400), 0));
    assert!(view.last >= head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_key_is_away_holds_up_its_room_and_no_other() {
    let stage = Stage::start().await;
    let (held, opened) = stage.world.room().await;
    let author = stage.world.member();
    let mut client = stage.watcher(held).await;
    stage.world.keys_away.store(true, Ordering::SeqCst);
    let mut newest = 0;
    for n in 0..10 {
        newest = stage.world.say(held, author, &n.to_string()).await;
    }
    eventually("the key was asked for", || {
        stage.metric("veza_realtime_events_total") >= 1
    })
    .await;
    client.send(json!({"t": "ping"})).await;
    client.expect("pong").await;
    stage.world.keys_away.store(false, Ordering::SeqCst);
    let mut view = View::from(opened);
    follow(&mut client, held, &mut view, newest).await;
    assert_eq!(bodies(&view), numbers(0..10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_badge_hears_how_far_the_room_is_and_no_events() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let author = stage.world.member();
    let mut client = stage.member().await;
    let rooms = json!({room.to_string(): "badge"});
    client.send(json!({"t": "watch", "id": 1, "rooms": rooms})).await;
    client.expect("ok").await;
    let begin = Instant::now();
    let mut head = 0;
    for n in 0..50 {
        head = stage.world.say(room, author, &n.to_string()).await;
        // One's own messages are not new to oneself.
        head = head.max(stage.world.say(room, client.account.unwrap(), "mine").await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (mut new, mut badges) = (0, 0);
    loop {
        let badge = client.expect("badge").await["rooms"][room.to_string()].clone();
        new += badge["new"].as_u64().unwrap();
        badges += 1;
        assert_eq!(badge["mentioned"], false);
        if badge["head"] == json!(head) {
            break;
        }
    }
    assert_eq!(new, 50, "each message of others once");
    assert!(badges <= begin.elapsed().as_secs() + 1, "{badges} badges");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_is_not_watched_any_more_is_silent() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let mut client = stage.watcher(room).await;
    client
        .send(json!({"t": "unwatch", "id": 9, "rooms": [room]}))
        .await;
    assert_eq!(client.expect("ok").await["id"], 9);
    let author = stage.world.member();
    let mut other = stage.watcher(room).await;
    stage.world.say(room, author, "unheard").await;
    other.expect("event").await;
    client.send(json!({"t": "ping"})).await;
    client.expect("pong").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_in_the_order_of_the_commands() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let mut client = stage.member().await;
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(client.say(room, &n.to_string()).await);
    }
    let mut acks: Vec<Value> = Vec::new();
    while acks.len() < ids.len() {
        acks.push(client.expect("ack").await);
    }
    assert_eq!(
        acks.iter()
            .map(|ack| ack["id"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        ids
    );
    assert!(
        acks.windows(2)
            .all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64())
    );
}

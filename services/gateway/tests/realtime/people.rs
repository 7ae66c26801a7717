//! Read markers, typing, presence: what people show each other beside messages.

use std::time::Duration;

use serde_json::{Value, json};
use veza_events::{AccountId, RoomId};
use veza_platform::kv::Kv;

use crate::client::Client;
use crate::stage::{SOON, Stage, eventually};

impl Client {
    async fn read(&mut self, room: RoomId, seq: u64) -> Value {
        let id = self.id();
        self.send(json!({"t": "read", "id": id, "room": room, "seq": seq}))
            .await;
        json!(id)
    }

    /// Watches accounts, and says how it is to be seen.
    async fn presence(&mut self, watch: &[AccountId], state: &str) {
        let id = self.id();
        self.send(json!({"t": "presence", "id": id, "watch": watch, "state": state}))
            .await;
        assert_eq!(self.expect("ok").await["id"], id);
    }

    /// Waits until it is told that an account is in a state; skips others.
    async fn sees(&mut self, account: AccountId, state: &str) {
        loop {
            let frame = self.expect("presence").await;
            if frame["states"][account.to_string()] == state {
                return;
            }
        }
    }

    /// Nothing has come but the answer to this.
    async fn quiet(&mut self) {
        self.send(json!({"t": "ping"})).await;
        self.expect("pong").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_marker_reaches_the_other_devices_and_many_at_once_are_one_write() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let account = stage.world.member();
    let (mut one, mut other) = (stage.socket_of(account).await, stage.socket_of(account).await);
    let mut last = Value::Null;
    for seq in [3, 9, 5, 12, 11] {
        last = one.read(room, seq).await;
    }
    let (mut marker, mut notices) = (0, 0);
    while marker < 12 {
        let frame = other.expect("account").await;
        assert_eq!(frame["type"], "account.read");
        let read = frame["data"]["read"][room.to_string()].as_u64().unwrap();
        assert!(read > marker, "forward only");
        (marker, notices) = (read, notices + 1);
    }
    assert!(notices <= 2, "{notices} writes");
    let mut answered = false;
    while !answered {
        let frame = one.next().await;
        answered = frame["t"] == "ok" && frame["id"] == last;
    }
    assert_eq!(stage.world.reads.of(account).await.unwrap()[&room], 12);
    one.read(room, 4).await;
    assert_eq!(stage.world.reads.of(account).await.unwrap()[&room], 12);
    stage.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_is_written_before_a_gateway_ends() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let mut client = stage.member().await;
    client.read(room, 3).await;
    client.expect("ok").await;
    client.read(room, 7).await;
    client.read(room, 8).await;
    eventually("both arrived", || {
        stage.metric("veza_realtime_frames_read_total") >= 4
    })
    .await;
    stage.stop().await.unwrap();
    let kv: Kv<Value> = Kv::open(&stage.world.log, "READ_MARKERS");
    let account = client.account.unwrap().to_string();
    let stored = kv.get_consistent(&account).await.unwrap().unwrap().value;
    assert_eq!(stored["rooms"][room.to_string()], 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_reaches_those_who_see_the_room_and_is_not_repeated() {
    let stage = Stage::start().await;
    let beside = stage.beside().await;
    let (room, _) = stage.world.room().await;
    let (mut ann, mut bob) = (stage.watcher(room).await, stage.watcher(room).await);
    let mut far = beside.watcher(room).await;
    let mut badge = stage.member().await;
    badge
        .send(json!({"t": "watch", "id": 1, "rooms": {room.to_string(): "badge"}}))
        .await;
    badge.expect("ok").await;
    let mut stranger = stage.member().await;
    for _ in 0..3 {
        ann.send(json!({"t": "typing", "room": room})).await;
    }
    for client in [&mut bob, &mut far] {
        let frame = client.expect("typing").await;
        assert_eq!(
            frame,
            json!({"t": "typing", "room": room, "by": ann.account, "ttl_ms": 6_000})
        );
    }
    // Who does not watch the room is not passed on.
    stranger.send(json!({"t": "typing", "room": room})).await;
    stranger.quiet().await;
    let seq = stage.world.say(room, bob.account.unwrap(), "done").await;
    for client in [&mut ann, &mut bob, &mut far] {
        assert_eq!(
            client.expect("event").await["seq"],
            json!(seq),
            "and nothing before it"
        );
    }
    badge.expect("badge").await;
    stage.stop().await.unwrap();
    beside.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_is_told_across_gateways_with_a_grace() {
    let quick = |config: &mut veza_platform::config::RealtimeConfig| {
        config.presence_batch_ms = 100;
        config.presence_grace_ms = 1_000;
    };
    let stage = Stage::with(quick).await;
    let beside = stage.beside().await;
    let (ann, bob) = (stage.world.member(), stage.world.member());
    let mut watcher = stage.socket_of(ann).await;
    watcher.presence(&[bob], "online").await;
    watcher.sees(bob, "offline").await;
    let mut first = beside.socket_of(bob).await;
    watcher.sees(bob, "online").await;
    first.presence(&[ann], "away").await;
    watcher.sees(bob, "away").await;
    first.sees(ann, "online").await;
    // A device on another gateway that hides, hides all.
    let mut second = stage.socket_of(bob).await;
    watcher.sees(bob, "online").await;
    second.presence(&[], "invisible").await;
    watcher.sees(bob, "offline").await;
    second.presence(&[], "online").await;
    watcher.sees(bob, "online").await;
    drop(second);
    watcher.sees(bob, "away").await;
    // Who comes back within the grace was never gone.
    drop(first);
    let again = beside.socket_of(bob).await;
    let frame = watcher.expect("presence").await;
    assert_eq!(frame["states"], json!({bob.to_string(): "online"}));
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    watcher.quiet().await;
    drop(again);
    watcher.sees(bob, "offline").await;
    stage.stop().await.unwrap();
    beside.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_is_for_people_who_share_a_space() {
    let stage = Stage::with(|config| {
        config.presence_batch_ms = 100;
        config.max_watched_accounts = 2;
    })
    .await;
    let (bob, stranger) = (stage.world.member(), stage.world.member());
    stage.world.strangers.lock().unwrap().insert(stranger);
    let _sockets = (stage.socket_of(bob).await, stage.socket_of(stranger).await);
    let mut watcher = stage.member().await;
    watcher.presence(&[bob, stranger], "online").await;
    let frame = watcher.expect("presence").await;
    assert_eq!(frame["states"], json!({bob.to_string(): "online"}));
    let three = [stage.world.member(), bob, stranger];
    watcher
        .send(json!({"t": "presence", "id": 9, "watch": three}))
        .await;
    assert_eq!(watcher.error().await, "account.too_many_watched");
    // Who leaves the space is not told of any more.
    stage.world.strangers.lock().unwrap().insert(bob);
    stage.world.remove(bob).await;
    let told = tokio::time::timeout(SOON, watcher.sees(bob, "offline"));
    told.await.unwrap();
    stage.stop().await.unwrap();
}

//! What becomes of messages, over the WebSocket.

use serde_json::{Value, json};
use veza_events::RoomId;
use veza_platform::ambient;

use crate::client::Client;
use crate::stage::Stage;

/// Sends a frame about a message and returns its ack.
async fn about(client: &mut Client, kind: &str, room: RoomId, posted: &Value, more: Value) -> Value {
    let id = client.id();
    let mut frame = json!({
        "t": kind, "id": id, "room": room, "command_id": ambient::new_uuid(), "message": posted["message"],
        "seq": posted["seq"],
    });
    frame
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    client.send(frame).await;
    let ack = client.expect("ack").await;
    assert_eq!(ack["id"], id);
    ack
}

async fn said(client: &mut Client, room: RoomId, body: &str) -> Value {
    client.say(room, body).await;
    client.expect("ack").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_hear_of_edits_reactions_and_deletions() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let mut watcher = stage.watcher(room).await;
    let mut author = stage.member().await;
    let posted = said(&mut author, room, "frist").await;
    about(&mut author, "edit", room, &posted, json!({"body": "first"})).await;
    about(&mut author, "react", room, &posted, json!({"emoji": "👍"})).await;
    about(&mut author, "delete", room, &posted, json!({})).await;
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(watcher.expect("event").await);
    }
    let kinds: Vec<_> = heard
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "room.message_posted.v1",
            "room.message_edited.v1",
            "room.reaction_added.v1",
            "room.message_deleted.v1"
        ]
    );
    let (message, seq) = (&posted["message"], &posted["seq"]);
    assert_eq!(
        heard[1]["data"],
        json!({"message": message, "posted": seq, "body": "first"})
    );
    assert_eq!(
        heard[2]["data"],
        json!({"message": message, "posted": seq, "emoji": "👍"})
    );
    assert_eq!(heard[3]["data"], json!({"message": message, "posted": seq}));
    for pair in heard.windows(2) {
        assert_eq!(pair[1]["prev"], pair[0]["seq"], "one chain");
    }
}

/// What a client that saw nothing yet is filled with.
async fn filled(stage: &Stage, room: RoomId) -> Vec<Value> {
    let mut client = Client::connect(stage.address).await;
    client
        .hello(&stage.world, stage.world.member(), &[(room, 0)])
        .await;
    let mut events = Vec::new();
    loop {
        let fill = client.expect("fill").await;
        events.extend(fill["events"].as_array().unwrap().iter().cloned());
        if fill["done"] == true {
            return events;
        }
    }
}

fn bodies(events: &[Value]) -> Vec<Value> {
    let told = events.iter().filter(|event| event["data"].get("body").is_some());
    told.map(|event| event["data"]["body"].clone()).collect()
}

async fn taken_back_is_told_no_more(stage: &Stage) {
    let (room, _) = stage.world.room().await;
    let mut watcher = stage.watcher(room).await;
    let mut author = stage.member().await;
    let secret = said(&mut author, room, "secret").await;
    let open = said(&mut author, room, "open").await;
    about(
        &mut author,
        "edit",
        room,
        &secret,
        json!({"body": "still secret"}),
    )
    .await;
    about(&mut author, "edit", room, &open, json!({"body": "open too"})).await;
    about(&mut author, "delete", room, &secret, json!({})).await;
    while watcher.expect("event").await["type"] != "room.message_deleted.v1" {}
    let expected = [Value::Null, json!("open"), Value::Null, json!("open too")];
    assert_eq!(bodies(&filled(stage, room).await), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_later_is_not_told_what_was_taken_back() {
    taken_back_is_told_no_more(&Stage::start().await).await;
    // From the log, by a gateway that keeps next to nothing in memory.
    let forgetful = Stage::with(|config| config.ring_events = 1).await;
    taken_back_is_told_no_more(&forgetful).await;
    assert!(forgetful.metric("veza_realtime_fills_total{why=\"log\"}") > 0);
}

//! What is served at `/asyncapi.json`, held against the frames of every socket of these tests.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use veza_events::RoomId;
use veza_platform::ambient;
use veza_platform::notices::Notices;
use veza_testkit::Frames;

use crate::client::Client;
use crate::stage::Stage;

static FRAMES: LazyLock<Frames> =
    LazyLock::new(|| Frames::of(&serde_json::from_str(&veza_gateway::realtime::document()).unwrap()));

fn documented(by: &str, frame: &Value) -> Result<String, String> {
    FRAMES.documented(by, frame)
}

/// Kinds of frames that a client has sent and heard.
#[derive(Debug, Default)]
pub(crate) struct Kinds(BTreeSet<String>);

impl Kinds {
    /// Notes a frame of a client, if it is a documented one: tests send others, too.
    pub(crate) fn sent(&mut self, frame: &Value) {
        self.0.extend(documented("client", frame));
    }

    /// Notes a frame of the server, which must be a documented one.
    pub(crate) fn heard(&mut self, frame: &Value) {
        let name = documented("server", frame);
        self.0
            .insert(name.unwrap_or_else(|error| panic!("{error}: {frame}")));
    }
}

async fn answered(client: &mut Client, frame: Value, answer: &str) -> Value {
    client.send(frame).await;
    client.until(answer).await
}

/// Everything that can be done about a message.
async fn change(client: &mut Client, room: RoomId) {
    client.say(room, "hello").await;
    let posted = client.until("ack").await;
    for (kind, more) in [
        ("edit", json!({"body": "x"})),
        ("react", json!({"emoji": "👍"})),
        ("unreact", json!({"emoji": "👍"})),
        ("pin", json!({})),
        ("unpin", json!({})),
        ("delete", json!({})),
    ] {
        let mut frame = json!({
            "t": kind, "id": client.id(), "room": room, "command_id": ambient::new_uuid(),
            "message": posted["message"], "seq": posted["seq"],
        });
        let frame_fields = frame.as_object_mut().unwrap();
        frame_fields.extend(more.as_object().unwrap().clone());
        answered(client, frame, "ack").await;
    }
}

/// A socket that says nothing is asked, and answers.
async fn asked_whether_it_is_there() -> BTreeSet<String> {
    let stage = Stage::with(|limits| limits.heartbeat_ms = 500).await;
    let mut quiet = stage.member().await;
    while !quiet.kinds.0.contains("client.pong") {
        let silence = tokio::time::timeout(Duration::from_millis(100), quiet.next()).await;
        assert!(silence.is_err(), "{silence:?}");
    }
    stage.stop().await.unwrap();
    quiet.kinds.0
}

/// What another gateway passes on: a call of a slash command, and an answer to one.
async fn called_and_answered(stage: &Stage, client: &mut Client, room: RoomId) {
    let server: async_nats::ServerAddr = stage.nats.url().parse().unwrap();
    let (user, password) = (server.username().unwrap(), server.password().unwrap());
    let options = async_nats::ConnectOptions::with_user_and_password(user.into(), password.into());
    let other = options.connect(server).await.unwrap();
    let account = client.account.unwrap();
    let invoke = json!({"invoke": {
        "invocation": ambient::new_uuid(), "space": ambient::new_uuid(), "room": room, "by": account,
        "name": "weather", "text": "Paris", "token": "x", "expires_at": "2026-01-02T03:04:05Z",
    }});
    let whisper = json!({"whisper": {
        "invocation": ambient::new_uuid(), "room": room, "by": account, "body": "it rains",
    }});
    for (direct, frame) in [(invoke, "invoke"), (whisper, "whisper")] {
        let subject = format!("live.direct.{account}");
        // The answer says that somebody was there.
        other.request(subject, direct.to_string().into()).await.unwrap();
        client.until(frame).await;
    }
    let nobody = format!("live.direct.{}", ambient::new_uuid());
    let request = async_nats::Request::new().timeout(Some(Duration::from_millis(200)));
    assert!(other.send_request(nobody, request).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_documented_frame_is_seen_as_it_is_documented() {
    let stage = Stage::with(|limits| {
        limits.lag_queue_bytes = 2_000;
    })
    .await;
    let (room, opened) = stage.world.room().await;
    let (mut ann, mut bob) = (stage.watcher(room).await, stage.watcher(room).await);
    change(&mut ann, room).await;
    for kind in 0..7 {
        let event = bob.until("event").await;
        assert_eq!(event["room"], room.to_string(), "{kind}");
    }
    let mut badge = stage.member().await;
    let watch = json!({"t": "watch", "id": 1, "rooms": {room.to_string(): "badge"}});
    answered(&mut badge, watch, "ok").await;
    let id = ann.id();
    answered(
        &mut ann,
        json!({"t": "read", "id": id, "room": room, "seq": opened}),
        "ok",
    )
    .await;
    bob.send(json!({"t": "typing", "room": room})).await;
    ann.until("typing").await;
    let presence = json!({"t": "presence", "id": 9, "watch": [bob.account], "state": "away"});
    answered(&mut ann, presence, "presence").await;
    ann.send(json!({"t": "resume", "rooms": {room.to_string(): opened}}))
        .await;
    ann.until("fill").await;
    let beyond = json!({"t": "resume", "id": 10, "rooms": {room.to_string(): opened + 1_000}});
    assert_eq!(answered(&mut ann, beyond, "reset").await["why"], "epoch");
    answered(&mut ann, json!({"t": "send", "id": 1}), "error").await;
    answered(&mut ann, json!({"t": "ping"}), "pong").await;
    let account = ann.account.unwrap();
    let data = json!({"room": room, "level": "mentions", "mute_until": "2026-01-02T03:04:05Z"});
    let notice = json!({"type": "account.notifications", "at": "2026-01-02T03:04:05Z", "data": data});
    Notices::open(&stage.world.log)
        .tell(account, None, &notice)
        .await
        .unwrap();
    let told = ann.until("account").await;
    assert!(
        told["type"] == "account.read" || told["type"] == "account.notifications",
        "{told}"
    );
    called_and_answered(&stage, &mut ann, room).await;
    // More than may wait for anybody.
    stage.world.say(room, account, &"x".repeat(3_000)).await;
    bob.until("lag").await;
    badge.until("badge").await;
    let unwatch = json!({"t": "unwatch", "id": 11, "rooms": [room]});
    answered(&mut bob, unwatch, "ok").await;
    let mut seen = asked_whether_it_is_there().await;
    seen.extend(ann.kinds.0.clone());
    seen.extend(bob.kinds.0.clone());
    seen.extend(badge.kinds.0.clone());
    // Calls need a media worker and sound: a test of the whole system sees their frames, all of them, in the same way.
    let (calls, all): (BTreeSet<_>, BTreeSet<_>) =
        FRAMES.names().cloned().partition(|name| name.contains(".call."));
    assert_eq!(seen, all);
    assert_eq!(calls.len(), 16, "{calls:?}");
    stage.stop().await.unwrap();
}

#[test]
fn a_frame_that_is_not_documented_is_noticed() {
    for (by, frame) in [
        ("server", json!({"t": "dance"})),
        ("server", json!({"t": "pong", "more": 1})),
        ("server", json!({"t": "ack", "id": 1})),
        ("server", json!({"t": "lag", "heads": {"x": "y"}})),
        ("client", json!({"t": "pin", "id": 1})),
        ("client", json!({"t": "hello", "ticket": "x", "admin": true})),
    ] {
        assert!(documented(by, &frame).is_err(), "{frame}");
    }
    assert_eq!(
        documented("server", &json!({"t": "pong"})).as_deref(),
        Ok("server.pong")
    );
}

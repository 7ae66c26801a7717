//! Large events, compressed once for all sockets that asked for it.

use serde_json::json;
use veza_events::RoomId;

use crate::client::Client;
use crate::stage::Stage;

/// A socket that watches a room and asks for compressed events. Returns whether it gets them.
async fn asking(stage: &Stage, room: RoomId) -> (Client, bool) {
    let mut client = Client::connect(stage.address).await;
    let account = stage.world.member();
    let (ticket, _) = stage.world.ticket(account);
    client.account = Some(account);
    client
        .send(json!({"t": "hello", "ticket": ticket, "deflate": true}))
        .await;
    let ready = client.expect("ready").await;
    client.watch(&[room]).await;
    (client, ready["deflate"] == true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_gets_large_events_compressed_and_the_work_is_done_once() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let author = stage.world.member();
    let mut plain = stage.watcher(room).await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        let (client, deflate) = asking(&stage, room).await;
        assert!(deflate, "ready says so");
        asked.push(client);
    }
    let long = "all that is said at length is said again and again ".repeat(40);
    for body in ["short", &long, "short again"] {
        stage.world.say(room, author, body).await;
        let event = plain.expect("event").await;
        assert_eq!(event["data"]["body"], body);
        for client in &mut asked {
            assert_eq!(client.expect("event").await, event, "the same either way");
        }
    }
    assert_eq!(plain.compressed, 0);
    for client in &asked {
        assert_eq!(client.compressed, 1, "only the long one is worth it");
    }
    let from = stage.metric("veza_realtime_deflated_from_bytes_total");
    let to = stage.metric("veza_realtime_deflated_to_bytes_total");
    let events = 3 * 350 + u64::try_from(long.len()).unwrap();
    assert!(
        from < events + 500,
        "each event once, not for each socket: {from}"
    );
    assert!(to < from - 1_500, "{to} of {from}");
    stage.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_is_told_not_to_compress_says_so() {
    let stage = Stage::with(|limits| limits.deflate_min_bytes = 0).await;
    let (room, _) = stage.world.room().await;
    let (mut client, deflate) = asking(&stage, room).await;
    assert!(!deflate);
    stage
        .world
        .say(room, client.account.unwrap(), &"x".repeat(5_000))
        .await;
    client.expect("event").await;
    assert_eq!(client.compressed, 0);
    stage.stop().await.unwrap();
}

//! How sockets end.

use std::time::Duration;

use futures::StreamExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::stage::{SOON, Stage, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_answers_what_is_under_way_and_asks_everybody_back() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let mut busy = stage.member().await;
    let mut idle = stage.watcher(room).await;
    let mut stranger = Client::connect(stage.address).await;
    let hold = stage.world.slow_commands.acquire_many(1_000).await.unwrap();
    let id = busy.say(room, "last words").await;
    eventually("the command is under way", || {
        stage.metric("veza_realtime_frames_read_total") >= 3
    })
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let lifecycle = stage.runtime.lifecycle.clone();
    let stopping = tokio::task::spawn(async move { lifecycle.drain(SOON).await });
    assert_eq!(idle.closed().await.0, Some(4000));
    assert_eq!(stranger.closed().await.0, Some(4000));
    drop(hold);
    assert_eq!(busy.expect("ack").await["id"], json!(id));
    assert_eq!(busy.closed().await.0, Some(4000));
    stopping.await.unwrap().unwrap();
    assert_eq!(stage.metric("veza_realtime_closes_total{why=\"restarting\"}"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_for_too_long_is_dropped() {
    let stage = Stage::with(|limits| limits.slow_reader_timeout_ms = 300).await;
    let (room, _) = stage.world.room().await;
    let author = stage.world.member();
    let stuck = stage.watcher(room).await;
    let body = "x".repeat(15_000);
    let mut said = 0;
    while stage.metric("veza_realtime_closes_total") == 0 {
        stage.world.say(room, author, &body).await;
        said += 1;
        assert!(said < 5_000, "it is noticed");
    }
    assert_eq!(stage.metric("veza_realtime_closes_total{why=\"slow\"}"), 1);
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_silent_for_two_heartbeats_is_sent_away() {
    let stage = Stage::with(|limits| limits.heartbeat_ms = 100).await;
    let mut silent = stage.member().await;
    let mut awake = stage.member().await;
    let mut pings = 0;
    let code = loop {
        match tokio::time::timeout(SOON, silent.socket.next()).await.unwrap() {
            Some(Ok(Message::Text(text))) => pings += usize::from(text.contains("ping")),
            Some(Ok(Message::Close(close))) => break close.map(|close| u16::from(close.code)),
            other => panic!("{other:?}"),
        }
        // The other one answers.
        awake.send(json!({"t": "pong"})).await;
    };
    assert_eq!((code, pings), (Some(4009), 1));
    awake.send(json!({"t": "ping"})).await;
    awake.expect("pong").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clients_own_close_is_answered() {
    let stage = Stage::start().await;
    let mut client = stage.member().await;
    client.socket.close(None).await.unwrap();
    assert_eq!(client.closed().await, (None, None));
    eventually("the socket is gone", || {
        stage.metric("veza_realtime_sockets") == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_that_vanish_leave_nothing_behind() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let sockets = futures::future::join_all((0..20).map(|_| stage.watcher(room))).await;
    eventually("all are counted", || stage.metric("veza_realtime_watchers") == 20).await;
    drop(sockets);
    eventually("all are gone", || {
        stage.metric("veza_realtime_watchers") == 0 && stage.metric("veza_realtime_sockets") == 0
    })
    .await;
    stage.stop().await.unwrap();
}

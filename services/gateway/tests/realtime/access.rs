//! Nobody gets an event of a room that they may not read, also not on a socket that was open before.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_taken_out_hears_nothing_that_is_said_after() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let author = stage.world.member();
    for _ in 0..10 {
        let mut gone = stage.watcher(room).await;
        let mut stays = stage.watcher(room).await;
        for body in ["before", "just before"] {
            stage.world.say(room, author, body).await;
        }
        // Stored one right after the other: the order of the log is the order of what goes out.
        stage.world.remove(gone.account.unwrap()).await;
        stage.world.say(room, author, "after").await;
        for body in ["before", "just before"] {
            assert_eq!(gone.expect("event").await["data"]["body"], body);
        }
        let reset = gone.expect("reset").await;
        assert_eq!((&reset["room"], &reset["why"]), (&json!(room), &json!("access")));
        for body in ["before", "just before", "after"] {
            assert_eq!(stays.expect("event").await["data"]["body"], body);
        }
        gone.send(json!({"t": "ping"})).await;
        gone.expect("pong").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_roles_reaches_open_sockets_before_the_next_event() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let author = stage.world.member();
    let mut loses = stage.watcher(room).await;
    let mut keeps = stage.watcher(room).await;
    stage.world.change_roles(&[loses.account.unwrap()]).await;
    stage.world.say(room, author, "for some").await;
    assert_eq!(loses.expect("reset").await["why"], "access");
    assert_eq!(
        keeps.expect("event").await["data"]["body"],
        "for some",
        "and who may goes on without a gap"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nobody_can_tell_who_may_read_nothing_goes_out_and_then_all_of_it() {
    let stage = Stage::start().await;
    let (room, opened) = stage.world.room().await;
    let author = stage.world.member();
    let mut client = stage.watcher(room).await;
    stage.world.workers_away.store(true, Ordering::SeqCst);
    stage.world.change_roles(&[]).await;
    let first = stage.world.say(room, author, "1").await;
    stage.world.say(room, author, "2").await;
    client.send(json!({"t": "ping"})).await;
    client.expect("pong").await;
    stage.world.workers_away.store(false, Ordering::SeqCst);
    let (one, two) = (client.expect("event").await, client.expect("event").await);
    assert_eq!(
        (&one["prev"], &one["seq"], &two["prev"]),
        (&json!(opened), &json!(first), &json!(first))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_ended_loses_its_sockets_and_no_others() {
    let stage = Stage::start().await;
    let account = stage.world.member();
    let mut other = stage.socket_of(account).await;
    let (ticket, session) = stage.world.ticket(account);
    let mut ended = crate::client::Client::connect(stage.address).await;
    ended.send(json!({"t": "hello", "ticket": ticket})).await;
    ended.expect("ready").await;
    let begin = tokio::time::Instant::now();
    stage.world.end(session);
    assert_eq!(ended.closed().await.0, Some(4003));
    assert!(begin.elapsed() < std::time::Duration::from_secs(1));
    other.send(json!({"t": "ping"})).await;
    other.expect("pong").await;
}

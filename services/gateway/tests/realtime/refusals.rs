//! Whatever a client does wrong has a code, and only what cannot go on closes the socket.

use futures::SinkExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;

use crate::client::Client;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_is_good_once_and_a_made_up_one_never() {
    let stage = Stage::start().await;
    let (ticket, _) = stage.world.ticket(stage.world.member());
    for (ticket, good) in [
        (ticket.clone(), true),
        (ticket, false),
        ("made up".into(), false),
        (String::new(), false),
    ] {
        let mut client = Client::connect(stage.address).await;
        client.send(json!({"t": "hello", "ticket": ticket})).await;
        if good {
            client.expect("ready").await;
        } else {
            assert_eq!(client.closed().await, (Some(4001), Some("ticket.invalid".into())));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_hello_may_come_first() {
    let stage = Stage::start().await;
    for frame in [
        json!({"t": "watch", "id": 1, "rooms": {}}),
        json!({"t": "resume", "rooms": {}}),
    ] {
        let mut client = Client::connect(stage.address).await;
        client.send(frame).await;
        let (code, error) = client.closed().await;
        assert_eq!(code, Some(4001), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_says_nothing_is_sent_away() {
    let stage = Stage::with(|limits| limits.hello_timeout_ms = 100).await;
    let mut client = Client::connect(stage.address).await;
    assert_eq!(client.closed().await.0, Some(4001));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_cannot_be_read_are_answered_and_the_socket_goes_on() {
    let stage = Stage::start().await;
    let (room, _) = stage.world.room().await;
    let mut client = stage.member().await;
    let stranger = Uuid::from_u128(7);
    for (text, code) in [
        ("{".to_owned(), "frame.malformed"),
        ("[1]".to_owned(), "frame.malformed"),
        (r#"{"t":"dance"}"#.to_owned(), "frame.unknown_type"),
        (r#"{"t":"typing","room":"x"}"#.to_owned(), "frame.invalid"),
        (r#"{"t":"ping","extra":1}"#.to_owned(), "frame.unknown_field"),
        (r#"{"t":"send","id":"one"}"#.to_owned(), "frame.invalid"),
        (r#"{"t":"hello","ticket":"again"}"#.to_owned(), "frame.unexpected"),
        (
            format!(r#"{{"t":"send","id":1,"room":"{stranger}","command_id":"{stranger}","body":"x"}}"#),
            "room.not_found",
        ),
        (
            format!(r#"{{"t":"resume","rooms":{{"{room}":1}}}}"#),
            "room.not_watched",
        ),
    ] {
        client.text(&text).await;
        assert_eq!(client.error().await, code, "{text}");
    }
    client.send(json!({"t": "ping"})).await;
    client.expect("pong").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_client_of_ours_sends_closes_the_socket_with_a_code() {
    let stage = Stage::start().await;
    let large = "x".repeat(70_000);
    for (message, close, code) in [
        (Message::binary(vec![1, 2, 3]), 1003, "frame.binary"),
        (Message::text(large.clone()), 1009, "frame.too_large"),
        (Message::binary(large.into_bytes()), 1009, "frame.too_large"),
    ] {
        let mut client = stage.member().await;
        let _ = client.socket.send(message).await;
        assert_eq!(client.closed().await, (Some(close), Some(code.into())));
    }
}

/// A masked client frame as it lies on the wire; the mask is zero.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    bytes.extend_from_slice(payload);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_not_the_protocol_close_the_socket_with_a_code() {
    let stage = Stage::start().await;
    for (bytes, close) in [
        (raw(0x81, &[b'"', 0xff, 0xfe, b'"']), 1007_u16),
        (raw(0xc1, b"{}"), 1002),
        (raw(0x83, b"{}"), 1002),
        (raw(0x80, b"{}"), 1002),
        (vec![0x81, 2, b'{', b'}'], 1002),
    ] {
        let mut client = stage.member().await;
        let stream = client.socket.get_mut();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let code = close.to_be_bytes();
        assert!(
            answer.windows(2).any(|pair| pair == code),
            "{close} in {answer:?} for {bytes:?}"
        );
    }
    let mut client = stage.member().await;
    client.send(json!({"t": "ping"})).await;
    client.expect("pong").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_in_pieces_is_one_frame() {
    let stage = Stage::start().await;
    let mut client = stage.member().await;
    let stream = client.socket.get_mut();
    stream
        .write_all(&[raw(0x01, br#"{"t":"#), raw(0x89, b"?"), raw(0x80, br#""ping"}"#)].concat())
        .await
        .unwrap();
    client.expect("pong").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rooms_that_one_may_not_read_are_refused_like_rooms_that_are_not_there() {
    let stage = Stage::start().await;
    let (room, opened) = stage.world.room().await;
    let stranger = Uuid::from_u128(9).into();
    let nowhere = Uuid::from_u128(8);
    let mut client = Client::connect(stage.address).await;
    client.hello(&stage.world, stranger, &[(room, opened)]).await;
    let reset = client.expect("reset").await;
    assert_eq!((&reset["room"], &reset["why"]), (&json!(room), &json!("access")));
    let rooms = json!({room.to_string(): "full", nowhere.to_string(): "full"});
    client.send(json!({"t": "watch", "id": 4, "rooms": rooms})).await;
    let ok = client.expect("ok").await;
    assert_eq!(
        ok["refused"],
        json!({room.to_string(): "room.not_found", nowhere.to_string(): "room.not_found"})
    );
    assert_eq!(ok["heads"], json!({}));
    client.say(room, "let me in").await;
    assert_eq!(client.error().await, "member.not_joined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_watches_a_limited_number_of_rooms() {
    let stage = Stage::with(|limits| limits.max_watched_rooms = 2).await;
    let (first, _) = stage.world.room().await;
    let (second, _) = stage.world.room().await;
    let (third, _) = stage.world.room().await;
    let mut client = stage.member().await;
    client.watch(&[first, second]).await;
    client
        .send(json!({"t": "watch", "id": 5, "rooms": {third.to_string(): "full"}}))
        .await;
    assert_eq!(
        client.expect("ok").await["refused"][third.to_string()],
        "room.too_many_watched"
    );
    client.watch(&[first]).await;
    let all = json!({first.to_string(): "full", second.to_string(): "full", third.to_string(): "full"});
    client.send(json!({"t": "watch", "id": 6, "rooms": all})).await;
    assert_eq!(client.error().await, "room.too_many_watched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_frames_are_refused_and_then_the_socket_is_closed() {
    let stage = Stage::with(|limits| {
        limits.frames_per_minute = 60;
        limits.frame_burst = 5;
    })
    .await;
    let (room, _) = stage.world.room().await;
    let mut client = stage.member().await;
    for _ in 0..4 {
        client.send(json!({"t": "ping"})).await;
        client.expect("pong").await;
    }
    let id = client.say(room, "one too many").await;
    let error = client.expect("error").await;
    assert_eq!(
        (&error["id"], &error["code"]),
        (&json!(id), &json!("connection.rate"))
    );
    assert!(error["retry_after_ms"].as_u64().unwrap() <= 1_000);
    for _ in 0..120 {
        if client
            .socket
            .send(Message::text(r#"{"t":"ping"}"#))
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(client.closed().await.0, Some(1008));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_commands_than_may_wait_are_each_refused_by_their_id() {
    let stage = Stage::with(|limits| limits.command_queue = 3).await;
    let (room, _) = stage.world.room().await;
    let mut client = stage.member().await;
    let hold = stage.world.slow_commands.acquire_many(1_000).await.unwrap();
    let mut ids = Vec::new();
    for n in 0..8 {
        ids.push(client.say(room, &n.to_string()).await);
    }
    let mut answers = std::collections::BTreeMap::new();
    while answers.len() < 4 {
        let error = client.expect("error").await;
        assert_eq!(error["code"], "connection.busy");
        answers.insert(error["id"].as_u64().unwrap(), "busy");
    }
    drop(hold);
    while answers.len() < 8 {
        answers.insert(client.expect("ack").await["id"].as_u64().unwrap(), "stored");
    }
    assert_eq!(
        answers.keys().copied().collect::<Vec<_>>(),
        ids,
        "each is answered once"
    );
    assert_eq!(stage.world.posts.load(std::sync::atomic::Ordering::SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_has_a_limited_number_of_sockets() {
    let stage = Stage::with(|limits| limits.max_sockets_per_account = 2).await;
    let account = stage.world.member();
    let first = stage.socket_of(account).await;
    let _second = stage.socket_of(account).await;
    let (ticket, _) = stage.world.ticket(account);
    let mut third = Client::connect(stage.address).await;
    third.send(json!({"t": "hello", "ticket": ticket})).await;
    assert_eq!(
        third.closed().await,
        (Some(1013), Some("connection.too_many".into()))
    );
    drop(first);
    // The place is free as soon as the gateway has seen the end.
    crate::stage::eventually("the place is free", || stage.metric("veza_realtime_sockets") <= 1).await;
    stage.socket_of(account).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_sockets_at_once_all_get_in() {
    let stage = Stage::start().await;
    let (room, opened) = stage.world.room().await;
    let sockets = (0..100).map(|_| async { stage.watcher(room).await });
    let sockets = futures::future::join_all(sockets).await;
    let author = stage.world.member();
    stage.world.say(room, author, "all").await;
    for mut socket in sockets {
        assert_eq!(socket.expect("event").await["prev"], json!(opened));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_is_not_ours_is_refused_before_the_socket() {
    let stage = Stage::start().await;
    for (header, status) in [
        (("origin", "https://evil.example"), 403),
        (("sec-websocket-protocol", "veza.v9.json"), 400),
        (("sec-websocket-version", "8"), 400),
        (("upgrade", "h2c"), 400),
    ] {
        let refused = Client::try_connect(stage.address, &[header]).await.err().unwrap();
        let Error::Http(response) = refused else {
            panic!("{refused}")
        };
        assert_eq!(response.status(), status, "{header:?}");
    }
    let own = format!("http://{}", "127.0.0.1:8080");
    Client::try_connect(stage.address, &[("origin", &own)])
        .await
        .unwrap();
}

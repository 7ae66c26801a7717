//! Connections as hostile or unlucky clients make them, on real sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use poem::endpoint::{make, make_sync};
use poem::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use veza_platform::config::GatewayConfig;
use veza_platform::lifecycle::Lifecycle;

use crate::raw::{Answer, PATIENCE, Raw, ask, config, serve};

const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// Answers everything with the address of the client.
fn hello() -> impl poem::Endpoint<Output = Response> + 'static {
    make_sync(|request: Request| Response::builder().body(request.remote_addr().to_string()))
}

fn short() -> GatewayConfig {
    GatewayConfig {
        header_timeout_ms: 150,
        idle_timeout_ms: 400,
        ..config()
    }
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[tokio::test]
async fn a_client_that_sends_nothing_or_half_a_head_is_closed_soon() {
    let server = serve(&short(), hello()).await;
    for beginning in ["", "G", "GET / HTTP/1.1\r\nhost: x\r\nx-slow", "PRI * HT"] {
        let begun = Instant::now();
        let mut raw = Raw::connect(server.address).await;
        raw.send(beginning).await;
        raw.closed().await;
        assert!(begun.elapsed() < Duration::from_secs(3), "{beginning:?}");
    }
}

#[tokio::test]
async fn a_head_that_trickles_in_buys_no_time() {
    let server = serve(&short(), hello()).await;
    let raw = Raw::connect(server.address).await;
    let (mut reader, mut writer) = raw.0.into_split();
    let trickle = async {
        writer.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        while writer.write_all(b"x-a: b\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut rest = Vec::new();
    tokio::select! {
        () = trickle => {}
        _ = reader.read_to_end(&mut rest) => {}
        () = tokio::time::sleep(PATIENCE) => panic!("a trickling head stays open"),
    }
}

#[tokio::test]
async fn a_connection_is_used_again_until_it_has_been_idle_for_too_long() {
    let server = serve(&short(), hello()).await;
    let mut raw = Raw::connect(server.address).await;
    for _ in 0..3 {
        raw.send(GET).await;
        assert_eq!(raw.answer().await.unwrap().status, 200);
    }
    let idle = Instant::now();
    raw.closed().await;
    assert!(
        idle.elapsed() > Duration::from_millis(300),
        "idle connections live longer than slow heads"
    );
}

#[tokio::test]
async fn a_head_that_is_too_large_or_no_http_is_refused() {
    let server = serve(&config(), hello()).await;
    let large = format!("GET / HTTP/1.1\r\nx-large: {}\r\n\r\n", "a".repeat(100_000));
    assert_eq!(ask(server.address, large).await.status, 431);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x-a: b\r\n".repeat(200));
    assert_eq!(ask(server.address, many).await.status, 431);
    assert_eq!(
        ask(server.address, "\u{1}\u{2} nonsense\r\n\r\n").await.status,
        400
    );
    assert_eq!(
        ask(server.address, GET).await.status,
        200,
        "others are served as before"
    );
}

#[tokio::test]
async fn one_address_has_a_bounded_number_of_connections() {
    let config = GatewayConfig {
        max_connections_per_address: 2,
        ..config()
    };
    let server = serve(&config, hello()).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut raw = Raw::connect(server.address).await;
        raw.send(GET).await;
        assert!(raw.answer().await.is_some());
        open.push(raw);
    }
    let mut third = Raw::connect(server.address).await;
    third.send(GET).await;
    assert!(third.answer().await.is_none(), "the third is closed unanswered");
    open.pop();
    let begun = Instant::now();
    loop {
        let mut again = Raw::connect(server.address).await;
        again.send(GET).await;
        if again.answer().await.is_some() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "a closed connection makes room");
    }
}

#[tokio::test]
async fn further_connections_wait_while_all_seats_are_taken() {
    let config = GatewayConfig {
        max_connections: 1,
        ..config()
    };
    let server = serve(&config, hello()).await;
    let mut first = Raw::connect(server.address).await;
    first.send(GET).await;
    assert!(first.answer().await.is_some());
    let mut second = Raw::connect(server.address).await;
    second.send(GET).await;
    let waiting = tokio::time::timeout(Duration::from_millis(200), second.0.readable()).await;
    assert!(waiting.is_err(), "nobody answers the second yet");
    drop(first);
    assert_eq!(second.answer().await.unwrap().status, 200);
}

#[tokio::test]
async fn only_a_trusted_proxy_may_speak_for_clients() {
    let request = "GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 203.0.113.7\r\n\r\n";
    let open = serve(&config(), hello()).await;
    assert!(text(&ask(open.address, request).await).starts_with("socket://127.0.0.1:"));
    let behind_proxy = GatewayConfig {
        trusted_proxies: vec!["127.0.0.0/8".into()],
        ..config()
    };
    let server = serve(&behind_proxy, hello()).await;
    assert!(text(&ask(server.address, request).await).starts_with("socket://203.0.113.7:"));
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_closes_the_rest() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&entered), Arc::clone(&release));
    let slow = make(move |request: Request| {
        let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
        async move {
            if request.uri().path() == "/slow" {
                tell.notify_one();
                wait.notified().await;
            }
            Response::builder().body("done")
        }
    });
    let server = serve(&config(), slow).await;
    let mut idle = Raw::connect(server.address).await;
    idle.send(GET).await;
    assert!(idle.answer().await.is_some());
    let mut busy = Raw::connect(server.address).await;
    busy.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    entered.notified().await;

    let clients = async {
        idle.closed().await;
        release.notify_one();
        let answer = busy.answer().await.expect("the request under way is answered");
        assert_eq!((answer.status, text(&answer)), (200, "done"));
        busy.closed().await;
    };
    let (drained, ()) = tokio::join!(server.lifecycle.drain(PATIENCE), clients);
    drained.unwrap();
    assert!(
        tokio::net::TcpStream::connect(server.address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn an_upgraded_connection_goes_on_with_whoever_took_it() {
    let life = Lifecycle::new("echo");
    let echo = make_sync(move |request: Request| {
        let upgrade = request.take_upgrade().unwrap();
        life.spawn("echo", async move {
            let (mut reader, mut writer) = tokio::io::split(upgrade.await.unwrap());
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
        });
        Response::builder()
            .status(http::StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "echo")
            .finish()
    });
    let server = serve(&short(), echo).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send("GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await;
    assert_eq!(raw.answer().await.unwrap().status, 101);
    // Longer than a head or an idle connection may take.
    tokio::time::sleep(Duration::from_millis(600)).await;
    raw.send("still there").await;
    let mut back = [0; 11];
    tokio::time::timeout(PATIENCE, raw.0.read_exact(&mut back))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&back, b"still there");
}

#[tokio::test]
async fn http2_is_spoken_where_the_client_begins_with_it() {
    let server = serve(&config(), hello()).await;
    let mut raw = Raw::connect(server.address).await;
    raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await;
    let mut frame = [0; 9];
    tokio::time::timeout(PATIENCE, raw.0.read_exact(&mut frame))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(frame[3], 4, "the first frame of the server is SETTINGS");
}

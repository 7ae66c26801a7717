//! Asking servers that people name: whom it reaches, and what it does with what they say.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use veza_platform::config::Config;
use veza_platform::outgoing::{Longer, Outgoing, OutgoingError, Url, Want};
use veza_platform::telemetry::Metrics;
use veza_testkit::TestFolder;

/// Somebody's server: answers each request with what `answer` makes of its path, and counts who connects.
struct Server {
    address: SocketAddr,
    met: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Server {
    async fn start(answer: impl Fn(&str, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::on("127.0.0.1:0", answer).await
    }

    async fn on(address: &str, answer: impl Fn(&str, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let met = Arc::new(AtomicUsize::new(0));
        let (count, answer) = (Arc::clone(&met), Arc::new(answer));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let answer = Arc::clone(&answer);
                open.spawn(async move {
                    let mut head = vec![0; 8_192];
                    let read = stream.read(&mut head).await.unwrap_or(0);
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    let said = answer(&path, &head);
                    if said.is_empty() {
                        std::future::pending::<()>().await;
                    }
                    let _ = stream.write_all(&said).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self {
            address,
            met,
            _tasks: tasks,
        }
    }

    fn url(&self, path: &str) -> Url {
        Url::parse(&format!("http://{}{path}", self.address)).unwrap()
    }

    fn met(&self) -> usize {
        self.met.load(Ordering::Relaxed)
    }
}

fn says(body: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}

fn moved(to: &str) -> Vec<u8> {
    format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n").into_bytes()
}

fn outgoing(change: impl FnOnce(&mut Config)) -> Outgoing {
    let mut config = Config::default();
    config.outgoing.timeout_ms = 5_000;
    change(&mut config);
    Outgoing::new(&config, &Metrics::new(), "test").unwrap()
}

fn to(networks: &[&str]) -> Outgoing {
    outgoing(|config| config.outgoing.allow = networks.iter().map(|&network| network.to_owned()).collect())
}

fn want(max_bytes: usize, longer: Longer) -> Want<'static> {
    Want {
        accept: "text/html",
        accepts: &|_| true,
        max_bytes,
        longer,
    }
}

async fn get(outgoing: &Outgoing, url: Url) -> Result<(StatusCode, String), OutgoingError> {
    let answer = outgoing.get(&url, want(1_000, Longer::Refuse)).await?;
    Ok((answer.status, String::from_utf8(answer.body.to_vec()).unwrap()))
}

#[tokio::test]
async fn a_page_is_read_without_telling_who_asks() {
    let server = Server::start(|path, head| {
        assert_eq!(path, "/a?b=c");
        let lower = head.to_lowercase();
        assert!(lower.contains("user-agent: veza/") && lower.contains("accept: text/html"));
        assert!(!lower.contains("cookie") && !lower.contains("authorization") && !lower.contains("referer"));
        says("hello")
    })
    .await;
    let found = get(&to(&["127.0.0.1"]), server.url("/a?b=c#fragment")).await;
    assert_eq!(found, Ok((StatusCode::OK, "hello".to_owned())));
}

#[tokio::test]
async fn neighbours_are_not_even_connected_to() {
    let server = Server::start(|_, _| says("secret")).await;
    let closed = outgoing(|config| config.outgoing.ports.push(server.address.port().to_string()));
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ] {
        let url = Url::parse(&format!("http://{host}:{port}/")).unwrap();
        let refused = get(&closed, url).await.unwrap_err();
        assert_eq!(refused, OutgoingError::NotPublic, "{host}");
    }
    assert_eq!(server.met(), 0);
}

#[tokio::test]
async fn a_redirect_is_looked_at_like_the_first_address() {
    let inner = Server::on("127.0.0.2:0", |_, _| says("secret")).await;
    let inside = inner.url("/").to_string();
    let outer = Server::start(move |path, _| match path {
        "/in" => moved(&inside),
        "/file" => moved("file:///etc/passwd"),
        "/user" => moved("http://root:root@127.0.0.1/"),
        "/round" => moved("/round"),
        "/three" => moved("/two"),
        "/two" => moved("one"),
        "/one" => moved("//127.0.0.1:1/../end"),
        _ => says("end"),
    })
    .await;
    let outgoing = to(&["127.0.0.1"]);
    let reached = async |path: &str| get(&outgoing, outer.url(path)).await;
    assert_eq!(reached("/in").await, Err(OutgoingError::NotPublic));
    assert_eq!(inner.met(), 0);
    assert_eq!(reached("/file").await, Err(OutgoingError::BadAddress));
    assert_eq!(reached("/user").await, Err(OutgoingError::BadAddress));
    assert_eq!(reached("/round").await, Err(OutgoingError::TooManyRedirects));
    // The last of three leads to a port where nobody is.
    assert_eq!(reached("/three").await, Err(OutgoingError::Unreachable));
}

#[tokio::test]
async fn large_slow_and_strange_answers_end_soon() {
    let server = Server::start(|path, _| match path {
        "/large" => says(&"x".repeat(5_000)),
        "/silent" => Vec::new(),
        "/strange" => b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
        "/broken" => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec(),
        "/endless" => {
            let chunk = format!("2710\r\n{}\r\n", "y".repeat(10_000));
            [
                b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                chunk.as_bytes(),
            ]
            .concat()
        }
        _ => b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\ngone".to_vec(),
    })
    .await;
    let outgoing = outgoing(|config| {
        config.outgoing.allow = vec!["127.0.0.1".into()];
        config.outgoing.timeout_ms = 500;
    });
    let of = async |path: &str, want| outgoing.get(&server.url(path), want).await.map(|a| a.body.len());
    let (whole, part) = (want(1_000, Longer::Refuse), want(1_000, Longer::Cut));
    assert_eq!(of("/large", whole).await, Err(OutgoingError::TooLarge));
    assert_eq!(of("/large", part).await, Ok(1_000));
    assert_eq!(of("/endless", whole).await, Err(OutgoingError::TooLarge));
    assert_eq!(of("/endless", part).await, Ok(1_000));
    assert_eq!(of("/silent", whole).await, Err(OutgoingError::Timeout));
    assert_eq!(of("/strange", whole).await, Err(OutgoingError::Protocol));
    assert_eq!(of("/broken", whole).await, Err(OutgoingError::Protocol));
    assert_eq!(of("/none", whole).await, Ok(0), "a refusal has no body");
    let picture = Want {
        accepts: &|head: &HeaderMap| head["content-type"] == "image/png",
        ..whole
    };
    assert_eq!(of("/large", picture).await, Err(OutgoingError::Unwanted));
}

#[tokio::test]
async fn only_so_many_ask_at_once() {
    let server = Server::start(|path, _| if path == "/silent" { Vec::new() } else { says("ok") }).await;
    let outgoing = outgoing(|config| {
        config.outgoing.allow = vec!["127.0.0.1".into()];
        config.outgoing.max_in_flight = 1;
        config.outgoing.timeout_ms = 600;
    });
    let ask = |path: &str| {
        let (outgoing, url) = (outgoing.clone(), server.url(path));
        async move { get(&outgoing, url).await }
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(ask("/silent"));
    while server.met() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tasks.spawn(ask("/"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.met(), 1, "the second waits for its turn");
    tasks.join_all().await;
    assert_eq!(ask("/").await.unwrap().1, "ok");
}

#[tokio::test]
async fn what_is_brought_arrives_and_a_redirect_is_not_followed() {
    let server = Server::start(|path, head| {
        if path == "/moved" {
            return moved("/");
        }
        assert!(head.starts_with("POST / HTTP/1.1") && head.contains("ttl: 60") && head.ends_with("body"));
        b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n".to_vec()
    })
    .await;
    let outgoing = to(&["127.0.0.1"]);
    let post = async |path: &str| {
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("ttl"), "60".parse().unwrap())]);
        let body = Bytes::from_static(b"body");
        let answer = outgoing
            .post(&server.url(path), headers, body, want(10, Longer::Cut))
            .await;
        answer.unwrap().status
    };
    assert_eq!(post("/").await, StatusCode::CREATED);
    assert_eq!(post("/moved").await, StatusCode::FOUND);
}

#[tokio::test]
async fn a_certificate_is_believed_when_its_authority_is() {
    let folder = TestFolder::new();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 1_024]).await;
            let _ = stream.write_all(&says("safe")).await;
            let _ = stream.shutdown().await;
        }
    });
    let url = |host: &str| Url::parse(&format!("https://{host}:{port}/")).unwrap();
    let networks = vec!["127.0.0.0/8".to_owned()];
    let stranger = outgoing(|config| config.outgoing.allow.clone_from(&networks));
    assert_eq!(get(&stranger, url("localhost")).await, Err(OutgoingError::Tls));
    let believing = outgoing(|config| {
        config.outgoing.allow = networks;
        config.outgoing.ca_file = Some(file);
    });
    assert_eq!(get(&believing, url("localhost")).await.unwrap().1, "safe");
    let named = get(&believing, url("127.0.0.1")).await;
    assert_eq!(
        named,
        Err(OutgoingError::Tls),
        "the certificate names another host"
    );
}

#[test]
fn addresses_that_are_none_are_told_at_once() {
    let outgoing = to(&[]);
    for text in [
        "",
        "example.org",
        "ftp://example.org/",
        "file:///etc/passwd",
        "http://user@example.org/",
        "https://:secret@example.org/",
        "javascript:alert(1)",
        "http://",
        "http://exa mple.org/",
    ] {
        assert_eq!(outgoing.address(text), Err(OutgoingError::BadAddress), "{text}");
    }
    let long = format!("https://example.org/{}", "x".repeat(2_048));
    assert_eq!(outgoing.address(&long), Err(OutgoingError::BadAddress));
    for text in [
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1",
        "https://8.8.8.8:22/",
    ] {
        assert_eq!(outgoing.address(text), Err(OutgoingError::NotPublic), "{text}");
    }
    assert!(outgoing.address("https://example.org/x?y#z").is_ok());
}

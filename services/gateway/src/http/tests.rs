//! The door on a real socket, before an API of its own: what every request meets whatever it asks for.

use std::net::SocketAddr;
use std::time::Duration;

use poem::{EndpointExt, IntoEndpoint, Route};
use poem_openapi::param::{Path, Query};
use poem_openapi::{Object, OpenApi, OpenApiService};
use serde::Deserialize;
use uuid::Uuid;
use veza_platform::config::{Config, GatewayConfig, LimitsConfig};
use veza_platform::telemetry::Metrics;

use super::body::Json;
use super::door::{Door, Rules};
use super::problem::Failure;
use super::reply::Found;
use crate::raw::{Answer, Raw, Running, ask, serve};

struct Things;

#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct Thing {
    name: String,
    count: u32,
}

#[expect(clippy::unused_async, reason = "operations are")]
#[OpenApi]
impl Things {
    #[oai(path = "/things/:id", method = "post")]
    async fn make(&self, id: Path<Uuid>, Json(thing): Json<Thing>) -> Result<Found<Thing>, Failure> {
        let _ = id;
        Ok(Found::new(thing))
    }

    #[oai(path = "/things/:id", method = "get")]
    async fn get(
        &self,
        id: Path<Uuid>,
        #[oai(validator(maximum(value = "200")))] limit: Query<Option<u16>>,
    ) -> Result<Found<Thing>, Failure> {
        let _ = (id, limit);
        let thing = Thing {
            name: "a".into(),
            count: 1,
        };
        Ok(Found::tagged(thing, 7))
    }

    #[oai(path = "/panic", method = "get")]
    async fn panic(&self) -> Result<Found<Thing>, Failure> {
        panic!("secret of the inside")
    }

    #[oai(path = "/never", method = "get")]
    async fn never(&self) -> Result<Found<Thing>, Failure> {
        std::future::pending().await
    }
}

fn config() -> Config {
    Config {
        gateway: GatewayConfig {
            max_body_bytes: 1_000,
            body_timeout_ms: 200,
            request_timeout_ms: 1_000,
            public_url: "https://chat.example.org".into(),
            ..crate::raw::config()
        },
        limits: LimitsConfig {
            request_burst: 10_000,
            ..LimitsConfig::default()
        },
        ..Config::default()
    }
}

async fn things(config: &Config) -> Running {
    let mut rules = Rules::new(config).unwrap();
    let mut table = std::collections::HashMap::new();
    Things.add_routes(&mut table);
    rules.methods = table
        .into_keys()
        .map(|route| (route, "GET, POST".to_owned()))
        .collect();
    let api = OpenApiService::new(Things, "things", "1");
    let routes = Route::new()
        .at("/realtime", poem::endpoint::make_sync(|_| "socket"))
        .nest("/", api);
    let door = Door::new(routes.into_endpoint(), rules, &Metrics::new());
    serve(&config.gateway, door.boxed()).await
}

const THING: &str = "/things/0190a5d0-0000-7000-8000-000000000001";

fn post(path: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

async fn send(address: SocketAddr, body: &[u8]) -> Answer {
    ask(address, post(THING, "application/json", body)).await
}

async fn get(address: SocketAddr, path: &str, headers: &str) -> Answer {
    ask(
        address,
        format!("GET {path} HTTP/1.1\r\nhost: x\r\n{headers}\r\n"),
    )
    .await
}

#[tokio::test]
async fn whatever_is_wrong_with_a_body_is_a_problem_with_a_code() {
    let server = things(&config()).await;
    let good = send(server.address, br#"{"name":"a","count":1}"#).await;
    assert_eq!(good.status, 200);
    for body in [
        b"".as_slice(),
        b"{",
        b"null",
        b"[]",
        br#"{"name":"a","count":"1"}"#,
        br#"{"name":1,"count":1}"#,
        br#"{"name":"a","count":1,"x":1}"#,
        br#"{"name":"a","name":"b","count":1}"#,
        b"{\"name\":\"\xff\",\"count\":1}",
        &[b"[".repeat(900), b"]".repeat(90)].concat(),
    ] {
        let answer = send(server.address, body).await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "request.malformed".to_owned())
        );
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
}

#[tokio::test]
async fn size_kind_and_slowness_of_a_body_have_limits() {
    let server = things(&config()).await;
    let large = send(server.address, &[b' '; 1_001]).await;
    assert_eq!(
        (large.status, large.code()),
        (413, "request.too_large".to_owned())
    );
    let chunked = format!(
        "POST {THING} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
         800\r\n{}\r\n0\r\n\r\n",
        " ".repeat(0x800)
    );
    let large = ask(server.address, chunked).await;
    assert_eq!(
        (large.status, large.code()),
        (413, "request.too_large".to_owned())
    );
    for kind in ["text/plain", "application/xml", "\u{e4}"] {
        let answer = ask(server.address, post(THING, kind, b"{}")).await;
        assert_eq!(
            (answer.status, answer.code()),
            (415, "request.media_type".to_owned()),
            "{kind}"
        );
    }
    let mut raw = Raw::connect(server.address).await;
    let begun = format!(
        "POST {THING} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{"
    );
    raw.send(begun).await;
    let slow = raw.answer().await.unwrap();
    assert_eq!((slow.status, slow.code()), (408, "request.timeout".to_owned()));
}

#[tokio::test]
async fn bad_addresses_are_problems_too() {
    let server = things(&config()).await;
    for (path, status, code) in [
        ("/", 404, "request.unknown_path"),
        ("/thing", 404, "request.unknown_path"),
        ("/things/", 404, "request.unknown_path"),
        ("/things/../panic", 404, "request.unknown_path"),
        ("/things/x", 400, "request.parameter"),
        ("/things/%ff", 400, ""),
        ("/things/%", 400, "request.parameter"),
        ("/things/%00", 400, "request.parameter"),
        (
            "/things/0190a5d0-0000-7000-8000-000000000001?limit=201",
            400,
            "request.parameter",
        ),
        (
            "/things/0190a5d0-0000-7000-8000-000000000001?limit=-1",
            400,
            "request.parameter",
        ),
        (
            "/things/0190a5d0-0000-7000-8000-000000000001?limit=%ff",
            400,
            "request.parameter",
        ),
    ] {
        let answer = get(server.address, path, "").await;
        assert_eq!(answer.status, status, "{path}");
        assert!(
            code.is_empty() || answer.code() == code,
            "{path}: {}",
            answer.code()
        );
    }
    let no_path = ask(server.address, "OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(no_path.status, 404);
    let connect = ask(server.address, "CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n\r\n").await;
    assert_eq!(connect.status, 404);
    let method = ask(
        server.address,
        format!("DELETE {THING} HTTP/1.1\r\nhost: x\r\n\r\n"),
    )
    .await;
    assert_eq!((method.status, method.code()), (405, "request.method".to_owned()));
    assert_eq!(method.header("allow"), Some("get, post"));
    assert_eq!(
        get(server.address, "/realtime", "").await.status,
        200,
        "beside the API"
    );
}

#[tokio::test]
async fn a_handler_that_panics_or_never_ends_is_answered_for() {
    let server = things(&config()).await;
    let panicked = get(server.address, "/panic", "").await;
    assert_eq!(
        (panicked.status, panicked.code()),
        (500, "platform.internal".to_owned())
    );
    assert!(!String::from_utf8_lossy(&panicked.body).contains("secret"));
    let never = get(server.address, "/never", "").await;
    assert_eq!(
        (never.status, never.code()),
        (503, "platform.unavailable".to_owned())
    );
    assert_eq!(never.header("retry-after"), Some("1"));
    assert_eq!(
        get(server.address, THING, "").await.status,
        200,
        "the server lives on"
    );
    assert!(server.lifecycle.failure().is_none());
}

#[tokio::test]
async fn every_answer_carries_an_id_and_forbids_what_no_api_needs() {
    let server = things(&config()).await;
    for path in [THING, "/nowhere"] {
        let answer = get(server.address, path, "").await;
        assert!(
            answer
                .header("x-request-id")
                .is_some_and(|id| id.parse::<Uuid>().is_ok())
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(
            answer
                .header("content-security-policy")
                .is_some_and(|csp| csp.contains("default-src 'none'"))
        );
        assert!(answer.header("strict-transport-security").is_some());
        assert!(answer.header("ratelimit").is_some());
    }
}

#[tokio::test]
async fn hostile_origins_get_no_say_and_break_nothing() {
    let server = things(&config()).await;
    let friend = get(server.address, THING, "origin: https://chat.example.org\r\n").await;
    assert_eq!(
        friend.header("access-control-allow-origin"),
        Some("https://chat.example.org")
    );
    for origin in [
        b"https://evil.test".as_slice(),
        b"null",
        b"\xff\xfe",
        b"https://chat.example.org.evil.test",
        b"",
    ] {
        let request = [
            b"GET /nowhere HTTP/1.1\r\nhost: x\r\norigin: ",
            origin,
            b"\r\n\r\n",
        ]
        .concat();
        let answer = ask(server.address, request).await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.header("vary"), Some("origin"));
        let preflight = [
            b"OPTIONS /things/x HTTP/1.1\r\nhost: x\r\naccess-control-request-method: \xff\r\norigin: ",
            origin,
            b"\r\n\r\n",
        ];
        assert_eq!(ask(server.address, preflight.concat()).await.status, 403);
    }
    let asks = "OPTIONS /things/x HTTP/1.1\r\nhost: x\r\norigin: https://chat.example.org\r\n\
                access-control-request-method: POST\r\n\r\n";
    let allowed = ask(server.address, asks).await;
    assert_eq!(allowed.status, 204);
    assert!(
        allowed
            .header("access-control-allow-methods")
            .is_some_and(|methods| methods.contains("post"))
    );
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_again() {
    let mut config = config();
    config.limits.request_burst = 2;
    config.limits.requests_per_minute_per_address = 6;
    let server = things(&config).await;
    for _ in 0..2 {
        assert_eq!(get(server.address, THING, "").await.status, 200);
    }
    let refused = get(server.address, THING, "").await;
    assert_eq!((refused.status, refused.code()), (429, "request.rate".to_owned()));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(refused.header("ratelimit-policy"), Some("\"address\";q=6;w=60"));
}

#[tokio::test]
async fn what_the_client_already_has_is_not_sent_again() {
    let server = things(&config()).await;
    let first = get(server.address, THING, "").await;
    assert_eq!(first.header("etag"), Some("\"7\""));
    let again = get(server.address, THING, "if-none-match: \"6\", W/\"7\"\r\n").await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(
        get(server.address, THING, "if-none-match: \"8\"\r\n")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn a_request_is_counted_by_its_route_and_never_by_its_path() {
    let metrics = Metrics::new();
    let rules = Rules::new(&config()).unwrap();
    let routes = Route::new().nest("/", OpenApiService::new(Things, "things", "1"));
    let door = Door::new(routes.into_endpoint(), rules, &metrics);
    let server = serve(&config().gateway, door.boxed()).await;
    get(server.address, THING, "").await;
    ask(server.address, "BREW /pot-1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let text = metrics.encode();
    assert!(
        text.contains(r#"veza_http_requests_total{method="GET",route="/things/:param0",status="200"} 1"#),
        "{text}"
    );
    assert!(
        text.contains(r#"method="other",route="unmatched",status="404""#),
        "{text}"
    );
    assert!(!text.contains("0190a5d0") && !text.contains("pot-1"));
}

#[tokio::test]
async fn tls_is_1_3_and_nothing_older() {
    let folder = veza_testkit::TestFolder::new();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut config = config();
    config.gateway.tls_cert_file = Some(cert);
    config.gateway.tls_key_file = Some(key);
    let server = things(&config).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let handshake = async |versions: &[&'static rustls::SupportedProtocolVersion]| {
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap();
        let client = client.with_root_certificates(roots.clone()).with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let handshake = connector.connect("localhost".try_into().unwrap(), stream);
        tokio::time::timeout(Duration::from_secs(10), handshake)
            .await
            .unwrap()
    };
    let stream = handshake(&[&rustls::version::TLS13]).await.unwrap();
    let group = stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    assert!(handshake(&[&rustls::version::TLS12]).await.is_err());
}

//! Calls by HTTP alone (WHIP, WHEP): what is refused, and real peers.

use std::{path::Path, process::Stdio};

use reqwest::{Method, Response};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use uuid::Uuid;
use veza_client::{Person, new_id};

use crate::{
    bots,
    browsers::{Browser, Pages},
    log,
    platform::{EVERY_ROLE, PASSWORD, Platform, eventually},
};

/// The beginning of each description below.
macro_rules! head {
    () => {
        concat!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=ice-ufrag:abcd\r\n",
            "a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=fingerprint:sha-256 ",
            "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\n",
            "a=setup:actpass\r\n",
        )
    };
}
/// The description of one who sends sound.
pub(crate) const VOICE: &str = concat!(
    head!(),
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\n",
    "a=rtpmap:111 opus/48000/2\r\na=ssrc:1001 cname:x\r\n"
);
/// The description of one who only wants to hear.
pub(crate) const WATCHER: &str = concat!(
    head!(),
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n",
    "a=rtpmap:111 opus/48000/2\r\n"
);
const CANDIDATE: &str = "a=mid:0\r\na=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\n";
const ANEW: &str = "a=ice-ufrag:efgh\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n";

/// Somebody's requests.
struct Door {
    http: reqwest::Client,
    api: String,
    token: String,
}

impl Door {
    fn of(platform: &Platform, token: String) -> Self {
        Self {
            http: reqwest::Client::new(),
            api: platform.fleet.url(),
            token,
        }
    }

    async fn post(&self, path: &str, sdp: &'static str, key: Uuid) -> Response {
        let request = self.http.post(format!("{}{path}", self.api));
        let request = request
            .bearer_auth(&self.token)
            .header("idempotency-key", key.to_string());
        let sent = request.header("content-type", "application/sdp").body(sdp).send();
        sent.await.unwrap()
    }

    async fn patch(&self, place: &str, tag: Option<&str>, part: &'static str) -> Response {
        let mut request = self
            .http
            .patch(format!("{}{place}", self.api))
            .bearer_auth(&self.token);
        if let Some(tag) = tag {
            request = request.header("if-match", tag);
        }
        let kind = "application/trickle-ice-sdpfrag";
        request
            .header("content-type", kind)
            .body(part)
            .send()
            .await
            .unwrap()
    }

    async fn send(&self, method: Method, path: &str) -> Response {
        let request = self.http.request(method, format!("{}{path}", self.api));
        request.bearer_auth(&self.token).send().await.unwrap()
    }
}

fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name);
    value
        .unwrap_or_else(|| panic!("{name} is missing: {response:?}"))
        .to_str()
        .unwrap()
        .to_owned()
}

async fn refused(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let problem: Value = response.json().await.unwrap();
    (status, problem["code"].as_str().unwrap_or_default().to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_comes_in_by_one_request_and_goes_by_another() {
    let turn = [
        ("VEZA__MEDIA__TURN_URLS", "turn:turn.example.org"),
        ("VEZA__MEDIA__TURN_SECRET", "north"),
    ];
    let platform = Platform::with(&EVERY_ROLE, 1, &turn).await;
    let ([ada, grace], _, room) = platform.people(["ada", "grace"]).await;
    let (ada, grace) = (
        Door::of(&platform, ada.access_token()),
        Door::of(&platform, grace.access_token()),
    );
    let (whip, watch) = (format!("/v1/rooms/{room}/whip"), format!("/v1/rooms/{room}/whep"));
    let nobody = grace.post(&watch, WATCHER, new_id()).await;
    assert_eq!(
        refused(nobody).await,
        is(404, "call.not_open"),
        "a watcher begins no call"
    );

    let key = new_id();
    let answer = ada.post(&whip, VOICE, key).await;
    assert_eq!(answer.status(), 201, "{:?}", answer.text().await);
    let (place, tag) = (header(&answer, "location"), header(&answer, "etag"));
    assert_eq!(header(&answer, "content-type"), "application/sdp");
    assert!(header(&answer, "link").starts_with("<turn:turn.example.org>; rel=\"ice-server\"; username="));
    let sdp = answer.text().await.unwrap();
    assert!(
        sdp.contains("a=recvonly") && sdp.contains("a=candidate:") && sdp.contains("a=ice-lite"),
        "{sdp}"
    );
    assert_eq!(
        header(&ada.post(&whip, VOICE, key).await, "location"),
        place,
        "the same again"
    );

    // The way to it, and a new beginning; by nobody else.
    let without = ada.patch(&place, None, CANDIDATE).await;
    assert_eq!(refused(without).await, is(428, "call.if_match_required"));
    let other = ada.patch(&place, Some("\"x\""), CANDIDATE).await;
    assert_eq!(refused(other).await, is(412, "request.precondition_failed"));
    let taken = ada.patch(&place, Some(&tag), CANDIDATE).await;
    assert_eq!(
        (taken.status().as_u16(), header(&taken, "etag")),
        (204, tag.clone())
    );
    let nonsense = ada.patch(&place, Some(&tag), "hello").await;
    assert_eq!(refused(nonsense).await, is(422, "call.candidate_invalid"));
    let anew = ada.patch(&place, Some("*"), ANEW).await;
    let new = header(&anew, "etag");
    assert_eq!(anew.status(), 200);
    assert_ne!(new, tag);
    let part = anew.text().await.unwrap();
    assert!(
        part.contains(&format!("a=ice-ufrag:{}", new.trim_matches('"'))),
        "{part}"
    );
    let old = ada.patch(&place, Some(&tag), CANDIDATE).await;
    assert_eq!(refused(old).await, is(412, "request.precondition_failed"));
    let foreign = grace.patch(&place, Some("*"), ANEW).await;
    assert_eq!(refused(foreign).await, is(404, "call.not_in"));
    let foreign = grace.send(Method::DELETE, &place).await;
    assert_eq!(refused(foreign).await, is(404, "call.not_in"));

    // Who watches is in the call as well.
    let watching = grace.post(&watch, WATCHER, new_id()).await;
    assert_eq!(watching.status(), 201);
    let watcher = header(&watching, "location");
    assert!(watching.text().await.unwrap().contains("a=sendonly"));
    assert_eq!(grace.send(Method::DELETE, &watcher).await.status(), 200);
    assert_eq!(ada.send(Method::DELETE, &place).await.status(), 200);
    let gone = ada.patch(&place, Some(&new), CANDIDATE).await;
    assert_eq!(refused(gone).await, is(404, "call.not_open"));
    let expected = [
        "opened",
        "participant_joined",
        "track_published",
        "participant_joined",
        "participant_left",
        "participant_left",
        "closed",
    ];
    assert_eq!(log::calls(&platform, room).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_cannot_be_is_refused_with_a_reason() {
    let platform = Platform::start().await;
    let ([ada, grace], space, room) = platform.people(["ada", "grace"]).await;
    let secret = serde_json::json!({"name": "secret", "private": true});
    let made = ada
        .post(&format!("/v1/spaces/{space}/rooms"), &secret)
        .await
        .unwrap();
    let secret = made["id"].as_str().unwrap().to_owned();
    let owner = Door::of(&platform, ada.access_token());
    let member = Door::of(&platform, grace.access_token());
    let stranger = platform.api().register("eve", "eve", PASSWORD).await.unwrap();
    let eve = Door::of(&platform, stranger.access_token());
    let (whip, watch) = (format!("/v1/rooms/{room}/whip"), format!("/v1/rooms/{room}/whep"));
    for (sdp, status, code) in [
        ("", 422, "call.offer_invalid"),
        ("v=0", 422, "call.offer_invalid"),
        (WATCHER, 422, "call.offer_invalid"),
        (
            "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n",
            422,
            "call.offer_invalid",
        ),
    ] {
        let answer = owner.post(&whip, sdp, new_id()).await;
        assert_eq!(refused(answer).await, is(status, code), "{sdp}");
    }
    let kinds = log::calls(&platform, room).await;
    assert_eq!(
        kinds.last().map_or("closed", String::as_str),
        "closed",
        "{kinds:?}"
    );
    let url = format!("{}{whip}", owner.api);
    let json = owner
        .http
        .post(&url)
        .bearer_auth(&owner.token)
        .json(&1)
        .send()
        .await;
    assert_eq!(refused(json.unwrap()).await, is(415, "request.media_type"));
    let unsigned = owner
        .http
        .post(&url)
        .header("content-type", "application/sdp")
        .body(VOICE);
    assert_eq!(
        refused(unsigned.send().await.unwrap()).await,
        is(401, "session.required")
    );
    let asked = owner.send(Method::OPTIONS, &watch).await;
    assert_eq!(
        (asked.status().as_u16(), header(&asked, "accept-post")),
        (204, "application/sdp".into())
    );
    assert_eq!(owner.send(Method::GET, &whip).await.status(), 405);

    // Rights are those of the room.
    assert_eq!(owner.post(&whip, VOICE, new_id()).await.status(), 201);
    assert_eq!(
        refused(eve.post(&watch, WATCHER, new_id()).await).await,
        is(404, "space.not_found")
    );
    assert_eq!(member.post(&watch, WATCHER, new_id()).await.status(), 201);
    let (whip, watch) = (
        format!("/v1/rooms/{secret}/whip"),
        format!("/v1/rooms/{secret}/whep"),
    );
    assert_eq!(owner.post(&whip, VOICE, new_id()).await.status(), 201);
    assert_eq!(
        refused(member.post(&watch, WATCHER, new_id()).await).await,
        is(404, "room.not_found")
    );
    assert_eq!(
        refused(member.post(&whip, VOICE, new_id()).await).await,
        is(404, "room.not_found")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_streams_with_the_scope_for_it() {
    let platform = Platform::start().await;
    let ([ada], space, room) = platform.people(["ada"]).await;
    let whip = format!("/v1/rooms/{room}/whip");
    for (handle, scope, status) in [("camera", "calls", 201), ("clerk", "messages:read", 403)] {
        let (bot, _, secret) = bots::make(&ada, handle, &[scope]).await;
        let path = format!("/v1/spaces/{space}/bots/{bot}");
        ada.call(Method::PUT, &path, None).await.unwrap();
        let token = bots::token_of(&platform, bot, &secret).await;
        let door = Door::of(&platform, token);
        let answer = door.post(&whip, VOICE, new_id()).await;
        assert_eq!(answer.status(), status, "{:?}", answer.text().await);
    }
}

/// A peer that is no browser, and its reports.
struct Peer {
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Peer {
    fn start(platform: &Platform, kind: &str, person: &Person, room: Uuid) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let packages = folder.join("../../.veza/tools/aiortc");
        assert!(
            packages.exists(),
            "run `./veza test`: {} is missing",
            packages.display()
        );
        let mut child = Command::new("python3")
            .env("PYTHONPATH", packages)
            .arg(folder.join("tests/peers/stream.py"))
            .args([
                kind,
                &platform.fleet.url(),
                &person.access_token(),
                &room.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The first report that is as it should be.
    async fn until(&mut self, what: &str, good: impl Fn(&Value) -> bool) -> Value {
        let reading = async {
            loop {
                let line = self.lines.next_line().await.unwrap();
                let report = serde_json::from_str(&line.expect("the peer goes on")).unwrap();
                if good(&report) {
                    return report;
                }
            }
        };
        let report = tokio::time::timeout(crate::platform::PATIENCE, reading).await;
        report.unwrap_or_else(|_| panic!("{what} did not happen"))
    }

    /// Takes its stream out.
    async fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().await.unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_streams_and_a_browser_and_another_peer_watch() {
    let mut pages = Pages::bind().await;
    let env = [("VEZA__GATEWAY__ALLOWED_ORIGINS", pages.origin.as_str())];
    let platform = Platform::with(&EVERY_ROLE, 1, &env).await;
    let ([ada, grace, joan], _, room) = platform.people(["ada", "grace", "joan"]).await;
    let serving = pages.serve();
    let mut sender = Peer::start(&platform, "whip", &ada, room);
    let connected = |report: &Value| report["state"] == "connected" && report["sent"].as_u64() > Some(30);
    sender.until("streaming", connected).await;
    let mut watcher = Peer::start(&platform, "whep", &grace, room);
    let (origin, api, token) = (&pages.origin, platform.fleet.url(), joan.access_token());
    let url = format!("{origin}/watch.html#api={api}&token={token}&room={room}&report=/joan");
    let browser = Browser::open(&url, &platform.folder().join("joan"));
    let shown = |report: &Value| report["video"].as_u64() > Some(60) && report["audio"].as_u64() > Some(100);
    let seen = watcher.until("watching", shown).await;
    assert!(seen["first_picture_ms"].as_u64().is_some(), "{seen}");
    let seen = eventually("the browser watches", || async {
        let got = pages.report("joan");
        let enough = got["frames"].as_u64() > Some(60) && got["samples"].as_f64() > Some(96_000.0);
        enough.then_some(got)
    })
    .await;
    assert_eq!(seen["state"], "connected");
    drop(browser);
    watcher.end().await;
    sender.end().await;
    serving.abort();
    eventually("all are gone", || async {
        let kinds = log::calls(&platform, room).await;
        (kinds.last()? == "closed").then_some(())
    })
    .await;
}

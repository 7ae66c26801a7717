//! People in calls: by the WebSocket, and with real browsers that decode what they get.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Person, Socket, new_id};

use crate::{
    browsers::{Browser, Pages},
    log,
    platform::{EVERY_ROLE, PASSWORD, PATIENCE, Platform, eventually},
};

async fn with_media(env: &[(&'static str, &str)]) -> Platform {
    let roles: Vec<_> = EVERY_ROLE.iter().copied().chain(["media"]).collect();
    Platform::with(&roles, 1, env).await
}

/// A socket, and what it is asked.
struct Caller {
    socket: Socket,
    me: String,
    /// What was told while the last answer was waited for.
    meanwhile: Vec<Value>,
}

impl Caller {
    async fn connect(person: &Person) -> Self {
        let socket = Socket::connect(person, &json!({})).await.unwrap();
        Self {
            socket,
            me: String::new(),
            meanwhile: Vec::new(),
        }
    }

    async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        next.expect("a frame comes in time").unwrap()
    }

    /// The answer to a frame.
    async fn ask(&mut self, mut frame: Value) -> Value {
        let id = self.socket.fresh_id();
        frame["id"] = json!(id);
        self.socket.send(&frame).await.unwrap();
        self.meanwhile.clear();
        loop {
            let frame = self.next().await;
            if frame["id"] == json!(id) {
                return frame;
            }
            self.meanwhile.push(frame);
        }
    }

    /// As [`Self::ask`], of what goes into the log.
    async fn tell(&mut self, mut frame: Value) -> Value {
        frame["command_id"] = json!(new_id());
        self.ask(frame).await
    }

    async fn join(&mut self, room: Uuid) -> Value {
        let joined = self.tell(json!({"t": "call.join", "room": room})).await;
        joined["self"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut self.me);
        joined
    }

    /// An event that the last command of this caller has led to: it may have come before the answer.
    async fn consequence(&mut self, kind: &str) -> Value {
        let heard = self.meanwhile.iter().find(|frame| frame["type"] == kind).cloned();
        match heard {
            Some(heard) => heard,
            None => self.event(kind).await,
        }
    }

    /// Waits for an event of the call.
    async fn event(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["t"] == "call.event" && frame["type"] == kind {
                return frame;
            }
        }
    }
}

fn code(answer: &Value) -> &str {
    assert_eq!(answer["t"], "error", "{answer}");
    answer["code"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_share_a_call_and_the_log_says_what_happened() {
    let platform = with_media(&[]).await;
    let ([ada, grace], _, room) = platform.people(["ada", "grace"]).await;
    let (mut one, mut two) = (Caller::connect(&ada).await, Caller::connect(&grace).await);
    let opened = one.join(room).await;
    assert_eq!(opened["t"], "call.joined", "{opened}");
    let publish = json!({"t": "call.publish", "cid": "0", "source": "microphone", "codec": "opus"});
    let voice = one.tell(publish.clone()).await;
    assert_eq!(voice["t"], "call.published", "{voice}");
    let joined = two.join(room).await;
    assert_eq!(joined["call"], opened["call"]);
    let there = joined["participants"].as_array().unwrap();
    assert_eq!(there.len(), 2, "{joined}");
    let other = there
        .iter()
        .find(|one| one["participant"] != joined["self"])
        .unwrap();
    assert_eq!(other["tracks"][0]["track"], voice["track"]);
    let came = one.event("call.participant_joined.v1").await;
    assert_eq!(came["data"]["participant"], joined["self"]);

    let mute = json!({"t": "call.mute", "track": voice["track"], "muted": true});
    assert_eq!(one.tell(mute).await["t"], "ok");
    let muted = two.event("call.track_muted.v1").await;
    assert_eq!(
        (&muted["data"]["muted"], &muted["data"]["track"]),
        (&json!(true), &voice["track"])
    );
    // The same command again changes nothing.
    let command = new_id();
    let unmute = json!({"t": "call.mute", "track": voice["track"], "muted": false, "command_id": command});
    for _ in 0..2 {
        assert_eq!(one.ask(unmute.clone()).await["t"], "ok");
    }
    assert_eq!(two.tell(json!({"t": "call.leave"})).await["t"], "ok");
    one.event("call.participant_left.v1").await;
    drop(one);
    let expected = [
        "opened",
        "participant_joined",
        "track_published",
        "participant_joined",
        "track_muted",
        "track_muted",
        "participant_left",
        "participant_left",
        "closed",
    ];
    let kinds = eventually("the socket's end is the end of the call", || async {
        let kinds = log::calls(&platform, room).await;
        (kinds.last()? == "closed").then_some(kinds)
    })
    .await;
    assert_eq!(kinds, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_so_and_who_may_no_more_is_taken_out() {
    let platform = with_media(&[]).await;
    let ([ada, grace], space, room) = platform.people(["ada", "grace"]).await;
    let stranger = platform.api().register("eve", "eve", PASSWORD).await.unwrap();
    let mut eve = Caller::connect(&stranger).await;
    assert_eq!(code(&eve.join(room).await), "space.not_found");
    assert_eq!(code(&eve.join(new_id()).await), "room.not_found");
    assert_eq!(
        code(&eve.ask(json!({"t": "call.offer", "sdp": "v=0"})).await),
        "call.not_joined"
    );

    let (mut owner, mut member) = (Caller::connect(&ada).await, Caller::connect(&grace).await);
    owner.join(room).await;
    member.join(room).await;
    assert_eq!(
        code(&owner.ask(json!({"t": "call.offer", "sdp": "v=0"})).await),
        "call.offer_invalid"
    );
    let long = json!({"t": "call.offer", "sdp": "x".repeat(60_001)});
    assert_eq!(code(&owner.ask(long).await), "call.offer_invalid");
    let nonsense = json!({"t": "call.candidate", "candidate": "nonsense"});
    assert_eq!(code(&owner.ask(nonsense).await), "call.candidate_invalid");
    let publish =
        json!({"t": "call.publish", "cid": "0", "source": "camera", "codec": "vp8", "rids": ["q", "h", "f"]});
    let face = member.tell(publish.clone()).await;
    assert_eq!(code(&member.tell(publish).await), "call.already_published");
    let bad = json!({"t": "call.publish", "cid": "1", "source": "screen", "codec": "a b"});
    assert_eq!(code(&member.tell(bad).await), "call.track_invalid");
    let kick = |who: &str| json!({"t": "call.moderate", "action": {"kick": {"participant": who}}});
    assert_eq!(code(&member.tell(kick(&owner.me)).await), "space.not_allowed");
    let mute =
        json!({"t": "call.moderate", "action": {"mute": {"participant": member.me, "track": face["track"]}}});
    assert_eq!(owner.tell(mute).await["t"], "ok");
    let muted = member.event("call.track_muted.v1").await;
    assert_eq!(muted["data"]["participant"], json!(member.me));
    assert_eq!(owner.tell(kick(&member.me)).await["t"], "ok");
    let left = member.event("call.participant_left.v1").await;
    assert_eq!(left["data"]["why"], "kicked");

    member.join(room).await;
    let path = format!("/v1/spaces/{space}/members/{}", grace.account);
    ada.call(Method::DELETE, &path, None).await.unwrap();
    let left = member.event("call.participant_left.v1").await;
    assert_eq!(left["data"]["why"], "access_lost");
    assert_eq!(
        owner
            .tell(json!({"t": "call.moderate", "action": {"end": {}}}))
            .await["t"],
        "ok"
    );
    assert_eq!(owner.consequence("call.closed.v1").await["data"]["why"], "ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_elsewhere_when_its_worker_dies_and_ends_in_order_when_it_stops() {
    let mut platform = with_media(&[]).await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let mut one = Caller::connect(&ada).await;
    let first = one.join(room).await;
    platform.fleet.role_mut("media").unwrap().kill9().await;
    platform.fleet.add("media").await.unwrap();
    let again = one.join(room).await;
    assert_eq!(again["t"], "call.joined", "{again}");
    assert_ne!(
        again["call"], first["call"],
        "who was in the lost call joins anew"
    );
    let kinds = log::calls(&platform, room).await;
    let one_call = ["opened", "participant_joined", "closed"];
    assert_eq!(kinds, [&one_call[..], &one_call[..2]].concat());

    let last = platform.fleet.roles.len() - 1;
    platform.fleet.roles[last].stop().await;
    loop {
        let frame = one.next().await;
        if frame["t"] == "call.reconnect" {
            break;
        }
    }
    let kinds = log::calls(&platform, room).await;
    assert_eq!(
        kinds,
        [one_call, one_call].concat(),
        "a worker that stops leaves no call open"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_browsers_see_and_hear_each_other() {
    let mut pages = Pages::bind().await;
    let platform = with_media(&[("VEZA__GATEWAY__ALLOWED_ORIGINS", &pages.origin)]).await;
    let ([ada, grace], _, room) = platform.people(["ada", "grace"]).await;
    let serving = pages.serve();
    let mut browsers = Vec::new();
    for (name, person) in [("ada", &ada), ("grace", &grace)] {
        let (api, token) = (platform.fleet.url(), person.access_token());
        let url = format!(
            "{}/#api={api}&token={token}&room={room}&report=/{name}",
            pages.origin
        );
        browsers.push(Browser::open(&url, &platform.folder().join(name)));
    }
    for name in ["ada", "grace"] {
        let seen = eventually(&format!("{name} sees and hears"), || async {
            let got = pages.report(name);
            let number = |field: &str| got[field].as_f64().unwrap_or(0.0);
            let enough = number("frames") >= 60.0 && number("samples") >= 96_000.0 && number("energy") > 0.0;
            enough.then_some(got)
        })
        .await;
        assert_eq!(seen["state"], "connected", "{seen}");
    }
    drop(browsers);
    serving.abort();
    let kinds = eventually("both are gone", || async {
        let kinds = log::calls(&platform, room).await;
        (kinds.last()? == "closed").then_some(kinds)
    })
    .await;
    let published = kinds.iter().filter(|kind| *kind == "track_published").count();
    assert_eq!(published, 4, "{kinds:?}");
}

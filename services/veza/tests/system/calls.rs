//! People in calls: by the WebSocket, and with real browsers that decode what they get.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Person, Socket, new_id};
use veza_testkit::Frames;

use crate::{
    browsers::{Browser, Pages},
    log,
    platform::{EVERY_ROLE, PASSWORD, PATIENCE, Platform, eventually},
    streams::WATCHER,
};

/// A socket, and what it is asked.
struct Caller {
    socket: Socket,
    me: String,
    /// What was told while the last answer was waited for.
    meanwhile: Vec<Value>,
    /// What the document says of frames, and which have been seen.
    document: Option<(Frames, BTreeSet<String>)>,
}

impl Caller {
    async fn connect(person: &Person) -> Self {
        let socket = Socket::connect(person, &json!({})).await.unwrap();
        Self {
            socket,
            me: String::new(),
            meanwhile: Vec::new(),
            document: None,
        }
    }

    /// Holds every frame from now on against the document.
    async fn by_the_document(mut self, platform: &Platform) -> Self {
        let document = platform
            .api()
            .call(Method::GET, "/asyncapi.json", None, None)
            .await;
        self.document = Some((Frames::of(&document.unwrap()), BTreeSet::new()));
        self
    }

    fn note(&mut self, by: &str, frame: &Value) {
        if let Some((document, seen)) = &mut self.document {
            let name = document.documented(by, frame);
            seen.insert(name.unwrap_or_else(|error| panic!("{error}: {frame}")));
        }
    }

    fn has_seen(&self, name: &str) -> bool {
        let document = self.document.as_ref();
        document.is_some_and(|(_, seen)| seen.contains(name))
    }

    async fn next(&mut self) -> Value {
        let next = tokio::time::timeout(PATIENCE, self.socket.next()).await;
        let frame = next.expect("a frame comes in time").unwrap();
        self.note("server", &frame);
        frame
    }

    /// The answer to a frame.
    async fn ask(&mut self, mut frame: Value) -> Value {
        let id = self.socket.fresh_id();
        frame["id"] = json!(id);
        self.note("client", &frame);
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
            let frame = self.until("call.event").await;
            if frame["type"] == kind {
                return frame;
            }
        }
    }

    /// Waits for a frame.
    async fn until(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.next().await;
            if frame["t"] == kind {
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
    let platform = Platform::start().await;
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
    let platform = Platform::start().await;
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
    let mut platform = Platform::start().await;
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
    one.until("call.reconnect").await;
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
    let env = [("VEZA__GATEWAY__ALLOWED_ORIGINS", pages.origin.as_str())];
    let mut platform = Platform::with(&EVERY_ROLE, 1, &env).await;
    let ([ada, grace, joan], _, room) = platform.people(["ada", "grace", "joan"]).await;
    let serving = pages.serve();
    let browsers = open(&platform, &pages, room, "vp8", [("ada", &ada), ("grace", &grace)]);
    for name in ["ada", "grace"] {
        let seen = sees_and_hears(&pages, name, "vp8").await;
        assert!(seen["first_picture_ms"].as_f64().unwrap() > 0.0, "{seen}");
    }
    let third = Caller::connect(&joan).await;
    let mut third = third.by_the_document(&platform).await;
    everything_about_a_call(&mut third, room).await;
    if !third.has_seen("server.call.speakers") {
        third.until("call.speakers").await;
    }
    drop(browsers);
    for _ in 0..2 {
        third.event("call.participant_left.v1").await;
    }
    platform.fleet.role_mut("media").unwrap().stop().await;
    third.until("call.reconnect").await;
    let (document, seen) = third.document.take().unwrap();
    let of_calls = |name: &&String| name.contains(".call.");
    let seen: Vec<_> = seen.iter().filter(of_calls).collect();
    assert_eq!(seen, document.names().filter(of_calls).collect::<Vec<_>>());
    drop(third);
    serving.abort();
    let kinds = eventually("both are gone", || async {
        let kinds = log::calls(&platform, room).await;
        (kinds.last()? == "closed").then_some(kinds)
    })
    .await;
    let published = kinds.iter().filter(|kind| *kind == "track_published").count();
    assert_eq!(published, 6, "{kinds:?}");
}

/// Opens the page of each person, who joins at once.
fn open(
    platform: &Platform,
    pages: &Pages,
    room: Uuid,
    codec: &str,
    people: [(&str, &Person); 2],
) -> Vec<Browser> {
    let (origin, api) = (&pages.origin, platform.fleet.url());
    let of = |(name, person): (&str, &Person)| {
        let token = person.access_token();
        let url = format!("{origin}/#api={api}&token={token}&room={room}&codec={codec}&report=/{name}");
        Browser::open(&url, &platform.folder().join(name))
    };
    people.map(of).into()
}

/// Waits until a page shows what another sends, and gives its report.
async fn sees_and_hears(pages: &Pages, name: &str, codec: &str) -> Value {
    let seen = eventually(&format!("{name} sees {codec} and hears"), || async {
        let got = pages.report(name);
        let number = |field: &str| got[field].as_f64().unwrap_or(0.0);
        let enough = number("frames") >= 60.0 && number("samples") >= 96_000.0 && number("energy") > 0.0;
        enough.then_some(got)
    })
    .await;
    assert_eq!(seen["state"], "connected", "{seen}");
    assert_eq!(seen["codecs"], json!([codec]), "{seen}");
    seen
}

/// Every frame that a client can send.
async fn everything_about_a_call(third: &mut Caller, room: Uuid) {
    third.join(room).await;
    let microphone = json!({"t": "call.publish", "cid": "9", "source": "microphone", "codec": "opus"});
    let voice = third.tell(microphone).await["track"].clone();
    let screen =
        json!({"t": "call.publish", "cid": "8", "source": "screen", "codec": "vp8", "rids": ["q", "f"]});
    let screen = third.tell(screen).await["track"].clone();
    let answer = third.ask(json!({"t": "call.offer", "sdp": WATCHER})).await;
    assert_eq!(answer["t"], "call.answer", "{answer}");
    let slots = match third.meanwhile.iter().find(|frame| frame["t"] == "call.slots") {
        Some(slots) => slots.clone(),
        None => third.until("call.slots").await,
    };
    assert!(slots["slots"][0]["track"].is_string(), "{slots}");
    let candidate = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host";
    let me = third.me.clone();
    for frame in [
        json!({"t": "call.candidate", "candidate": candidate}),
        json!({"t": "call.viewport", "visible": [screen], "pinned": [screen], "last_n": 1, "highest": {screen.as_str().unwrap(): 0}}),
    ] {
        assert_eq!(third.ask(frame).await["t"], "ok");
    }
    for frame in [
        json!({"t": "call.mute", "track": voice, "muted": true}),
        json!({"t": "call.unpublish", "track": screen}),
        json!({"t": "call.leave"}),
    ] {
        assert_eq!(third.tell(frame).await["t"], "ok");
    }
    third.join(room).await;
    let kick = json!({"t": "call.moderate", "action": {"kick": {"participant": me}}});
    assert_eq!(code(&third.tell(kick).await), "space.not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_send_and_show_every_codec_that_they_have() {
    let mut pages = Pages::bind().await;
    let env = [("VEZA__GATEWAY__ALLOWED_ORIGINS", pages.origin.as_str())];
    let platform = Platform::with(&EVERY_ROLE, 1, &env).await;
    let ([ada, grace], space, _) = platform.people(["ada", "grace"]).await;
    let serving = pages.serve();
    for codec in ["h264", "vp9", "av1"] {
        let room = ada.create_room(space, codec).await.unwrap();
        let names = [format!("{codec}-ada"), format!("{codec}-grace")];
        let people = [(&*names[0], &ada), (&*names[1], &grace)];
        let browsers = open(&platform, &pages, room, codec, people);
        for name in &names {
            let seen = sees_and_hears(&pages, name, codec).await;
            assert!(seen["layers"].as_u64().unwrap() >= 2, "a simulcast: {seen}");
        }
        drop(browsers);
    }
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_whom_one_has_blocked_the_other_do_not_meet_in_a_call() {
    let platform = Platform::start().await;
    let ([ada, grace], ..) = platform.people(["ada", "grace"]).await;
    let direct = ada
        .post("/v1/directs", &json!({"accounts": [grace.account]}))
        .await
        .unwrap();
    let room: Uuid = direct["room"].as_str().unwrap().parse().unwrap();
    let (mut one, mut two) = (Caller::connect(&ada).await, Caller::connect(&grace).await);
    assert_eq!(one.join(room).await["t"], "call.joined");
    assert_eq!(two.join(room).await["t"], "call.joined");
    let block = format!("/v1/accounts/me/blocks/{}", ada.account);
    grace.call(Method::PUT, &block, None).await.unwrap();
    // Who blocks is taken out; neither comes in again.
    let left = two.event("call.participant_left.v1").await;
    assert_eq!(left["data"]["why"], "access_lost");
    assert_eq!(left["data"]["account"], grace.account.to_string());
    assert_eq!(code(&two.join(room).await), "room.blocked");
    assert_eq!(one.tell(json!({"t": "call.leave"})).await["t"], "ok");
    assert_eq!(code(&one.join(room).await), "room.blocked");
    grace.call(Method::DELETE, &block, None).await.unwrap();
    assert_eq!(one.join(room).await["t"], "call.joined");
}

//! People who are away are told of what is meant for them: once, in words that only their device can read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Person, Socket};
use veza_testkit::push::{PushDevice, vapid_claims};
use veza_testkit::{Met, Web};

use crate::platform::{PASSWORD, Platform, eventually, words};
use crate::structure::{code, delete, put};

const ROLES: [&str; 5] = ["accounts", "chat", "projector", "gateway", "notifier"];
/// Short, so that a test does not take long; long enough to read something in.
const ENV: [(&str, &str); 4] = [
    ("VEZA__REALTIME__PRESENCE_GRACE_MS", "200"),
    ("VEZA__NOTIFIER__GRACE_MS", "2500"),
    ("VEZA__NOTIFIER__RETRY_DELAY_MS", "50"),
    ("VEZA__OUTGOING__ALLOW", "127.0.0.1"),
];
/// Long enough for whatever was due to have come.
const QUIET: Duration = Duration::from_secs(6);

/// A push service that answers with `status`, and a device of somebody's on it.
struct Phone {
    service: Web,
    status: Arc<AtomicU16>,
    device: PushDevice,
    id: Uuid,
    key: String,
}

impl Phone {
    async fn of(person: &Person) -> Self {
        let key = person.get("/v1/push/key").await.unwrap()["key"].clone();
        Self::with(person, key.as_str().unwrap().to_owned()).await
    }

    /// One that subscribes with this key of the installation.
    async fn with(person: &Person, key: String) -> Self {
        let status = Arc::new(AtomicU16::new(201));
        let answers = Arc::clone(&status);
        let service = Web::start(move |_: &Met| {
            let status = answers.load(Ordering::Relaxed);
            Response::builder().status(status).body(Bytes::new()).unwrap()
        })
        .await;
        let device = PushDevice::default();
        let (p256dh, auth) = device.keys();
        let keys = json!({ "p256dh": p256dh, "auth": auth });
        let body = json!({ "endpoint": service.url("/knock"), "keys": keys, "key": key });
        let added = person.post("/v1/push/subscriptions", &body).await.unwrap();
        Self {
            service,
            status,
            device,
            id: added["id"].as_str().unwrap().parse().unwrap(),
            key,
        }
    }

    /// What it was told, opened.
    fn told(&self) -> Vec<Value> {
        let met = self.service.met();
        let opened = met.iter().map(|met| {
            assert_eq!(met.headers["content-encoding"], "aes128gcm");
            let sender = met.headers["authorization"].to_str().unwrap();
            let claims = vapid_claims(sender, &self.key).expect("our key has signed it");
            assert_eq!(claims["aud"], json!(self.service.url("")));
            let plain = self.device.open(&met.body).expect("it is meant for this device");
            serde_json::from_slice(&plain).unwrap()
        });
        opened.collect()
    }

    async fn is_told(&self, times: usize) -> Vec<Value> {
        eventually("the phone is told", async || {
            Some(self.told()).filter(|told| told.len() >= times)
        })
        .await
    }
}

async fn open(person: &Person, other: &Person) -> Uuid {
    let body = json!({ "accounts": [other.account] });
    let found = person.post("/v1/directs", &body).await.unwrap();
    found["room"].as_str().unwrap().parse().unwrap()
}

async fn say(person: &Person, room: Uuid, text: &str) -> Value {
    let path = format!("/v1/rooms/{room}/messages");
    person.post(&path, &words(text)).await.unwrap()
}

async fn go_away(socket: &mut Socket) {
    let away = json!({"t": "presence", "id": 1, "state": "away"});
    socket.send(&away).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_away_is_told_once_also_when_the_notifier_dies() {
    let mut platform = Platform::with(&ROLES, 1, &ENV).await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let direct = open(&ada, &ben).await;
    let (hers, his) = (Phone::of(&ada).await, Phone::of(&ben).await);

    say(&ada, direct, "are you there?").await;
    let told = his.is_told(1).await;
    assert_eq!(
        (
            &told[0]["kind"],
            &told[0]["why"],
            &told[0]["text"],
            &told[0]["author_name"]
        ),
        (
            &json!("message"),
            &json!("direct"),
            &json!("are you there?"),
            &json!("ada")
        )
    );
    assert_eq!(told[0]["room"], json!(direct));

    // What is said to nobody in particular is not worth a knock, until one wants it so.
    say(&ada, room, "good morning everybody").await;
    let reply = say(&ben, room, "morning").await;
    let path = format!("/v1/rooms/{room}/messages");
    let body = json!({ "body": "how are you?", "reply_to": reply["id"] });
    ada.post(&path, &body).await.unwrap();
    let told = his.is_told(2).await;
    assert_eq!(
        (&told[1]["why"], &told[1]["text"]),
        (&json!("reply"), &json!("how are you?"))
    );
    say(&ada, room, "come here, @ben").await;
    let told = his.is_told(3).await;
    assert_eq!(
        (&told[2]["why"], &told[2]["room_name"]),
        (&json!("mention"), &json!("talk"))
    );
    put(
        &ben,
        &format!("/v1/spaces/{space}/notifications"),
        json!({ "level": "all" }),
    )
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    say(&ada, room, "all of it").await;
    assert_eq!(his.is_told(4).await[3]["why"], "all");

    // While it is dead somebody speaks; when it is back that is told, and nothing else again.
    let notifier = platform.fleet.role_mut("notifier").unwrap();
    notifier.kill9().await;
    say(&ada, direct, "while nobody listens").await;
    let notifier = platform.fleet.role_mut("notifier").unwrap();
    notifier.restart().await.unwrap();
    assert_eq!(his.is_told(5).await[4]["text"], "while nobody listens");
    notifier.kill9().await;
    notifier.restart().await.unwrap();
    tokio::time::sleep(QUIET).await;
    let texts: Vec<Value> = his.told().iter().map(|told| told["text"].clone()).collect();
    let expected = [
        "are you there?",
        "how are you?",
        "come here, @ben",
        "all of it",
        "while nobody listens",
    ];
    assert_eq!(texts, expected);
    assert_eq!(
        hers.told(),
        Vec::<Value>::new(),
        "nobody is told of their own words"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_it_mutes_it_or_may_not_read_it_is_left_alone() {
    let platform = Platform::with(&ROLES, 1, &ENV).await;
    let ([ada, ben, eve], space, room) = platform.people(["ada", "ben", "eve"]).await;
    let (direct, quiet) = (open(&ada, &ben).await, open(&ada, &eve).await);
    let (his, hers) = (Phone::of(&ben).await, Phone::of(&eve).await);
    put(
        &eve,
        &format!("/v1/rooms/{quiet}/notifications"),
        json!({ "level": "nothing" }),
    )
    .await
    .unwrap();
    say(&ada, quiet, "not now").await;

    let mut bens = Socket::connect(&ben, &json!({})).await.unwrap();
    bens.watch(direct).await.unwrap();
    // Left alone because of what he has read, and not because he is here.
    go_away(&mut bens).await;
    let said = say(&ada, direct, "you see this").await;
    let read = json!({"t": "read", "id": 9, "room": direct, "seq": said["seq"]});
    bens.send(&read).await.unwrap();
    let taken_back = say(&ada, direct, "a slip of the tongue").await;
    let message = taken_back["id"].as_str().unwrap();
    eventually("it is taken back", async || {
        delete(&ada, &format!("/v1/messages/{message}")).await.ok()
    })
    .await;

    let hers_said = say(&eve, room, "here I am").await;
    let removed = delete(&ada, &format!("/v1/spaces/{space}/members/{}", eve.account)).await;
    removed.unwrap();
    let body = json!({ "body": "she is out", "reply_to": hers_said["id"] });
    ada.post(&format!("/v1/rooms/{room}/messages"), &body)
        .await
        .unwrap();

    tokio::time::sleep(QUIET).await;
    assert_eq!((his.told(), hers.told()), (Vec::new(), Vec::new()));
    say(&ada, direct, "this one").await;
    assert_eq!(his.is_told(1).await[0]["text"], "this one");
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_come_and_go() {
    let platform = Platform::with(&ROLES, 1, &ENV).await;
    let ([ada, ben], ..) = platform.people(["ada", "ben"]).await;
    let direct = open(&ada, &ben).await;
    let his = Phone::of(&ben).await;
    let list = async || ben.get("/v1/push/subscriptions").await.unwrap()["items"].clone();
    assert_eq!(
        (&list().await[0]["id"], &list().await[0]["service"]),
        (&json!(his.id), &json!("127.0.0.1"))
    );
    let path = format!("/v1/push/subscriptions/{}", his.id);
    assert_eq!(code(delete(&ada, &path).await), (404, "push.not_found".into()));

    // A service that is away for a moment is asked again.
    his.status.store(503, Ordering::Relaxed);
    say(&ada, direct, "one").await;
    his.is_told(2).await;
    his.status.store(201, Ordering::Relaxed);
    assert_eq!(list().await.as_array().map(Vec::len), Some(1));
    // One that says that the device is gone is believed.
    his.status.store(410, Ordering::Relaxed);
    say(&ada, direct, "two").await;
    eventually("the device is forgotten", async || {
        (list().await == json!([])).then_some(())
    })
    .await;

    let (p256dh, auth) = PushDevice::default().keys();
    let add = async |endpoint: &str, p256dh: &str, key: Value| {
        let keys = json!({ "p256dh": p256dh, "auth": auth });
        let body = json!({ "endpoint": endpoint, "keys": keys, "key": key });
        code(ben.post("/v1/push/subscriptions", &body).await)
    };
    for endpoint in [
        "http://10.0.0.1/knock",
        "http://169.254.169.254/",
        "ftp://example.org/",
        "knock",
    ] {
        let refused = add(endpoint, &p256dh, Value::Null).await;
        assert_eq!(refused, (422, "push.endpoint_invalid".into()), "{endpoint}");
    }
    let at = his.service.url("/knock");
    assert_eq!(
        add(&at, &auth, Value::Null).await,
        (422, "push.keys_invalid".into())
    );
    assert_eq!(
        add(&at, &p256dh, json!("other")).await,
        (422, "push.key_unknown".into())
    );
    for number in 0..10 {
        let keys = json!({ "p256dh": p256dh, "auth": auth });
        let body = json!({ "endpoint": his.service.url(&format!("/{number}")), "keys": keys });
        ben.post("/v1/push/subscriptions", &body).await.unwrap();
    }
    assert_eq!(
        add(&at, &p256dh, Value::Null).await,
        (429, "push.too_many".into())
    );

    let again = platform.api().sign_in("ada", PASSWORD).await.unwrap();
    assert_eq!(
        again.get("/v1/push/subscriptions").await.unwrap()["items"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_is_for_new_devices_and_the_others_are_told_as_before() {
    let platform = Platform::with(&ROLES, 1, &ENV).await;
    let ([ada, ben], ..) = platform.people(["ada", "ben"]).await;
    let direct = open(&ada, &ben).await;
    let old = Phone::of(&ben).await;
    say(&ada, direct, "before").await;
    old.is_told(1).await;

    let rotated = platform
        .fleet
        .run(&["push", "rotate-keys", "--json"])
        .await
        .unwrap();
    let keys: Value = serde_json::from_str(&rotated).unwrap();
    assert_eq!(keys.as_array().map(Vec::len), Some(2), "{rotated}");
    assert_eq!(
        (&keys[0]["newest"], &keys[1]["newest"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(keys[0]["public"], json!(old.key));
    let new = Phone::with(&ben, keys[1]["public"].as_str().unwrap().to_owned()).await;
    say(&ada, direct, "after").await;
    // Each under the key that it subscribed with, or its service would not believe that it is us.
    assert_eq!(old.is_told(2).await[1]["text"], "after");
    assert_eq!(new.is_told(1).await[0]["text"], "after");
    assert_ne!(old.key, new.key);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_front_of_a_screen_is_left_alone() {
    let platform = Platform::with(&ROLES, 1, &ENV).await;
    let ([ada, ben], ..) = platform.people(["ada", "ben"]).await;
    let direct = open(&ada, &ben).await;
    let his = Phone::of(&ben).await;
    let mut bens = Socket::connect(&ben, &json!({})).await.unwrap();
    say(&ada, direct, "you see this on your desk").await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(his.told(), Vec::<Value>::new());
    go_away(&mut bens).await;
    say(&ada, direct, "you have gone for lunch").await;
    assert_eq!(his.is_told(1).await[0]["text"], "you have gone for lunch");
}

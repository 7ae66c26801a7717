//! What somebody has missed comes by mail: once, and nothing that they have seen or may not see.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Person, Socket};
use veza_platform::ambient;
use veza_testkit::veza_servers::CaughtMail;

use crate::mail::Mailing;
use crate::platform::{eventually, words};
use crate::structure::{code, delete, put};

const WAYS: &str = "/v1/accounts/me/notifications";
const ENV: [(&str, &str); 4] = [
    ("VEZA__NOTIFIER__GRACE_MS", "300"),
    ("VEZA__REALTIME__PRESENCE_GRACE_MS", "200"),
    ("VEZA__MAIL__DIGEST_DELAY_S", "5"),
    ("VEZA__MAIL__DIGEST_PAUSE_S", "0"),
];
/// Long enough for a message to be noted, and for a choice to hold.
const NOTED: Duration = Duration::from_millis(1_500);
const BEN: &str = "ben@example.org";
const EVE: &str = "eve@example.org";
const SUBJECT: &str = "You have missed";

/// Ada, and two who want mail.
struct People {
    ada: Person,
    ben: Person,
    eve: Person,
    /// Where Ada talks with each alone.
    with_ben: Uuid,
    with_eve: Uuid,
}

impl People {
    async fn of(mailing: &Mailing) -> Self {
        let ada = mailing.confirmed("ada").await;
        let (ben, eve) = (mailing.confirmed("ben").await, mailing.confirmed("eve").await);
        let direct = async |other: &Person| -> Uuid {
            put(other, WAYS, json!({ "mail": "mentions" })).await.unwrap();
            let body = json!({ "accounts": [other.account] });
            let found = ada.post("/v1/directs", &body).await.unwrap();
            found["room"].as_str().unwrap().parse().unwrap()
        };
        let (with_ben, with_eve) = (direct(&ben).await, direct(&eve).await);
        tokio::time::sleep(NOTED).await;
        Self {
            ada,
            ben,
            eve,
            with_ben,
            with_eve,
        }
    }

    /// Has Eve be told of something: whatever was due to Ben before has come then as well.
    async fn eve_is_told(&self, mailing: &Mailing) {
        let before = mailing.now(EVE, SUBJECT).len();
        say(&self.ada, self.with_eve, "and you?").await;
        mailing.came(EVE, SUBJECT, before + 1).await;
    }
}

async fn say(person: &Person, room: Uuid, text: &str) -> Value {
    let path = format!("/v1/rooms/{room}/messages");
    person.post(&path, &words(text)).await.unwrap()
}

fn stop_link(mail: &CaughtMail) -> String {
    let link = mail.header("list-unsubscribe").unwrap();
    link.trim_matches(['<', '>']).to_owned()
}

/// Ends both notifiers where they are, and starts them again.
async fn killed_and_back(mailing: &mut Mailing) {
    let roles = &mut mailing.platform.fleet.roles;
    for notifier in roles.iter_mut().filter(|role| role.name() == "notifier") {
        notifier.kill9().await;
    }
    for notifier in roles.iter_mut().filter(|role| role.name() == "notifier") {
        notifier.restart().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_missed_something_is_told_once_by_mail() {
    let mut mailing = Mailing::start(&ENV).await;
    mailing.platform.fleet.add("notifier").await.unwrap();
    let people = People::of(&mailing).await;
    let (ada, ben, direct) = (&people.ada, &people.ben, people.with_ben);
    let space = ada.create_space("Lab").await.unwrap();
    let room = ada.create_room(space, "talk").await.unwrap();
    ben.accept(&ada.invite(space).await.unwrap()).await.unwrap();
    say(ada, room, "good morning everybody").await;
    say(ada, room, "<b>where</b> are you, @ben?").await;
    say(ada, direct, "and here, only for you").await;
    let slip = say(ada, direct, "a slip of the tongue").await;
    let slip = slip["id"].as_str().unwrap().to_owned();
    tokio::time::sleep(NOTED).await;
    eventually("it is taken back", async || {
        delete(ada, &format!("/v1/messages/{slip}")).await.ok()
    })
    .await;
    let mails = mailing.came(BEN, SUBJECT, 1).await;
    let text = mails[0].text();
    assert_eq!(
        mails[0].header("subject").as_deref(),
        Some("You have missed 2 messages")
    );
    assert!(
        text.contains("ada speaks of you in talk\n> <b>where</b> are you, @ben?"),
        "{text}"
    );
    assert!(
        text.contains("ada writes to you\n> and here, only for you"),
        "{text}"
    );
    assert!(!text.contains("slip") && !text.contains("good morning"), "{text}");
    assert!(!mails[0].html().contains("<b>where"), "{}", mails[0].html());
    let one_click = mails[0].header("list-unsubscribe-post");
    assert_eq!(one_click.as_deref(), Some("List-Unsubscribe=One-Click"));

    // Noted, but by the time of the mail he has read one and may not see the other any more. The notifiers die between.
    let read = say(ada, direct, "you read this").await;
    say(ada, room, "for members only, @ben").await;
    say(ada, direct, "still unread").await;
    tokio::time::sleep(NOTED).await;
    put(
        ben,
        &format!("/v1/rooms/{direct}/read"),
        json!({ "seq": read["seq"] }),
    )
    .await
    .unwrap();
    let membership = format!("/v1/spaces/{space}/members/{}", ben.account);
    delete(ada, &membership).await.unwrap();
    killed_and_back(&mut mailing).await;
    let mails = mailing.came(BEN, SUBJECT, 2).await;
    assert_eq!(
        mails[1].header("subject").as_deref(),
        Some("You have missed a message")
    );
    let text = mails[1].text();
    assert!(text.contains("still unread"), "{text}");
    assert!(
        !text.contains("you read this") && !text.contains("members only"),
        "{text}"
    );

    // Who is here finds it here, and is told when they have gone without reading it.
    let bens = Socket::connect(ben, &json!({})).await.unwrap();
    say(ada, direct, "you are here").await;
    people.eve_is_told(&mailing).await;
    assert_eq!(mailing.now(BEN, SUBJECT).len(), 2);
    drop(bens);
    let mails = mailing.came(BEN, SUBJECT, 3).await;
    assert!(mails[2].text().contains("you are here"), "{}", mails[2].text());

    killed_and_back(&mut mailing).await;
    people.eve_is_told(&mailing).await;
    assert_eq!(mailing.now(BEN, SUBJECT).len(), 3, "nothing is told twice");
    assert!(
        mailing.now("ada@example.org", SUBJECT).is_empty(),
        "she wants no mail"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_click_ends_mail_and_a_made_up_one_tells_nothing() {
    let mailing = Mailing::start(&ENV).await;
    let people = People::of(&mailing).await;
    say(&people.ada, people.with_ben, "one").await;
    let mail = mailing.came(BEN, SUBJECT, 1).await.remove(0);
    let link = stop_link(&mail);
    assert!(mail.text().contains(&link) && mail.html().contains(&link));
    let http = reqwest::Client::new();
    let page = http.get(&link).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let wants = async || people.ben.get(WAYS).await.unwrap()["mail"].clone();
    assert_eq!(
        wants().await,
        "mentions",
        "a program that looks at links changes nothing"
    );

    let click = async |link: &str| {
        let form = http
            .post(link)
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = form.body("List-Unsubscribe=One-Click").send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (start, token) = link.split_once("t=").unwrap();
    // Of somebody, of nobody, for something else, and nothing: the answers are the same.
    let other = if token.starts_with('A') { "B" } else { "A" };
    let confirm = mailing.came(BEN, "Confirm", 1).await.remove(0);
    let confirm = mailing.token(&confirm, "confirm-email");
    let wrong = [
        &token[..token.len() - 1],
        &format!("{other}{}", &token[1..]),
        &format!("{}{other}", &token[..token.len() - 1]),
        &confirm,
        "",
    ];
    for token in wrong {
        let (status, body) = click(&format!("{start}t={token}")).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            (status, &problem["code"]),
            (410, &json!("account.link_over")),
            "{token}"
        );
    }
    assert_eq!(click(start).await.0, 410);
    assert_eq!(wants().await, "mentions");
    for again in 0..2 {
        assert_eq!(click(&link).await.0, 204, "{again}");
    }
    assert_eq!(wants().await, "off");
    tokio::time::sleep(NOTED).await;
    say(&people.ada, people.with_ben, "two").await;
    people.eve_is_told(&mailing).await;
    assert_eq!(mailing.now(BEN, SUBJECT).len(), 1);
}

/// Two hours before and after now, where the clock is nine hours ahead.
fn around_now_in_tokyo() -> (String, String) {
    let now = ambient::now();
    let minute = i32::from(now.hour()) * 60 + i32::from(now.minute()) + 9 * 60;
    let clock = |minute: i32| {
        let minute = minute.rem_euclid(24 * 60);
        format!("{:02}:{:02}", minute / 60, minute % 60)
    };
    (clock(minute - 120), clock(minute + 120))
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_and_language_are_as_chosen_also_for_what_waits() {
    let far = ((ambient::now().hour() + 12) % 24).to_string();
    let mut env = ENV.to_vec();
    env.push(("VEZA__MAIL__DAILY_HOUR", &far));
    let mailing = Mailing::start(&env).await;
    let people = People::of(&mailing).await;
    let ben = &people.ben;
    for (body, expected) in [
        (json!({ "mail": "always" }), (400, "request.malformed")),
        (
            json!({ "mail": "off", "zone": "Moon/Tycho" }),
            (422, "account.zone_unknown"),
        ),
        (
            json!({ "mail": "off", "quiet": { "from": "7", "to": "09:00" } }),
            (422, "account.hours_invalid"),
        ),
    ] {
        let refused = code(put(ben, WAYS, body.clone()).await);
        assert_eq!((refused.0, refused.1.as_str()), expected, "{body}");
    }
    let (from, to) = around_now_in_tokyo();
    let quiet = json!({ "from": from, "to": to });
    let ways = json!({ "mail": "mentions", "quiet": quiet, "zone": "Asia/Tokyo", "language": "fr" });
    put(ben, WAYS, ways.clone()).await.unwrap();
    assert_eq!(ben.get(WAYS).await.unwrap(), ways);
    tokio::time::sleep(NOTED).await;
    say(&people.ada, people.with_ben, "un").await;
    people.eve_is_told(&mailing).await;
    assert!(mailing.now(BEN, "Vous").is_empty());
    // One mail a day instead: that is twelve hours away.
    put(ben, WAYS, json!({ "mail": "daily", "language": "fr" }))
        .await
        .unwrap();
    people.eve_is_told(&mailing).await;
    assert!(mailing.now(BEN, "Vous").is_empty());
    // As soon as they may come, what has waited comes.
    put(ben, WAYS, json!({ "mail": "mentions", "language": "fr" }))
        .await
        .unwrap();
    let mails = mailing.came(BEN, "Vous avez manqué un message", 1).await;
    assert!(
        mails[0].text().contains("ada vous écrit\n> un"),
        "{}",
        mails[0].text()
    );
    assert!(mails[0].html().contains("lang=\"fr\""));

    // What waits is forgotten by who wants no mail any more.
    say(&people.ada, people.with_ben, "deux").await;
    tokio::time::sleep(NOTED).await;
    put(ben, WAYS, json!({ "mail": "off", "language": "fr" }))
        .await
        .unwrap();
    tokio::time::sleep(NOTED).await;
    put(ben, WAYS, json!({ "mail": "mentions", "language": "fr" }))
        .await
        .unwrap();
    people.eve_is_told(&mailing).await;
    assert_eq!(mailing.now(BEN, "Vous").len(), 1);
    // Links come in their language as well.
    let ask = json!({ "login": "ben" });
    mailing.post("/v1/passwords/link", ask).await.unwrap();
    let mails = mailing.came(BEN, "Choisissez un autre mot de passe", 1).await;
    mailing.token(&mails[0], "set-password");
    assert_eq!(people.eve.get(WAYS).await.unwrap(), json!({ "mail": "mentions" }));
}

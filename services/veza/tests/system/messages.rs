//! What becomes of messages, by the documented API on the whole platform.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{ClientError, Person, Socket};

use crate::platform::{Platform, eventually, words};

fn code<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> String {
    outcome.unwrap_err().code().unwrap_or_default().to_owned()
}

/// What people do about one message.
struct About<'a> {
    person: &'a Person,
    path: String,
}

impl About<'_> {
    async fn call(&self, method: Method, rest: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        self.person
            .call(method, &format!("{}{rest}", self.path), body)
            .await
    }

    async fn put(&self, rest: &str) -> Result<Value, ClientError> {
        self.call(Method::PUT, rest, None).await
    }

    async fn delete(&self, rest: &str) -> Result<Value, ClientError> {
        self.call(Method::DELETE, rest, None).await
    }

    async fn edit(&self, body: &str) -> Result<Value, ClientError> {
        self.call(Method::PATCH, "", Some(&words(body))).await
    }

    /// The message, once the read model has it as far as `enough` asks.
    async fn until(&self, what: &str, enough: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || {
            let found = self.call(Method::GET, "", None).await.ok()?;
            enough(&found["message"]).then(|| found["message"].clone())
        })
        .await
    }
}

async fn post(person: &Person, room: Uuid, body: &str) -> Uuid {
    let path = format!("/v1/rooms/{room}/messages");
    let posted = person.post(&path, &words(body)).await.unwrap();
    posted["id"].as_str().unwrap().parse().unwrap()
}

fn about(person: &Person, message: Uuid) -> About<'_> {
    About {
        person,
        path: format!("/v1/messages/{message}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_edited_reacted_to_pinned_and_deleted() {
    let platform = Platform::start().await;
    let ([ada, grace], _, room) = platform.people(["ada", "grace"]).await;
    let id = post(&grace, room, "frist").await;
    let (of_grace, of_ada) = (about(&grace, id), about(&ada, id));
    of_grace.until("it is there", |_| true).await;

    of_grace.edit("first").await.unwrap();
    assert_eq!(code(of_ada.edit("mine").await), "message.not_the_author");
    assert_eq!(code(of_grace.edit(" ").await), "room.message_empty");
    let edited = of_grace.until("edited", |row| row["body"] == "first").await;
    assert!(edited["edited_at"].is_string());
    let texts = of_ada.call(Method::GET, "/edits", None).await.unwrap();
    let texts: Vec<_> = texts["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| &text["body"])
        .collect();
    assert_eq!(texts, ["frist", "first"]);

    of_ada.put("/reactions/%F0%9F%A7%80").await.unwrap();
    of_ada.put("/reactions/%F0%9F%A7%80").await.unwrap();
    of_grace.put("/reactions/:ok:").await.unwrap();
    assert_eq!(
        code(of_ada.put("/reactions/cheese").await),
        "message.emoji_invalid"
    );
    let row = of_ada
        .until("two reactions", |row| {
            row["reactions"].as_array().is_some_and(|all| all.len() == 2)
        })
        .await;
    assert_eq!(
        row["reactions"],
        json!([
            {"emoji": "🧀", "count": 1, "own": true},
            {"emoji": ":ok:", "count": 1, "own": false}
        ])
    );
    let who = of_grace
        .call(Method::GET, "/reactions/%F0%9F%A7%80", None)
        .await
        .unwrap();
    assert_eq!(who["items"][0]["handle"], "ada");
    of_ada.delete("/reactions/%F0%9F%A7%80").await.unwrap();
    of_ada
        .until("one reaction", |row| {
            row["reactions"].as_array().is_some_and(|all| all.len() == 1)
        })
        .await;

    assert_eq!(code(of_grace.put("/pin").await), "room.not_allowed");
    of_ada.put("/pin").await.unwrap();
    of_grace.until("pinned", |row| row["pinned"] == true).await;
    let pins = grace.get(&format!("/v1/rooms/{room}/pins")).await.unwrap();
    assert_eq!(pins["items"][0]["id"], json!(id));

    of_ada.delete("").await.unwrap();
    let gone = of_grace
        .until("deleted", |row| row["deleted_at"].is_string())
        .await;
    assert_eq!(
        (&gone["body"], &gone["reactions"], &gone["pinned"]),
        (&Value::Null, &json!([]), &json!(false))
    );
    let texts = of_ada.call(Method::GET, "/edits", None).await.unwrap();
    assert_eq!(texts["items"], json!([]));
    let history = grace.get(&format!("/v1/rooms/{room}/messages")).await.unwrap();
    assert_eq!(history["items"][0], gone, "the timeline shows the same");
    assert_eq!(code(of_grace.edit("back").await), "message.deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_learn_nothing_of_a_message() {
    let platform = Platform::start().await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let eve = platform
        .api()
        .register("eve", "Eve", crate::platform::PASSWORD)
        .await
        .unwrap();
    let id = post(&ada, room, "between us").await;
    about(&ada, id).until("it is there", |_| true).await;
    for message in [id, Uuid::from_u128(7)] {
        let of_eve = about(&eve, message);
        assert_eq!(
            code(of_eve.call(Method::GET, "", None).await),
            "message.not_found"
        );
        assert_eq!(
            code(of_eve.call(Method::GET, "/edits", None).await),
            "message.not_found"
        );
        assert_eq!(code(of_eve.edit("x").await), "message.not_found");
        assert_eq!(code(of_eve.delete("").await), "message.not_found");
        assert_eq!(code(of_eve.put("/reactions/:ok:").await), "message.not_found");
        assert_eq!(code(of_eve.put("/pin").await), "message.not_found");
        assert_eq!(
            code(of_eve.call(Method::POST, "/thread", None).await),
            "message.not_found"
        );
    }
    assert_eq!(
        code(eve.get(&format!("/v1/rooms/{room}/pins")).await),
        "room.not_found"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_is_watched_and_written_to_as_any_room() {
    let platform = Platform::start().await;
    let ([ada, grace], _, room) = platform.people(["ada", "grace"]).await;
    let id = post(&ada, room, "what do you think?").await;
    let of_ada = about(&ada, id);
    of_ada.until("it is there", |_| true).await;
    let opened = about(&grace, id)
        .call(Method::POST, "/thread", None)
        .await
        .unwrap();
    let thread: Uuid = opened["room"].as_str().unwrap().parse().unwrap();
    let again = of_ada.call(Method::POST, "/thread", None).await.unwrap();
    assert_eq!(again, opened);

    let mut socket = Socket::connect(&ada, &json!({})).await.unwrap();
    socket.watch(thread).await.unwrap();
    let answer = post(&grace, thread, "much").await;
    let heard = socket.wait_for("event").await.unwrap();
    assert_eq!(
        (&heard["room"], &heard["data"]["body"]),
        (&json!(thread), &json!("much"))
    );
    let row = of_ada
        .until("the reply is counted", |row| row["thread"]["replies"] == 1)
        .await;
    assert_eq!(row["thread"]["room"], json!(thread));
    let replies = ada.get(&format!("/v1/rooms/{thread}/messages")).await.unwrap();
    assert_eq!(replies["items"][0]["id"], json!(answer));
    let nested = about(&ada, answer).call(Method::POST, "/thread", None).await;
    assert_eq!(code(nested), "message.thread_in_thread");

    let eve = platform
        .api()
        .register("eve", "Eve", crate::platform::PASSWORD)
        .await
        .unwrap();
    let peek = eve.get(&format!("/v1/rooms/{thread}/messages")).await;
    assert_eq!(code(peek), "room.not_found");
    let mut of_eve = Socket::connect(&eve, &json!({})).await.unwrap();
    assert!(of_eve.watch(thread).await.is_err());
}

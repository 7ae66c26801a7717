//! What those see of a room who came later, by every door.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Person, Socket};
use veza_platform::ambient;

use crate::platform::{PASSWORD, Platform, eventually, words};
use crate::structure::code;

async fn say(person: &Person, room: Uuid, text: &str) -> (Uuid, u64) {
    let path = format!("/v1/rooms/{room}/messages");
    let posted = person.post(&path, &words(text)).await.unwrap();
    let id = posted["id"].as_str().unwrap().parse().unwrap();
    (id, posted["seq"].as_u64().unwrap())
}

fn bodies<'a>(messages: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
    let bodies = messages.into_iter().map(|message| message["body"].as_str());
    bodies.map(|body| body.unwrap_or("-")).collect()
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().unwrap()
}

async fn found(person: &Person, query: &str) -> Vec<String> {
    let page = person.get(&format!("/v1/search?q=words{query}")).await.unwrap();
    let hits = items(&page)
        .iter()
        .map(|hit| hit["message"]["body"].as_str().unwrap());
    hits.map(str::to_owned).collect()
}

/// The texts that a socket is filled with which has seen nothing.
async fn filled(person: &Person, room: Uuid) -> (Socket, Vec<String>) {
    let mut socket = Socket::connect(person, &json!({ room.to_string(): 0 }))
        .await
        .unwrap();
    let (mut texts, mut to) = (Vec::new(), 0);
    loop {
        let fill = socket.wait_for("fill").await.unwrap();
        assert_eq!(fill["from"].as_u64(), Some(to), "without a gap");
        to = fill["to"].as_u64().unwrap();
        let events = fill["events"].as_array().unwrap();
        texts.extend(
            events
                .iter()
                .filter_map(|event| event["data"]["body"].as_str().map(str::to_owned)),
        );
        if fill["done"] == true {
            return (socket, texts);
        }
    }
}

/// A room where something was said and pinned, and a thread begun, before Eve came; and what its people say then.
struct Story {
    ada: Person,
    ben: Person,
    eve: Person,
    space: Uuid,
    room: Uuid,
    thread: Uuid,
    old: (Uuid, u64),
}

impl Story {
    async fn begin(platform: &Platform) -> Self {
        let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
        let path = format!("/v1/spaces/{space}");
        let since = json!({ "history": "since_joined" });
        assert_eq!(
            code(ben.call(Method::PATCH, &path, Some(&since)).await),
            (403, "space.not_allowed".into())
        );
        ada.call(Method::PATCH, &path, Some(&since)).await.unwrap();
        let old = say(&ada, room, "old words").await;
        let message = format!("/v1/messages/{}", old.0);
        eventually("the message is there", async || ada.get(&message).await.ok()).await;
        ada.call(Method::PUT, &format!("{message}/pin"), None)
            .await
            .unwrap();
        let opened = ben.post(&format!("{message}/thread"), &json!({})).await.unwrap();
        let thread = opened["room"].as_str().unwrap().parse().unwrap();
        say(&ben, thread, "old words in the thread").await;
        let eve = platform.api().register("eve", "Eve", PASSWORD).await.unwrap();
        eve.accept(&ada.invite(space).await.unwrap()).await.unwrap();
        say(&ada, room, "new words").await;
        say(&ben, thread, "new words in the thread").await;
        Self {
            ada,
            ben,
            eve,
            space,
            room,
            thread,
            old,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_later_sees_by_no_door_what_was_said_before() {
    let platform = Platform::start().await;
    let story = Story::begin(&platform).await;
    let Story {
        ada,
        ben,
        eve,
        space,
        room,
        thread,
        old,
    } = &story;
    eventually("everything can be found by those who were there", async || {
        (found(ben, "").await.len() == 4).then_some(())
    })
    .await;

    // Twice: from Postgres, and from the cache that this has warmed.
    for _ in 0..2 {
        for range in ["", "?limit=1", "?before=999999", "?after=0", "?after=0&limit=1"] {
            let page = eve
                .get(&format!("/v1/rooms/{room}/messages{range}"))
                .await
                .unwrap();
            assert_eq!(
                (bodies(items(&page)), &page["more"]),
                (vec!["new words"], &json!(false)),
                "{range}"
            );
            let page = eve
                .get(&format!("/v1/rooms/{thread}/messages{range}"))
                .await
                .unwrap();
            assert_eq!(bodies(items(&page)), ["new words in the thread"], "{range}");
        }
    }
    let page = ben.get(&format!("/v1/rooms/{room}/messages")).await.unwrap();
    assert_eq!(bodies(items(&page)), ["old words", "new words"]);
    let pins = format!("/v1/rooms/{room}/pins");
    assert_eq!(bodies(items(&ben.get(&pins).await.unwrap())), ["old words"]);
    assert_eq!(items(&eve.get(&pins).await.unwrap()).len(), 0);

    let message = format!("/v1/messages/{}", old.0);
    for (method, path) in [
        (Method::GET, ""),
        (Method::GET, "/edits"),
        (Method::GET, "/reactions/%F0%9F%A7%80"),
        (Method::PUT, "/reactions/%F0%9F%A7%80"),
        (Method::DELETE, ""),
        (Method::POST, "/thread"),
    ] {
        let refused = code(eve.call(method.clone(), &format!("{message}{path}"), None).await);
        assert_eq!(refused, (404, "message.not_found".into()), "{method} {path}");
    }
    for query in [
        String::new(),
        format!("&space={space}"),
        format!("&room={room}"),
        "+in:talk".into(),
    ] {
        let all = found(eve, &query).await;
        assert!(
            !all.is_empty() && all.iter().all(|text| text.starts_with("new")),
            "{query}: {all:?}"
        );
    }
    assert_eq!(
        found(eve, &format!("&room={thread}")).await,
        ["new words in the thread"]
    );
    let unread = eve.get("/v1/unread").await.unwrap();
    let of_room = items(&unread)
        .iter()
        .find(|one| one["room"] == json!(room))
        .unwrap();
    assert_eq!(of_room["unread"], 1);
    assert_eq!(ada.get(&message).await.unwrap()["message"]["body"], "old words");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_is_told_nothing_of_what_was_said_before_its_account_came() {
    let platform = Platform::start().await;
    let story = Story::begin(&platform).await;
    let Story {
        ada,
        ben,
        eve,
        room,
        thread,
        old,
        ..
    } = &story;
    let (mut bens, texts) = filled(ben, *room).await;
    assert_eq!(texts, ["old words", "new words"]);
    let (mut eves, texts) = filled(eve, *room).await;
    assert_eq!(texts, ["new words"]);
    assert_eq!(filled(eve, *thread).await.1, ["new words in the thread"]);

    // The worker decides, whatever a client says of where the message stands.
    let react = json!({
        "t": "react", "id": 1, "room": room, "command_id": ambient::new_uuid(), "message": ambient::new_uuid(),
        "seq": old.1, "emoji": "🧀"
    });
    eves.send(&react).await.unwrap();
    let refused = eves.wait_for("error").await.unwrap();
    assert_eq!(refused["code"], "message.not_found");

    let edit = json!({ "body": "older words" });
    let path = format!("/v1/messages/{}", old.0);
    ada.call(Method::PATCH, &path, Some(&edit)).await.unwrap();
    assert_eq!(
        bens.wait_for("event").await.unwrap()["data"]["body"],
        "older words"
    );
    let told = eves.wait_for("event").await.unwrap();
    assert_eq!(
        (&told["type"], &told["data"]["body"]),
        (&json!("room.message_edited.v1"), &Value::Null)
    );
    assert_eq!(
        filled(eve, *room).await.1,
        ["new words"],
        "not from memory either"
    );

    // A room may say otherwise, and sockets that are open hear of it.
    let all = json!({ "history": "all" });
    ada.call(Method::PATCH, &format!("/v1/rooms/{room}"), Some(&all))
        .await
        .unwrap();
    eventually("the room is open to all", async || {
        eve.get(&path)
            .await
            .ok()
            .filter(|found| found["message"]["body"] == "older words")
    })
    .await;
    say(ada, *room, "for all").await;
    assert_eq!(eves.wait_for("event").await.unwrap()["data"]["body"], "for all");
    // From the log with both texts, or from the read model with the present one.
    let texts = filled(eve, *room).await.1;
    assert!(
        texts[0].starts_with("old") && texts.ends_with(&["for all".to_owned()]),
        "{texts:?}"
    );
    let shown = eve.get(&format!("/v1/rooms/{room}")).await.unwrap();
    assert_eq!(shown["history"], "all");
}

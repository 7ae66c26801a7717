//! What is new, how far one has read, and of what one is told: by HTTP, across devices.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{ClientError, Person};

use crate::platform::{Platform, eventually, words};

async fn put(person: &Person, path: &str, body: Value) -> Result<Value, ClientError> {
    person.call(Method::PUT, path, Some(&body)).await
}

async fn unread(person: &Person, room: Uuid) -> (u64, u64) {
    let all = person.get("/v1/unread").await.unwrap();
    let items = all["items"].as_array().unwrap();
    let mine = items.iter().find(|item| item["room"] == room.to_string());
    let mine = mine.unwrap_or_else(|| panic!("{all}"));
    (mine["unread"].as_u64().unwrap(), mine["marker"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unread_goes_away_with_the_marker_and_stays_away_for_other_devices() {
    let platform = Platform::start().await;
    let ([ada, grace], space, room) = platform.people(["ada", "grace"]).await;
    let mut seqs = Vec::new();
    let messages = format!("/v1/rooms/{room}/messages");
    for n in 0..5 {
        let said = ada.post(&messages, &words(&n.to_string())).await;
        seqs.push(said.unwrap()["seq"].as_u64().unwrap());
    }
    eventually("five are new", || async {
        (unread(&grace, room).await.0 == 5).then_some(())
    })
    .await;
    let read = format!("/v1/rooms/{room}/read");
    let marked = put(&grace, &read, json!({"seq": seqs[2]})).await;
    assert_eq!(marked.unwrap()["seq"], json!(seqs[2]));
    assert_eq!(unread(&grace, room).await, (2, seqs[2]));
    // Not beyond the end, and never back.
    let far = put(&grace, &read, json!({"seq": seqs[4] + 1_000})).await;
    assert_eq!(far.unwrap()["seq"], json!(seqs[4]));
    put(&grace, &read, json!({"seq": 1})).await.unwrap();
    assert_eq!(unread(&grace, room).await, (0, seqs[4]));
    let foreign = format!("/v1/rooms/{space}/read");
    assert!(put(&grace, &foreign, json!({"seq": 1})).await.is_err());
    assert!(put(&grace, &read, json!({"seq": -1})).await.is_err());

    let choice = json!({"level": "mentions", "mute_until": "2030-01-02T03:04:05Z"});
    let path = format!("/v1/rooms/{room}/notifications");
    put(&grace, &path, choice).await.unwrap();
    let path = format!("/v1/spaces/{space}/notifications");
    put(&grace, &path, json!({"level": "nothing"})).await.unwrap();
    let chosen = grace.get("/v1/notifications").await.unwrap();
    assert_eq!(chosen["rooms"][0]["level"], "mentions");
    assert_eq!(chosen["rooms"][0]["mute_until"], "2030-01-02T03:04:05Z");
    assert_eq!(chosen["spaces"], json!([{"id": space, "level": "nothing"}]));
    put(&grace, &path, json!({})).await.unwrap();
    let chosen = grace.get("/v1/notifications").await.unwrap();
    assert_eq!(chosen["spaces"], json!([]));
    assert!(put(&ada, &path, json!({"level": "loud"})).await.is_err());
}

async fn post(person: &Person, room: Uuid, body: &str) -> Uuid {
    let said = person
        .post(&format!("/v1/rooms/{room}/messages"), &words(body))
        .await;
    said.unwrap()["id"].as_str().unwrap().parse().unwrap()
}

/// What is new in a room, once it is so much: unread and mentions.
async fn new_in(person: &Person, room: Uuid, expected: (u64, u64)) -> Value {
    let what = format!("{expected:?} in {room}");
    eventually(&what, async || {
        let all = person.get("/v1/unread").await.unwrap();
        let mut items = all["items"].as_array()?.iter();
        let found = items.find(|item| item["room"] == json!(room))?.clone();
        (found["unread"] == expected.0 && found["mentions"] == expected.1).then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn own_and_deleted_messages_are_not_new_and_mentions_are_counted() {
    let platform = Platform::start().await;
    let ([ada, grace], _, room) = platform.people(["ada", "grace"]).await;
    let first = post(&ada, room, "one").await;
    post(&grace, room, "two, of my own").await;
    new_in(&grace, room, (1, 0)).await;
    new_in(&ada, room, (1, 0)).await;
    let called = post(&ada, room, "@grace, @room: three").await;
    post(&ada, room, "four").await;
    new_in(&grace, room, (3, 1)).await;
    delete_of(&ada, first).await;
    new_in(&grace, room, (2, 1)).await;
    delete_of(&ada, called).await;
    new_in(&grace, room, (1, 0)).await;
    let path = format!("/v1/rooms/{room}/read");
    put(&grace, &path, json!({"seq": u64::from(u32::MAX)}))
        .await
        .unwrap();
    new_in(&grace, room, (0, 0)).await;
}

async fn delete_of(person: &Person, message: Uuid) {
    let path = format!("/v1/messages/{message}");
    eventually("it is deleted", async || {
        person.call(Method::DELETE, &path, None).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_are_new_to_those_who_take_part() {
    let platform = Platform::start().await;
    let ([ada, grace, ben, eve], _, room) = platform.people(["ada", "grace", "ben", "eve"]).await;
    let question = post(&ada, room, "what do you think?").await;
    let opened = eventually("it can be opened", async || {
        let path = format!("/v1/messages/{question}/thread");
        grace.post(&path, &json!({})).await.ok()
    })
    .await;
    let thread: Uuid = opened["room"].as_str().unwrap().parse().unwrap();
    post(&grace, thread, "much").await;
    // Who wrote what it is about.
    let found = new_in(&ada, thread, (1, 0)).await;
    assert_eq!(found["thread_of"], json!(room));
    post(&ada, thread, "thanks, and @ben?").await;
    // Who answered, and who was called in; nobody else.
    new_in(&grace, thread, (1, 0)).await;
    new_in(&ben, thread, (1, 1)).await;
    let all = eve.get("/v1/unread").await.unwrap();
    let of_thread = |item: &&Value| item["room"] == json!(thread);
    assert_eq!(all["items"].as_array().unwrap().iter().find(of_thread), None);
    // A thread is read as any room, and is not listed when nothing is new.
    let path = format!("/v1/rooms/{thread}/read");
    put(&ben, &path, json!({"seq": u64::from(u32::MAX)}))
        .await
        .unwrap();
    let all = ben.get("/v1/unread").await.unwrap();
    assert_eq!(all["items"].as_array().unwrap().iter().find(of_thread), None);
}

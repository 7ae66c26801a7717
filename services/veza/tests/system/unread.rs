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

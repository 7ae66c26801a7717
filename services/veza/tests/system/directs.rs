//! Conversations between a few people, and those who do not want them.

use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Person, Socket};

use crate::platform::{PASSWORD, Platform, eventually, words};
use crate::structure::{code, delete, put};

fn id(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().unwrap()
}

async fn open(person: &Person, others: &[&Person]) -> (Uuid, Uuid) {
    let accounts: Vec<Uuid> = others.iter().map(|other| other.account).collect();
    let found = person
        .post("/v1/directs", &json!({ "accounts": accounts }))
        .await
        .unwrap();
    (id(&found["id"]), id(&found["room"]))
}

async fn people(platform: &Platform, names: [&str; 4]) -> [Person; 4] {
    let mut people = Vec::new();
    for name in names {
        people.push(platform.api().register(name, name, PASSWORD).await.unwrap());
    }
    people.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_find_the_same_conversation_and_nobody_else_does() {
    let platform = Platform::start().await;
    let [ada, ben, eve, _] = people(&platform, ["ada", "ben", "eve", "max"]).await;
    let (his, theirs) = ([&ben], [&ada, &ben]);
    let (one, other) = tokio::join!(open(&ada, &his), open(&ben, &theirs));
    assert_eq!(one, other, "whoever asks, and also at once");
    let (direct, room) = one;
    let mut bens = Socket::connect(&ben, &json!({})).await.unwrap();
    bens.watch(room).await.unwrap();
    let path = format!("/v1/rooms/{room}/messages");
    ada.post(&path, &words("hello")).await.unwrap();
    assert_eq!(bens.wait_for("event").await.unwrap()["data"]["body"], "hello");

    eventually("a search without a room looks in it too", async || {
        let found = ben.get("/v1/search?q=hello").await.unwrap();
        (found["items"][0]["room"] == json!(room)).then_some(())
    })
    .await;
    assert_eq!(eve.get("/v1/search?q=hello").await.unwrap()["items"], json!([]));
    assert_eq!(code(eve.get(&path).await).0, 404);
    assert_eq!(code(eve.post(&path, &words("hi")).await).0, 404);
    let listed = eventually("it is listed", async || {
        let listed = ben.get("/v1/directs").await.unwrap();
        listed["items"]
            .as_array()
            .filter(|items| items.len() == 1)
            .cloned()
    })
    .await;
    assert_eq!(
        (&listed[0]["kind"], &listed[0]["room"]),
        (&json!("direct"), &json!(room))
    );
    assert_eq!(listed[0]["accounts"].as_array().map(Vec::len), Some(2));
    assert_eq!(ben.get("/v1/spaces").await.unwrap()["items"], json!([]));
    assert_eq!(eve.get("/v1/directs").await.unwrap()["items"], json!([]));

    assert_eq!(
        code(delete(&ada, &format!("/v1/directs/{direct}/members/me")).await),
        (403, "direct.stays".into())
    );
    let add = put(
        &ada,
        &format!("/v1/directs/{direct}/members/{}", eve.account),
        json!({}),
    )
    .await;
    assert_eq!(code(add), (409, "direct.not_a_group".into()));
    let ban = put(
        &ada,
        &format!("/v1/spaces/{direct}/members/{}", ben.account),
        json!({ "banned": true }),
    )
    .await;
    assert_eq!(code(ban), (403, "space.not_allowed".into()));
    let alone = ada.post("/v1/directs", &json!({ "accounts": [] })).await;
    assert_eq!(code(alone), (422, "direct.size_invalid".into()));
    let nobody = ada
        .post("/v1/directs", &json!({ "accounts": [Uuid::from_u128(5)] }))
        .await;
    assert_eq!(code(nobody), (404, "account.not_found".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_take_others_in_and_let_them_go_and_come_back() {
    let platform = Platform::start().await;
    let [ada, ben, eve, max] = people(&platform, ["ada", "ben", "eve", "max"]).await;
    let (group, room) = open(&ada, &[&ben, &eve]).await;
    let path = format!("/v1/rooms/{room}/messages");
    put(
        &ben,
        &format!("/v1/directs/{group}/members/{}", max.account),
        json!({}),
    )
    .await
    .unwrap();
    eventually("he is in", async || max.post(&path, &words("hi")).await.ok()).await;
    assert_eq!(
        open(&eve, &[&ada, &ben]).await,
        (group, room),
        "it stays the same for who began it"
    );

    delete(&eve, &format!("/v1/directs/{group}/members/me"))
        .await
        .unwrap();
    eventually("she is out", async || eve.get(&path).await.is_err().then_some(())).await;
    open(&eve, &[&ada, &ben]).await;
    eventually("she is back", async || {
        eve.post(&path, &words("again")).await.ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_blocked_is_not_heard_and_begins_nothing() {
    let platform = Platform::start().await;
    let [ada, ben, eve, max] = people(&platform, ["ada", "ben", "eve", "max"]).await;
    let (_, room) = open(&ada, &[&ben]).await;
    let path = format!("/v1/rooms/{room}/messages");
    ben.post(&path, &words("hi")).await.unwrap();
    let block = |other: &Person| format!("/v1/accounts/me/blocks/{}", other.account);
    put(&ada, &block(&ben), json!({})).await.unwrap();
    put(&ada, &block(&eve), json!({})).await.unwrap();
    eventually("he is not heard", async || {
        let refused = ben.post(&path, &words("hello?")).await.err()?;
        assert_eq!(code::<()>(Err(refused)), (403, "room.blocked".into()));
        Some(())
    })
    .await;
    assert_eq!(
        code(ada.post(&path, &words("?")).await),
        (403, "room.blocked".into()),
        "nor does she talk to him"
    );
    ben.get(&path).await.unwrap();
    let begun = eve
        .post("/v1/directs", &json!({ "accounts": [ada.account] }))
        .await;
    assert_eq!(code(begun), (403, "account.blocked".into()));
    let (group, _) = open(&eve, &[&ben, &max]).await;
    let add = put(
        &eve,
        &format!("/v1/directs/{group}/members/{}", ada.account),
        json!({}),
    )
    .await;
    assert_eq!(code(add), (403, "account.blocked".into()));
    assert_eq!(
        code(put(&ada, &block(&ada), json!({})).await),
        (422, "account.blocks_itself".into())
    );

    let listed = eventually("they are listed", async || {
        let listed = ada.get("/v1/accounts/me/blocks").await.unwrap();
        listed["items"]
            .as_array()
            .filter(|items| items.len() == 2)
            .cloned()
    })
    .await;
    assert!(listed.iter().any(|one| one["handle"] == "ben"));
    delete(&ada, &block(&ben)).await.unwrap();
    eventually("he is heard again", async || {
        ben.post(&path, &words("thanks")).await.ok()
    })
    .await;
}

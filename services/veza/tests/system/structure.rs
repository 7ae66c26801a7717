//! Rooms that are not for everybody, by HTTP and on sockets that are open meanwhile.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{ClientError, Person, Socket};

use crate::platform::{Platform, eventually, words};

/// What a change of permissions may take to reach an open socket.
const BOUND: Duration = Duration::from_secs(1);

pub(crate) fn code<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> (u16, String) {
    match outcome.unwrap_err() {
        ClientError::Refused { status, problem, .. } => {
            (status, problem["code"].as_str().unwrap_or_default().to_owned())
        }
        other => panic!("{other}"),
    }
}

pub(crate) async fn put(person: &Person, path: &str, body: Value) -> Result<Value, ClientError> {
    person.call(Method::PUT, path, Some(&body)).await
}

pub(crate) async fn delete(person: &Person, path: &str) -> Result<Value, ClientError> {
    person.call(Method::DELETE, path, None).await
}

async fn sees(person: &Person, space: Uuid, room: Uuid) -> bool {
    let rooms = person.get(&format!("/v1/spaces/{space}/rooms")).await.unwrap();
    let mut rooms = rooms["items"].as_array().unwrap().iter();
    rooms.any(|one| one["id"] == json!(room))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_is_closed_to_somebody_falls_silent_on_open_sockets() {
    let platform = Platform::start().await;
    let ([ada, ben, eve], _, room) = platform.people(["ada", "ben", "eve"]).await;
    let messages = format!("/v1/rooms/{room}/messages");
    let (mut bens, mut eves) = (
        Socket::connect(&ben, &json!({})).await.unwrap(),
        Socket::connect(&eve, &json!({})).await.unwrap(),
    );
    bens.watch(room).await.unwrap();
    eves.watch(room).await.unwrap();
    ada.post(&messages, &words("for all")).await.unwrap();
    for socket in [&mut bens, &mut eves] {
        assert_eq!(socket.wait_for("event").await.unwrap()["data"]["body"], "for all");
    }

    let override_of = format!("/v1/rooms/{room}/overrides/{}?kind=account", ben.account);
    put(&ada, &override_of, json!({ "deny": ["view"] }))
        .await
        .unwrap();
    let begun = Instant::now();
    ada.post(&messages, &words("not for Ben")).await.unwrap();
    loop {
        let frame = bens.next().await.unwrap();
        assert!(frame["t"] != "event", "{frame}");
        if frame["t"] == "reset" {
            assert_eq!((&frame["room"], &frame["why"]), (&json!(room), &json!("access")));
            break;
        }
    }
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    assert_eq!(
        eves.wait_for("event").await.unwrap()["data"]["body"],
        "not for Ben"
    );
    assert!(bens.watch(room).await.is_err());
    assert_eq!(code(ben.get(&messages).await), (404, "room.not_found".into()));
    assert_eq!(
        code(ben.post(&messages, &words("hello?")).await),
        (404, "room.not_found".into())
    );

    delete(&ada, &override_of).await.unwrap();
    eventually("he is let in again", async || ben.get(&messages).await.ok()).await;
    let mut again = Socket::connect(&ben, &json!({})).await.unwrap();
    again.watch(room).await.unwrap();
    ada.post(&messages, &words("welcome back")).await.unwrap();
    assert_eq!(
        again.wait_for("event").await.unwrap()["data"]["body"],
        "welcome back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn private_rooms_and_categories_open_for_who_is_let_in() {
    let platform = Platform::start().await;
    let ([ada, ben, eve], space, talk) = platform.people(["ada", "ben", "eve"]).await;
    let made = ada
        .post(
            &format!("/v1/spaces/{space}/rooms"),
            &json!({ "name": "den", "private": true }),
        )
        .await
        .unwrap();
    let den: Uuid = made["id"].as_str().unwrap().parse().unwrap();
    eventually("she sees it", async || sees(&ada, space, den).await.then_some(())).await;
    assert!(!sees(&ben, space, den).await && sees(&ben, space, talk).await);
    assert_eq!(code(ben.get(&format!("/v1/rooms/{den}")).await).0, 404);
    let ben_in = format!("/v1/rooms/{den}/overrides/{}?kind=account", ben.account);
    assert_eq!(
        code(put(&ben, &ben_in, json!({ "allow": ["view"] })).await).0,
        404
    );
    put(&ada, &ben_in, json!({ "allow": ["view"] })).await.unwrap();
    eventually("he sees it", async || sees(&ben, space, den).await.then_some(())).await;
    ben.post(&format!("/v1/rooms/{den}/messages"), &words("psst"))
        .await
        .unwrap();
    assert_eq!(
        code(ben.get(&format!("/v1/rooms/{den}/overrides")).await),
        (403, "space.not_allowed".into())
    );
    let listed = ada.get(&format!("/v1/rooms/{den}/overrides")).await.unwrap();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2), "{listed}");

    let path = format!("/v1/spaces/{space}/categories");
    let category = ada
        .post(&path, &json!({ "name": "staff", "position": 1 }))
        .await
        .unwrap();
    let category: Uuid = category["id"].as_str().unwrap().parse().unwrap();
    let closed = format!("{path}/{category}/overrides/{space}?kind=role");
    put(&ada, &closed, json!({ "deny": ["view"] })).await.unwrap();
    put(
        &ada,
        &format!("/v1/rooms/{talk}/place"),
        json!({ "category": category, "position": 2 }),
    )
    .await
    .unwrap();
    eventually("what is in a closed category is closed", async || {
        (!sees(&eve, space, talk).await).then_some(())
    })
    .await;
    let categories = eve.get(&path).await.unwrap();
    assert_eq!(categories["items"], json!([]));
    assert_eq!(
        code(delete(&ada, &format!("{path}/{category}")).await),
        (409, "category.not_empty".into())
    );
    let wrong = put(&ada, &closed, json!({ "allow": ["ban"] })).await;
    assert_eq!(code(wrong), (422, "override.space_wide".into()));
    let wrong = put(&ada, &closed, json!({ "allow": ["view"], "deny": ["view"] })).await;
    assert_eq!(code(wrong), (422, "override.contradiction".into()));
    put(&ada, &format!("/v1/rooms/{talk}/place"), json!({ "position": 0 }))
        .await
        .unwrap();
    delete(&ada, &format!("{path}/{category}")).await.unwrap();
    eventually("it is open again", async || {
        sees(&eve, space, talk).await.then_some(())
    })
    .await;
}

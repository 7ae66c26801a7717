//! What is to be said later: said once at its time, whoever is killed; and what becomes of it when it is not allowed.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use veza_client::{Person, Socket};
use veza_platform::ambient;

use crate::platform::{PASSWORD, Platform, eventually};
use crate::structure::{code, delete, put};

fn ahead(milliseconds: u64) -> String {
    let at = ambient::now() + Duration::from_millis(milliseconds);
    at.format(&Rfc3339).unwrap()
}

fn words(body: &str, at: &str) -> Value {
    json!({ "body": body, "at": at })
}

async fn list(person: &Person) -> Vec<Value> {
    let page = person.get("/v1/scheduled").await.unwrap();
    page["items"].as_array().unwrap().clone()
}

async fn said(person: &Person, room: Uuid) -> Vec<String> {
    let page = person
        .get(&format!("/v1/rooms/{room}/messages?limit=200"))
        .await
        .unwrap();
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["body"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) async fn told(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let frame = socket.wait_for("account").await.unwrap();
        if frame["type"] == kind {
            return frame["data"].clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scheduled_is_ones_own_until_it_is_said() {
    let platform = Platform::start().await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let eve = platform.api().register("eve", "Eve", PASSWORD).await.unwrap();
    let path = format!("/v1/rooms/{room}/scheduled");
    let far = ahead(3_600_000);
    for (by, body, refusal) in [
        (&eve, words("hi", &far), (404, "space.not_found")),
        (&ben, words("hi", &ahead(0)), (422, "schedule.past")),
        (
            &ben,
            words("hi", "2099-01-01T00:00:00Z"),
            (422, "schedule.too_far"),
        ),
        (&ben, words(" ", &far), (422, "room.message_empty")),
    ] {
        let (status, code) = code(by.post(&path, &body).await);
        assert_eq!((status, code.as_str()), refusal);
    }
    let mut device = Socket::connect(&ben, &json!({})).await.unwrap();
    let made = ben.post(&path, &words("@ada good morning", &far)).await.unwrap();
    let one = format!("/v1/scheduled/{}", made["id"].as_str().unwrap());
    let heard = told(&mut device, "schedule.message_added.v1").await;
    assert_eq!(heard, json!({ "space": space, "scheduled": made["id"] }));
    let listed = list(&ben).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["body"], &listed[0]["room"], listed[0].get("refused")),
        (&json!("@ada good morning"), &json!(room), None)
    );
    assert!(list(&ada).await.is_empty());
    let foreign = ada
        .call(Method::PATCH, &one, Some(&json!({ "body": "mine" })))
        .await;
    assert_eq!(code(foreign), (404, "schedule.not_found".into()));
    assert_eq!(code(delete(&ada, &one).await), (404, "schedule.not_found".into()));

    let sooner = json!({ "body": "@ada hello", "at": ahead(1_000) });
    ben.call(Method::PATCH, &one, Some(&sooner)).await.unwrap();
    let sent = told(&mut device, "schedule.message_sent.v1").await;
    assert_eq!(sent["scheduled"], made["id"]);
    let message = sent["message"].as_str().unwrap().to_owned();
    let shown = eventually("it is said", async || {
        ada.get(&format!("/v1/messages/{message}")).await.ok()
    })
    .await;
    assert_eq!(
        (&shown["message"]["body"], &shown["message"]["author"]),
        (&json!("@ada hello"), &json!(ben.account))
    );
    let inbox = ada.get("/v1/mentions").await.unwrap();
    assert_eq!(inbox["items"][0]["message"]["id"], json!(message));
    assert!(list(&ben).await.is_empty());
    assert_eq!(code(delete(&ben, &one).await), (404, "schedule.not_found".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_any_more_is_told_and_says_another_time() {
    let platform = Platform::start().await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let path = format!("/v1/rooms/{room}/scheduled");
    let mut device = Socket::connect(&ben, &json!({})).await.unwrap();
    let made = ben
        .post(&path, &words("still here", &ahead(1_500)))
        .await
        .unwrap();
    let gone = ben.post(&path, &words("never", &ahead(1_500))).await.unwrap();
    let member = format!("/v1/spaces/{space}/members/{}", ben.account);
    put(&ada, &member, json!({ "muted": true })).await.unwrap();
    for _ in 0..2 {
        let refused = told(&mut device, "schedule.message_refused.v1").await;
        assert_eq!(
            (&refused["code"], &refused["space"]),
            (&json!("room.muted"), &json!(space))
        );
    }
    let listed = list(&ben).await;
    assert!(
        listed.len() == 2 && listed.iter().all(|one| one["refused"] == "room.muted"),
        "{listed:?}"
    );
    put(&ada, &member, json!({ "muted": false })).await.unwrap();
    let one = |made: &Value| format!("/v1/scheduled/{}", made["id"].as_str().unwrap());
    delete(&ben, &one(&gone)).await.unwrap();
    let body_alone = ben
        .call(Method::PATCH, &one(&made), Some(&json!({ "body": "other" })))
        .await;
    assert_eq!(code(body_alone), (422, "schedule.past".into()));
    let again = json!({ "at": ahead(500) });
    ben.call(Method::PATCH, &one(&made), Some(&again)).await.unwrap();
    eventually("it is said", async || {
        (said(&ada, room).await == ["still here"]).then_some(())
    })
    .await;
    eventually("nothing waits", async || {
        list(&ben).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_once_though_both_workers_are_killed_at_its_time() {
    let roles = ["accounts", "chat", "chat", "projector", "gateway"];
    let mut platform = Platform::with(&roles, 1, &[]).await;
    let ([ada, ben], _, room) = platform.people(["ada", "ben"]).await;
    let path = format!("/v1/rooms/{room}/scheduled");
    let mut expected = Vec::new();
    for n in 0..40 {
        let body = format!("message {n}");
        let at = ahead(8_000 + 100 * n);
        ben.post(&path, &words(&body, &at)).await.unwrap();
        expected.push(body);
    }
    let late = ahead(0);
    assert!(said(&ada, room).await.is_empty(), "it is {late}");
    // From the first to the last one is always being killed.
    eventually("the first is said", async || {
        (!said(&ada, room).await.is_empty()).then_some(())
    })
    .await;
    for round in 0..6 {
        let chat = 1 + round % 2;
        platform.fleet.roles[chat].kill9().await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        platform.fleet.roles[chat].restart().await.unwrap();
    }
    // Both at once.
    for chat in [1, 2] {
        platform.fleet.roles[chat].kill9().await;
    }
    for chat in [1, 2] {
        platform.fleet.roles[chat].restart().await.unwrap();
    }
    eventually("nothing waits", async || {
        list(&ben).await.is_empty().then_some(())
    })
    .await;
    let mut all = said(&ada, room).await;
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
    let before = platform.rows(room).await;
    platform
        .fleet
        .run(&["projection", "rebuild", "--verify"])
        .await
        .unwrap();
    assert_eq!(platform.rows(room).await, before);
}

//! What is written and not said yet, on several devices; and texts as HTML.

use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Person, Socket};

use crate::platform::{PASSWORD, Platform, eventually, words};
use crate::structure::{code, delete, put};

async fn drafts(person: &Person) -> Vec<Value> {
    let all = person.get("/v1/drafts").await.unwrap();
    all["items"].as_array().unwrap().clone()
}

async fn told(socket: &mut Socket) -> Value {
    loop {
        let frame = socket.wait_for("account").await.unwrap();
        if frame["type"] == "account.draft" {
            return frame["data"].clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn drafts_are_ones_own_and_follow_to_other_devices() {
    let platform = Platform::start().await;
    let ([ada, grace], space, room) = platform.people(["ada", "grace"]).await;
    let eve = platform.api().register("eve", "Eve", PASSWORD).await.unwrap();
    let path = format!("/v1/rooms/{room}/draft");
    let mut other_device = Socket::connect(&ada, &json!({})).await.unwrap();
    assert_eq!(code(ada.get(&path).await), (404, "draft.not_found".into()));
    let reply_to = Uuid::from_u128(7);
    let kept = put(&ada, &path, json!({ "body": "so far", "reply_to": reply_to })).await;
    assert_eq!(kept.unwrap()["body"], "so far");
    assert_eq!(
        told(&mut other_device).await,
        json!({ "space": space, "room": room })
    );
    let read = ada.get(&path).await.unwrap();
    assert_eq!(
        (&read["body"], &read["reply_to"]),
        (&json!("so far"), &json!(reply_to))
    );
    put(&ada, &path, json!({ "body": "further" })).await.unwrap();
    let all = drafts(&ada).await;
    assert_eq!(all.len(), 1);
    assert_eq!(
        (&all[0]["body"], all[0].get("reply_to")),
        (&json!("further"), None)
    );

    // Nobody else's business.
    assert_eq!(drafts(&grace).await, Vec::<Value>::new());
    assert_eq!(code(grace.get(&path).await), (404, "draft.not_found".into()));
    assert_eq!(code(eve.get(&path).await), (404, "room.not_found".into()));
    let foreign = put(&eve, &path, json!({ "body": "x" })).await;
    assert_eq!(code(foreign), (404, "room.not_found".into()));
    let long = put(&ada, &path, json!({ "body": "x".repeat(20_000) })).await;
    assert_eq!(code(long), (413, "draft.too_long".into()));

    delete(&ada, &path).await.unwrap();
    delete(&ada, &path).await.unwrap();
    assert_eq!(drafts(&ada).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_shown_as_html_that_nobody_can_break_out_of() {
    let platform = Platform::start().await;
    let ([ada, grace], _, room) = platform.people(["ada", "grace"]).await;
    let path = format!("/v1/rooms/{room}/messages");
    let shown = eventually("Grace is known by name", async || {
        let said = ada
            .post(
                &path,
                &words("**hi** @grace <script>x</script> [a](javascript:x)"),
            )
            .await;
        let id = said.unwrap()["id"].as_str().unwrap().to_owned();
        let shown = eventually("it is there", async || {
            grace.get(&format!("/v1/messages/{id}?format=html")).await.ok()
        })
        .await;
        let mentions = &shown["message"]["mentions"];
        mentions.is_object().then_some(shown)
    })
    .await;
    let html = format!(
        "<p><strong>hi</strong> <span data-account=\"{}\">@grace</span> &lt;script&gt;x&lt;/script&gt; a</p>\n",
        grace.account
    );
    assert_eq!(shown["message"]["html"], json!(html));
    let page = grace.get(&format!("{path}?format=html")).await.unwrap();
    let last = page["items"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["html"], json!(html));
    let plain = grace.get(&path).await.unwrap();
    assert_eq!(plain["items"][0].get("html"), None);
    assert!(grace.get(&format!("{path}?format=pdf")).await.is_err());
}

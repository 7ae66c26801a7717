//! Exports on request, on the whole platform.

use std::io::{Cursor, Read};
use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::Person;
use veza_projector::exports::format;
use zip::ZipArchive;

use crate::platform::{PASSWORD, Platform, eventually, words};
use crate::structure::code;

async fn ask(person: &Person, path: &str) -> Result<Value, veza_client::ClientError> {
    person.post(path, &json!({ "password": PASSWORD })).await
}

async fn newest(person: &Person) -> Option<Value> {
    let page = person.get("/v1/exports").await.unwrap();
    page["items"].as_array().unwrap().first().cloned()
}

async fn done(person: &Person) -> Value {
    eventually("the export is there", async || {
        newest(person).await.filter(|export| export["state"] == "done")
    })
    .await
}

/// Status, `Content-Range` and bytes of the archive, or a part of it.
async fn fetch(
    platform: &Platform,
    person: &Person,
    id: &str,
    range: Option<&str>,
) -> (u16, String, Vec<u8>) {
    let url = format!("{}/v1/exports/{id}/archive", platform.fleet.url());
    let mut request = reqwest::Client::new().get(url).bearer_auth(person.access_token());
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let answer = request.send().await.unwrap();
    let part = answer.headers().get("content-range");
    let part = part.map_or(String::new(), |part| part.to_str().unwrap().to_owned());
    (
        answer.status().as_u16(),
        part,
        answer.bytes().await.unwrap().to_vec(),
    )
}

fn file(archive: &[u8], name: &str) -> String {
    let mut archive = ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut text = String::new();
    archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    text
}

async fn say(person: &Person, room: Uuid, text: &str) {
    let path = format!("/v1/rooms/{room}/messages");
    let posted = person.post(&path, &words(text)).await.unwrap();
    let path = format!("/v1/messages/{}", posted["id"].as_str().unwrap());
    eventually("it can be read", async || person.get(&path).await.ok()).await;
}

const ACCOUNT: &str = "/v1/accounts/me/exports";

#[tokio::test(flavor = "multi_thread")]
async fn what_one_has_is_made_on_request_and_fetched_in_parts_by_nobody_else() {
    let mut platform = Platform::with_files(&[]).await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let eve = platform.api().register("eve", "Eve", PASSWORD).await.unwrap();
    say(&ben, room, "a word of ben").await;
    say(&ada, room, "a word of ada").await;
    let later = json!({ "body": "for later", "at": "2099-01-01T00:00:00Z" });
    assert_eq!(
        code(ada.post(&format!("/v1/rooms/{room}/scheduled"), &later).await).0,
        422
    );
    for (body, refusal) in [
        (json!({}), "account.password_required"),
        (
            json!({ "password": "not that one, certainly" }),
            "account.password_wrong",
        ),
    ] {
        assert_eq!(code(ada.post(ACCOUNT, &body).await), (422, refusal.into()));
    }
    assert!(newest(&ada).await.is_none());

    // Nobody makes any, so that it is certainly still asked for.
    platform.fleet.role_mut("projector").unwrap().kill9().await;
    let asked = ask(&ada, ACCOUNT).await.unwrap();
    assert_eq!(
        (&asked["state"], &asked["kind"]),
        (&json!("running"), &json!("account"))
    );
    assert_eq!(code(ask(&ada, ACCOUNT).await), (409, "export.running".into()));
    let id = asked["id"].as_str().unwrap().to_owned();
    let early = fetch(&platform, &ada, &id, None).await;
    assert_eq!(early.0, 409);
    platform
        .fleet
        .role_mut("projector")
        .unwrap()
        .restart()
        .await
        .unwrap();
    let made = done(&ada).await;
    assert_eq!(made["id"], asked["id"]);

    let (status, _, whole) = fetch(&platform, &ada, &id, None).await;
    assert_eq!(
        (status, whole.len() as u64),
        (200, made["size"].as_u64().unwrap())
    );
    let manifest: format::Manifest = serde_json::from_str(&file(&whole, "manifest.json")).unwrap();
    assert_eq!((manifest.of, manifest.lines["messages.jsonl"]), (ada.account, 1));
    let messages = file(&whole, "messages.jsonl");
    assert!(
        messages.contains("a word of ada") && !messages.contains("ben"),
        "{messages}"
    );
    let (status, part, bytes) = fetch(&platform, &ada, &id, Some("bytes=10-109")).await;
    let told = format!("bytes 10-109/{}", whole.len());
    assert_eq!((status, part, &bytes[..]), (206, told, &whole[10..110]));
    assert_eq!(fetch(&platform, &ben, &id, None).await.0, 404);

    let path = format!("/v1/spaces/{space}/exports");
    assert_eq!(code(ask(&eve, &path).await), (404, "space.not_found".into()));
    assert_eq!(code(ask(&ben, &path).await), (403, "space.not_allowed".into()));
    let asked = ask(&ada, &path).await.unwrap();
    assert_ne!(asked["id"], made["id"]);
    let made = done(&ada).await;
    assert_eq!((&made["kind"], &made["space"]), (&json!("space"), &json!(space)));
    assert_eq!(
        fetch(&platform, &ada, &id, None).await.0,
        404,
        "the one before is gone"
    );
    let (_, _, whole) = fetch(&platform, &ada, made["id"].as_str().unwrap(), None).await;
    let messages = file(&whole, &format!("rooms/{room}.jsonl"));
    assert!(
        messages.contains("a word of ada") && messages.contains("a word of ben"),
        "{messages}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_outlives_its_makers_and_not_its_time() {
    let settings = [
        ("VEZA__FILES__EXPORT_LEASE_S", "2"),
        ("VEZA__FILES__EXPORT_TTL_S", "6"),
    ];
    let mut platform = Platform::with_files(&settings).await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    say(&ada, room, "something to keep").await;
    let asked = ask(&ada, ACCOUNT).await.unwrap();
    for pause in [5, 50, 150] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let projector = platform.fleet.role_mut("projector").unwrap();
        projector.kill9().await;
        projector.restart().await.unwrap();
    }
    let made = done(&ada).await;
    assert_eq!(made["id"], asked["id"]);
    let (status, _, whole) = fetch(&platform, &ada, made["id"].as_str().unwrap(), None).await;
    assert_eq!(status, 200);
    assert!(file(&whole, "messages.jsonl").contains("something to keep"));
    eventually("its time is over", async || {
        newest(&ada).await.is_none().then_some(())
    })
    .await;
    assert_eq!(
        fetch(&platform, &ada, made["id"].as_str().unwrap(), None).await.0,
        404
    );
}

//! `veza export`, on the whole platform.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::Person;
use veza_projector::exports::format;
use zip::ZipArchive;

use crate::platform::{PASSWORD, Platform, eventually, words};

const PICTURE: &[u8] = b"not a picture, but bytes that come out as they went in";

struct Export(ZipArchive<File>);

impl Export {
    async fn of(platform: &Platform, what: &str, which: &str, out: &Path) -> Self {
        let args = ["export", what, which, "--out", out.to_str().unwrap()];
        platform
            .fleet
            .run(&args)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        Self(ZipArchive::new(File::open(out).unwrap()).unwrap())
    }

    fn bytes(&mut self, name: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// One document; what its schema does not know is an error.
    fn one<T: DeserializeOwned>(&mut self, name: &str) -> T {
        serde_json::from_slice(&self.bytes(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn lines<T: DeserializeOwned>(&mut self, name: &str) -> Vec<T> {
        let text = String::from_utf8(self.bytes(name)).unwrap();
        let read =
            |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}: {line}"));
        text.lines().map(read).collect()
    }
}

async fn post(person: &Person, room: Uuid, body: &Value) -> Uuid {
    let posted = person
        .post(&format!("/v1/rooms/{room}/messages"), body)
        .await
        .unwrap();
    posted["id"].as_str().unwrap().parse().unwrap()
}

async fn upload(platform: &Platform, person: &Person, room: Uuid) -> String {
    let url = format!(
        "{}/v1/rooms/{room}/uploads?name=..%2Fnotes%20of%20ada.bin",
        platform.fleet.url()
    );
    let request = reqwest::Client::new()
        .post(url)
        .bearer_auth(person.access_token());
    let file: Value = request.body(PICTURE).send().await.unwrap().json().await.unwrap();
    file["id"].as_str().unwrap().to_owned()
}

/// Until the tables have it.
async fn shown(person: &Person, message: Uuid, enough: impl Fn(&Value) -> bool) {
    eventually("the tables have the message", async || {
        let found = person.get(&format!("/v1/messages/{message}")).await.ok()?;
        enough(&found["message"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_and_a_space_are_exported_as_they_are() {
    let platform = Platform::with_files(&[]).await;
    let ([ada, grace], space, room) = platform.people(["ada", "grace"]).await;
    let stranger = platform.api().register("stranger", "S", PASSWORD).await.unwrap();

    let file = upload(&platform, &ada, room).await;
    let edited = post(&ada, room, &words("frist")).await;
    let with_file = post(&ada, room, &json!({ "body": "see", "attachments": [file] })).await;
    let deleted = post(&ada, room, &words("never mind")).await;
    let theirs = post(&grace, room, &words("a secret of grace")).await;
    shown(&ada, theirs, |_| true).await;
    let path = format!("/v1/messages/{edited}");
    ada.call(Method::PATCH, &path, Some(&words("first")))
        .await
        .unwrap();
    ada.call(Method::DELETE, &format!("/v1/messages/{deleted}"), None)
        .await
        .unwrap();
    ada.call(
        Method::PUT,
        &format!("/v1/messages/{theirs}/reactions/%F0%9F%91%8D"),
        None,
    )
    .await
    .unwrap();
    let thread = ada
        .post(&format!("/v1/messages/{theirs}/thread"), &json!({}))
        .await
        .unwrap();
    let thread: Uuid = thread["room"].as_str().unwrap().parse().unwrap();
    let answer = post(&ada, thread, &words("tell me")).await;
    shown(&ada, answer, |_| true).await;
    shown(&ada, theirs, |message| message["reactions"][0]["count"] == 1).await;

    let folder = platform.folder();
    let mut export = Export::of(&platform, "account", "@Ada", &folder.join("ada.zip")).await;
    let account: format::Account = export.one("account.json");
    assert_eq!(
        (account.account, account.handle.as_deref()),
        (ada.account, Some("ada"))
    );
    assert!(account.email.is_some() && account.sessions.len() == 1);
    let messages: Vec<format::Message> = export.lines("messages.jsonl");
    let ids: BTreeSet<Uuid> = messages.iter().map(|message| message.message).collect();
    assert_eq!(
        ids,
        [edited, with_file, deleted, answer].into(),
        "what ada said, and nobody else"
    );
    let of = |id| messages.iter().find(|message| message.message == id).unwrap();
    assert_eq!(of(edited).body.as_deref(), Some("first"));
    assert_eq!(of(edited).edits[0].body.as_deref(), Some("frist"));
    assert!(of(deleted).body.is_none() && of(deleted).deleted_at.is_some());
    assert_eq!((of(answer).room, of(answer).thread_of), (room, Some(theirs)));
    let attached = &of(with_file).attachments[0];
    assert_eq!(attached.path, format!("files/{file}-notes_of_ada.bin"));
    assert_eq!(export.bytes(&attached.path), PICTURE);
    let reactions: Vec<format::Reaction> = export.lines("reactions.jsonl");
    assert_eq!((reactions.len(), reactions[0].message), (1, theirs));
    let spaces: Vec<format::Membership> = export.lines("spaces.jsonl");
    assert_eq!((spaces[0].space, spaces[0].name.as_deref()), (space, Some("Lab")));
    let _: format::Settings = export.one("settings.json");
    let rooms: Vec<format::Room> = export.lines("rooms.jsonl");
    assert_eq!(rooms.len(), 1);
    let manifest: format::Manifest = export.one("manifest.json");
    assert_eq!(
        (manifest.format.as_str(), manifest.of),
        ("veza.export.account.v1", ada.account)
    );
    assert_eq!((manifest.lines["messages.jsonl"], manifest.files), (4, 1));
    let outside = export.0.file_names().any(|name| name.unwrap().contains(".."));
    assert!(!outside, "a name of a file is only a name");

    let mut export = Export::of(&platform, "space", &space.to_string(), &folder.join("lab.zip")).await;
    let lab: format::Space = export.one("space.json");
    assert_eq!((lab.name.as_str(), lab.owner), ("Lab", ada.account));
    let members: Vec<format::Member> = export.lines("members.jsonl");
    assert_eq!(members.len(), 2);
    let messages: Vec<format::Message> = export.lines(&format!("rooms/{room}.jsonl"));
    assert_eq!(messages.len(), 5, "all of the room and its threads");
    let grace_says = messages.iter().find(|message| message.message == theirs).unwrap();
    assert_eq!(grace_says.author_handle.as_deref(), Some("grace"));
    assert_eq!(grace_says.reactions[0].account, ada.account);
    assert!(
        String::from_utf8(export.bytes("index.html"))
            .unwrap()
            .contains("talk")
    );

    let nothing = ["export", "space", &Uuid::nil().to_string(), "--out", "none.zip"].map(str::to_owned);
    let nothing: Vec<&str> = nothing.iter().map(String::as_str).collect();
    assert!(platform.fleet.run(&nothing).await.is_err());
    let mut export = Export::of(
        &platform,
        "account",
        &stranger.account.to_string(),
        &folder.join("stranger.zip"),
    )
    .await;
    assert!(export.lines::<format::Message>("messages.jsonl").is_empty());
}

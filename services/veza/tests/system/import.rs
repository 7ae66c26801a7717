//! `veza import`, on the whole platform, with exports as Mattermost and Slack write them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::Person;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::platform::{Platform, eventually};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples")
}

fn packed(path: &Path, parts: &[(&str, &str)]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, file) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(&std::fs::read(samples().join(file)).unwrap())
            .unwrap();
    }
    zip.finish().unwrap();
}

async fn import(
    platform: &Platform,
    format: &str,
    file: &Path,
    space: Uuid,
    more: &[&str],
) -> Result<Value, String> {
    let (file, space) = (file.to_str().unwrap(), space.to_string());
    let mut args = vec!["--json", "import", format, file, "--space", &space];
    args.extend(more);
    let told = platform
        .fleet
        .run(&args)
        .await
        .map_err(|error| error.to_string())?;
    Ok(serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}")))
}

async fn room_named(person: &Person, space: Uuid, name: &str) -> Option<Uuid> {
    let rooms = person.get(&format!("/v1/spaces/{space}/rooms")).await.unwrap();
    let found = rooms["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|room| room["name"] == name)?;
    Some(found["id"].as_str().unwrap().parse().unwrap())
}

/// The messages of a room, oldest first, once there are so many.
async fn messages(person: &Person, room: Uuid, count: usize) -> Vec<Value> {
    eventually("the messages are there", async || {
        let page = person
            .get(&format!("/v1/rooms/{room}/messages?limit=200"))
            .await
            .ok()?;
        let items = page["items"].as_array()?.clone();
        (items.len() == count).then_some(items)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "one story: each import is followed by a second that adds nothing"
)]
async fn mattermost_and_slack_come_in_once_and_whole() {
    let platform = Platform::with_files(&[]).await;
    let ([ada, grace], space, _) = platform.people(["ada", "grace"]).await;
    let export = samples().join("mattermost.jsonl");

    let refused = import(&platform, "mattermost", &export, space, &["--as", "grace"]).await;
    assert!(
        refused.unwrap_err().contains("permission"),
        "who may not manage the space brings nothing"
    );
    let dry = import(
        &platform,
        "mattermost",
        &export,
        space,
        &["--as", "ada", "--dry-run"],
    )
    .await
    .unwrap();
    assert_eq!(
        (&dry["imported"], &dry["rooms"]),
        (&json!(3), &json!(["Town Square", "Board"]))
    );
    assert_eq!(
        room_named(&ada, space, "Town Square").await,
        None,
        "nothing was done"
    );

    let done = import(&platform, "mattermost", &export, space, &["--as", "@ada"])
        .await
        .unwrap();
    assert_eq!(
        (&done["imported"], &done["there"], &done["files"]),
        (&json!(3), &json!(0), &json!(1))
    );
    assert_eq!(done["not_taken"].as_object().unwrap().len(), 4, "{done}");
    let square = room_named(&ada, space, "Town Square").await.unwrap();
    let said = messages(&grace, square, 2).await;
    let first = said
        .iter()
        .find(|message| message["body"] == "Good **morning**")
        .unwrap();
    assert_eq!(first["author"], json!(ada.account));
    let before = json!({
        "source": "mattermost", "author": "Samuel Tucker", "at": "2024-01-01T00:00:00.123Z",
        "reactions": [{ "emoji": "+1", "count": 2 }],
    });
    assert_eq!(first["imported"], before);
    let answer = said
        .iter()
        .find(|message| message["body"] == "To you, too")
        .unwrap();
    assert_eq!(
        (&answer["reply_to"], &answer["imported"]["author"]),
        (&first["id"], &json!("Bob"))
    );
    assert_eq!(
        room_named(&grace, space, "Board").await,
        None,
        "a private channel is a private room"
    );
    let board = room_named(&ada, space, "Board").await.unwrap();
    let notes = &messages(&ada, board, 1).await[0]["attachments"][0];
    assert_eq!(notes["name"], json!("notes.txt"));
    let url = format!(
        "{}/v1/attachments/{}",
        platform.fleet.url(),
        notes["id"].as_str().unwrap()
    );
    let file = reqwest::Client::new()
        .get(url)
        .bearer_auth(ada.access_token())
        .send()
        .await
        .unwrap();
    assert_eq!(file.text().await.unwrap(), "what was decided\n");

    let again = import(&platform, "mattermost", &export, space, &["--as", "ada"])
        .await
        .unwrap();
    assert_eq!(
        (&again["imported"], &again["there"], &again["rooms"]),
        (&json!(0), &json!(3), &json!([]))
    );

    let slack = platform.folder().join("slack.zip");
    let days = [
        ("users.json", "slack/users.json"),
        ("channels.json", "slack/channels.json"),
        ("general/2024-01-01.json", "slack/general/2024-01-01.json"),
        ("general/2024-01-02.json", "slack/general/2024-01-02.json"),
    ];
    packed(&slack, &days);
    let done = import(&platform, "slack", &slack, space, &["--as", "ada"])
        .await
        .unwrap();
    assert_eq!(
        (&done["imported"], &done["rooms"]),
        (&json!(3), &json!([])),
        "general is there"
    );
    let general = room_named(&ada, space, "general").await.unwrap();
    let said = messages(&grace, general, 3).await;
    assert!(
        said.iter()
            .any(|message| message["imported"]["author"] == "deploy bot"),
        "{said:?}"
    );
    // What was brought and taken back stays away.
    let gone = said[0]["id"].as_str().unwrap();
    ada.call(Method::DELETE, &format!("/v1/messages/{gone}"), None)
        .await
        .unwrap();
    let again = import(&platform, "slack", &slack, space, &["--as", "ada"])
        .await
        .unwrap();
    assert_eq!((&again["imported"], &again["there"]), (&json!(0), &json!(3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_archives_and_strangers_bring_nothing() {
    let platform = Platform::start().await;
    let ([_ada], space, _) = platform.people(["ada"]).await;
    let path = platform.folder().join("hostile.zip");
    packed(
        &path,
        &[
            ("users.json", "slack/users.json"),
            ("../../evil.json", "slack/users.json"),
        ],
    );
    let refused = import(&platform, "slack", &path, space, &["--as", "ada"])
        .await
        .unwrap_err();
    assert!(refused.contains("outside"), "{refused}");
    packed(
        &path,
        &[
            ("users.json", "slack/users.json"),
            ("channels.json", "slack/channels.json"),
        ],
    );
    let refused = import(
        &platform,
        "slack",
        &path,
        space,
        &["--as", "ada", "--max-unpacked-bytes", "10"],
    )
    .await;
    assert!(refused.unwrap_err().contains("more than the 10"));
    let refused = import(&platform, "slack", &path, space, &["--as", "nobody"])
        .await
        .unwrap_err();
    assert!(refused.contains("no account"), "{refused}");
}

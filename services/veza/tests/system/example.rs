//! The examples in another language: a client that talks through a kill of every role, a bot, and all
//! that two people and a bot do.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
};

use veza_client::Socket;

use crate::bots::make;
use crate::platform::{EVERY_ROLE, PATIENCE, Platform};
use crate::structure::put;

/// What the example needs beside Python; `./veza test` puts it there.
fn packages() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.veza/tools/python");
    assert!(path.exists(), "run `./veza test`: {} is missing", path.display());
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_example_talks_through_a_kill_of_every_role() {
    let mut platform = Platform::start().await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python/talk.py");
    let mut child = Command::new("python3")
        .env("PYTHONPATH", packages())
        .arg(script)
        .arg(platform.fleet.url())
        .args(["--messages", "60", "--pause", "0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("talking"));
    for role in EVERY_ROLE {
        let role = platform.fleet.role_mut(role).unwrap();
        role.kill9().await;
        role.restart().await.unwrap();
    }
    let status = tokio::time::timeout(Duration::from_secs(90), child.wait())
        .await
        .unwrap()
        .unwrap();
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .await
        .unwrap();
    assert!(status.success(), "{errors}");
    let last = lines.next_line().await.unwrap().unwrap();
    assert!(last.starts_with("120 messages, each once and in order"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_bot_answers_a_slash_command_to_all_and_to_one() {
    let platform = Platform::start().await;
    let ([ada], space, room) = platform.people(["ada"]).await;
    let (bot, _, secret) = make(&ada, "dice", &["messages:write", "commands"]).await;
    put(&ada, &format!("/v1/spaces/{space}/bots/{bot}"), json!({}))
        .await
        .unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python/bot.py");
    let mut child = Command::new("python3")
        .env("PYTHONPATH", packages())
        .env("VEZA_BOT_SECRET", secret)
        .arg(script)
        .arg(platform.fleet.url())
        .args([space.to_string(), bot.to_string()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await;
    assert_eq!(ready.unwrap().unwrap().as_deref(), Some("ready"));

    let mut socket = Socket::connect(&ada, &json!({})).await.unwrap();
    socket.watch(room).await.unwrap();
    let calls = format!("/v1/rooms/{room}/commands");
    ada.post(&calls, &json!({ "name": "dice", "text": "2d6" }))
        .await
        .unwrap();
    let event = socket.wait_for("event").await.unwrap();
    let body = event["data"]["body"].as_str().unwrap();
    assert!(
        body.starts_with("rolled 2d6: ") && event["by"] == bot.to_string(),
        "{event}"
    );
    ada.post(&calls, &json!({ "name": "dice", "text": "help" }))
        .await
        .unwrap();
    let whisper = socket.wait_for("whisper").await.unwrap();
    assert!(
        whisper["body"].as_str().unwrap().contains("/dice 2d6"),
        "{whisper}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_and_a_bot_use_all_of_it_in_python() {
    let platform = Platform::with_files(&[]).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/python/everything.py");
    let child = Command::new("python3")
        .env("PYTHONPATH", packages())
        .arg(script)
        .arg(platform.fleet.url())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(Duration::from_secs(150), child)
        .await
        .unwrap()
        .unwrap();
    let (said, errors) = (
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr),
    );
    assert!(ended.status.success(), "{said}\n{errors}");
    assert_eq!(said.lines().last(), Some("all of it"));
}

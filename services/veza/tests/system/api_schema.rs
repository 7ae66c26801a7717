//! Schemathesis calls every operation of the OpenAPI document with what it invents, valid and not: nothing may
//! answer 5xx, or anything that the document does not say.

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::process::Command;
use veza_client::Person;

use crate::platform::{Platform, words};

/// What ends the session that the run itself uses, or changes its password.
const LEFT_OUT: [&str; 3] = [
    "/v1/sessions/current",
    "/v1/sessions/{session_id}",
    "/v1/accounts/me/password",
];
/// Calls of one operation by each kind of invention.
const EXAMPLES: &str = "20";
/// An access token is good for five minutes; the run takes one.
const PATIENCE: Duration = Duration::from_mins(5);

fn id(answer: &Value) -> String {
    answer["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{answer}"))
        .to_owned()
}

/// Things that are there, so that calls come past "not found": by the names of the document's parameters.
async fn things(platform: &Platform, ada: &Person, ben: &Person) -> Vec<(&'static str, String)> {
    let space = ada.create_space("Lab").await.unwrap();
    let room = ada.create_room(space, "talk").await.unwrap();
    let code = ada.invite(space).await.unwrap();
    ben.accept(&code).await.unwrap();
    let message = ada
        .post(&format!("/v1/rooms/{room}/messages"), &words("hello @ben"))
        .await
        .unwrap();
    let category = ada
        .post(
            &format!("/v1/spaces/{space}/categories"),
            &json!({ "name": "Shelf" }),
        )
        .await
        .unwrap();
    let url = format!("{}/v1/rooms/{room}/uploads?name=notes.txt", platform.fleet.url());
    let file: Value = reqwest::Client::new()
        .post(url)
        .bearer_auth(ada.access_token())
        .header("idempotency-key", "one")
        .header("content-type", "application/octet-stream")
        .body("a few words")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let things = vec![
        ("path.space", space.to_string()),
        ("path.room", room.to_string()),
        ("path.message", id(&message)),
        ("path.category", id(&category)),
        ("path.account", ben.account.to_string()),
        ("path.whom", ben.account.to_string()),
        ("path.id", id(&file)),
        ("path.code", code),
    ];
    ada.post(
        &format!("/v1/rooms/{room}/messages"),
        &json!({ "body": "", "attachments": [id(&file)] }),
    )
    .await
    .unwrap();
    things
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_what_the_document_says_whatever_it_is_asked() {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.veza/tools/schemathesis");
    assert!(
        tools.exists(),
        "run `./veza test`: {} is missing",
        tools.display()
    );
    let platform = Platform::with_files(&[]).await;
    let mut people = Vec::new();
    for handle in ["ada", "ben"] {
        people.push(
            platform
                .api()
                .register(handle, handle, crate::platform::PASSWORD)
                .await
                .unwrap(),
        );
    }
    let things = things(&platform, &people[0], &people[1]).await;
    let folder = veza_testkit::TestFolder::new();
    let settings: String = std::iter::once("[parameters]\n".to_owned())
        .chain(
            things
                .iter()
                .map(|(name, value)| format!("\"{name}\" = \"{value}\"\n")),
        )
        .collect();
    let config = folder.path().join("schemathesis.toml");
    std::fs::write(&config, settings).unwrap();

    let mut run = Command::new("python3");
    run.env("PYTHONPATH", tools)
        .env(
            "SCHEMATHESIS_HOOKS",
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/descriptions.py"),
        )
        .current_dir(folder.path())
        .args(["-m", "schemathesis.cli", "--config-file"])
        .arg(&config)
        .args([
            "run",
            "--no-color",
            &format!("{}/openapi.json", platform.fleet.url()),
        ])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", people[0].access_token()),
        ])
        .args(["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES])
        .args(["--generation-database", "none", "--continue-on-failure"])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,\
             response_schema_conformance,response_headers_conformance",
        ]);
    for path in LEFT_OUT {
        run.args(["--exclude-path", path]);
    }
    let child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let done = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("the run ends")
        .unwrap();
    // One worker: Python 3.11 cannot parse in two threads.
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "{told}");
    // A run that reached nothing would pass as well.
    assert!(
        !told.contains("operations returned only 401/403"),
        "the token was not taken: {told}"
    );
}

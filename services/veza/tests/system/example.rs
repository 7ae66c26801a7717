//! The example client in another language talks through a kill of every role.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
};

use crate::platform::{EVERY_ROLE, Platform};

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

//! `veza up`, as a person uses it.

use std::{
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
};
use veza_testkit::{TestFolder, veza_servers::free_port};

use crate::platform::{PATIENCE, eventually};

struct Up {
    child: Child,
    folder: TestFolder,
    ops: u16,
    report: Value,
}

fn veza(folder: &TestFolder, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_veza"));
    command
        .args(args)
        .arg("--data-dir")
        .arg(folder.path().join("data"));
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn output(folder: &TestFolder, args: &[&str]) -> Output {
    tokio::time::timeout(PATIENCE, veza(folder, args).output())
        .await
        .unwrap()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Up {
    async fn start() -> Self {
        let (folder, ops) = (TestFolder::new(), free_port().unwrap());
        let port = free_port().unwrap().to_string();
        let mut child = veza(&folder, &["up", "--json", "--port", &port])
            .env("VEZA__TELEMETRY__OPS_LISTEN", format!("127.0.0.1:{ops}"))
            .spawn()
            .unwrap();
        let mut text = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // One document over several lines, as `--json` prints it.
        let reading = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                text.push_str(&line);
                if line == "}" {
                    break;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap();
        let report = serde_json::from_str(&text).unwrap();
        Self {
            child,
            folder,
            ops,
            report,
        }
    }

    async fn stop(mut self) {
        let down = output(&self.folder, &["down"]).await;
        assert!(down.status.success(), "{}", stderr(&down));
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap()
            .unwrap();
        let mut said = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .await
            .unwrap();
        assert!(status.success(), "{status}: {said}");
        let data = self.folder.path().join("data").display().to_string();
        assert_eq!(processes_naming(&data), Vec::<String>::new(), "left behind");
    }
}

/// Command lines that name a path.
fn processes_naming(path: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(path))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn up_serves_says_where_and_leaves_nothing_behind() {
    let up = Up::start().await;
    let url = up.report["url"].as_str().unwrap().to_owned();
    for path in [
        "/docs",
        "/openapi.json",
        "/asyncapi.json",
        "/sign-in",
        "/.well-known/jwks.json",
        "/healthz",
    ] {
        let answer = reqwest::get(format!("{url}{path}")).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    let metrics = reqwest::get(format!("http://127.0.0.1:{}/metrics", up.ops))
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let mut families: Vec<&str> = metrics
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    let all = families.len();
    families.sort_unstable();
    families.dedup();
    assert_eq!(families.len(), all, "a metric is registered twice");

    let status = output(&up.folder, &["status"]).await;
    assert!(status.status.success(), "{}", stderr(&status));
    let again = output(&up.folder, &["up"]).await;
    assert!(stderr(&again).contains("already runs on"), "{}", stderr(&again));
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_is_caught_and_can_be_read() {
    let up = Up::start().await;
    assert!(up.report["mail"].as_str().unwrap().ends_with("data/mail"));
    let none = output(&up.folder, &["mail", "show"]).await;
    assert!(
        !none.status.success() && stderr(&none).contains("no such mail"),
        "{}",
        stderr(&none)
    );
    let sent = output(&up.folder, &["mail", "test", "ada@example.org"]).await;
    assert!(sent.status.success(), "{}", stderr(&sent));
    let listed = output(&up.folder, &["mail", "ls", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["to"], "ada@example.org");
    let shown = output(&up.folder, &["mail", "show", "1"]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("to try its mail server"), "{shown}");
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_administrators_link_works_once() {
    let up = Up::start().await;
    let url = up.report["url"].as_str().unwrap();
    let link = up.report["sign_in"].as_str().unwrap();
    let token = link.split_once('#').unwrap().1;
    let exchange = async || {
        let body = serde_json::json!({ "token": token });
        let answer = reqwest::Client::new()
            .post(format!("{url}/v1/sessions/link"))
            .json(&body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, session) = exchange().await;
    assert!((200..300).contains(&status), "{session}");
    let me = reqwest::Client::new().get(format!("{url}/v1/accounts/me"));
    let me = me.bearer_auth(session["access_token"].as_str().unwrap());
    eventually("the administrator is known", async || {
        let answer = me.try_clone().unwrap().send().await.unwrap();
        (answer.status() == 200).then_some(())
    })
    .await;
    assert_eq!(exchange().await.0, 401);
    up.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_crashes_is_named_and_started_again() {
    let mut up = Up::start().await;
    let data = up.folder.path().join("data").display().to_string();
    let redis = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .find_map(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let environment = std::fs::read_link(entry.path().join("cwd")).ok()?;
            let ours = line.starts_with("redis-server") || line.contains("/redis-server");
            (ours && environment.starts_with(&data)).then(|| entry.file_name().into_string().ok())?
        });
    let pid = redis.expect("a Redis of this platform");
    assert!(
        Command::new("kill")
            .args(["-9", &pid])
            .status()
            .await
            .unwrap()
            .success()
    );
    let mut lines = BufReader::new(up.child.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            let back = line.contains("Redis is back");
            said.push(line);
            if back {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reading)
        .await
        .unwrap_or_else(|_| panic!("{said:?}"));
    assert!(said.iter().any(|line| line.contains("Redis ended")), "{said:?}");
    let down = output(&up.folder, &["down"]).await;
    assert!(down.status.success(), "{}", stderr(&down));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_port_is_named_with_its_fix() {
    let (folder, port) = (TestFolder::new(), free_port().unwrap());
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let ops = format!("127.0.0.1:{}", free_port().unwrap());
    let mut command = veza(&folder, &["up", "--port", &port.to_string()]);
    let failed = tokio::time::timeout(PATIENCE, command.env("VEZA__TELEMETRY__OPS_LISTEN", ops).output());
    let failed = failed.await.unwrap().unwrap();
    assert!(!failed.status.success());
    let said = stderr(&failed);
    assert!(said.contains(&port.to_string()), "{said}");
}

#[tokio::test]
async fn settings_are_shown_without_secrets_and_faults_are_named() {
    let folder = TestFolder::new();
    let shown = veza(&folder, &["config", "show"])
        .env("VEZA__NATS__PASSWORD", "hush")
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(
        shown.status.success() && text.contains("[gateway]") && !text.contains("hush"),
        "{text}"
    );
    let wrong = veza(&folder, &["config", "show"])
        .env("VEZA__GATEWAY__LISTN", "x")
        .output()
        .await
        .unwrap();
    assert!(!wrong.status.success());
    assert!(
        stderr(&wrong).contains("did you mean `gateway.listen`"),
        "{}",
        stderr(&wrong)
    );
    let nothing = output(&folder, &["status"]).await;
    assert_eq!(nothing.status.code(), Some(3));
}

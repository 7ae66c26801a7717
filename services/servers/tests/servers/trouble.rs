use std::net::{Ipv4Addr, TcpListener};

use veza_servers::{Nats, NatsOptions, Redis, RedisOptions, ServerError, Tools};

use crate::{Folder, runs};

#[tokio::test]
async fn a_busy_port_is_named_with_its_owner() {
    let folder = Folder::new();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let options = NatsOptions {
        dir: folder.path("nats"),
        port: Some(port),
        ..NatsOptions::default()
    };
    let error = Nats::start(&Tools::find(), options).await.unwrap_err();
    let process = std::process::id();
    assert!(matches!(error, ServerError::PortBusy { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&format!("port {port} for NATS is taken by")),
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "(process {process}); stop that program or choose another port"
        )),
        "{text}"
    );
}

#[tokio::test]
async fn a_server_that_is_killed_from_outside_is_noticed() {
    let folder = Folder::new();
    let redis = Redis::start(
        &Tools::find(),
        RedisOptions {
            dir: folder.path("redis"),
            port: None,
            tls: None,
        },
    )
    .await
    .unwrap();
    let exit = redis.wait_exited();
    let kill = std::process::Command::new("kill")
        .args(["-9", &redis.pid().to_string()])
        .status()
        .unwrap();
    assert!(kill.success());
    let exit = exit.await;
    assert!(!exit.asked);
    assert!(
        exit.to_string().starts_with("Redis ended (signal: 9 (SIGKILL))"),
        "{exit}"
    );
}

#[tokio::test]
async fn no_server_survives_its_parent() {
    let folder = Folder::new();
    // This test again, as a process that starts a server and is then killed.
    let helper = "trouble::starts_a_server_and_waits";
    let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
        .args([helper, "--exact", "--ignored", "--nocapture"])
        .env("VEZA_TEST_FOLDER", folder.path("nats"))
        .spawn()
        .unwrap();
    let pid_file = folder.path("pid");
    let pid: u32 = until(|| std::fs::read_to_string(&pid_file).ok()?.trim().parse().ok()).await;
    assert!(runs(pid));
    parent.kill().unwrap();
    parent.wait().unwrap();
    until(|| (!runs(pid)).then_some(())).await;
}

#[tokio::test]
#[ignore = "the second process of no_server_survives_its_parent"]
async fn starts_a_server_and_waits() {
    let dir = std::path::PathBuf::from(std::env::var_os("VEZA_TEST_FOLDER").unwrap());
    let pid_file = dir.with_file_name("pid");
    let nats = Nats::start(
        &Tools::find(),
        NatsOptions {
            dir,
            ..NatsOptions::default()
        },
    )
    .await
    .unwrap();
    std::fs::write(pid_file, format!("{}\n", nats.pid())).unwrap();
    nats.wait_exited().await;
}

async fn until<T>(mut check: impl FnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            match check() {
                Some(found) => return found,
                None => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), search)
        .await
        .unwrap()
}

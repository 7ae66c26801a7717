//! The shared servers are shared, databases are not, and nothing is left behind.

use std::path::Path;
use std::time::{Duration, Instant};

use veza_testkit::{TestFolder, TestNats, fresh_database, servers};

#[tokio::test]
async fn the_shared_servers_start_once() {
    let start = Instant::now();
    let first = servers().await;
    eprintln!("three servers in {:?}", start.elapsed());
    assert_eq!(first.nats.pid(), servers().await.nats.pid());
    assert_ne!(fresh_database().await, fresh_database().await);
}

#[tokio::test]
async fn every_nats_is_empty_and_its_own() {
    let (one, two) = tokio::join!(TestNats::start(), TestNats::start());
    assert_ne!(one.url(), two.url());
    assert_ne!(one.pid(), two.pid());
}

#[test]
fn a_killed_test_leaves_no_folder_and_no_server() {
    let note = TestFolder::new();
    let note = note.path().join("what-it-started");
    let mut test = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["starts_servers_and_waits", "--exact", "--ignored", "--nocapture"])
        .env("VEZA_TEST_NOTE", &note)
        .spawn()
        .unwrap();
    let started = until(|| {
        std::fs::read_to_string(&note)
            .ok()
            .filter(|text| text.ends_with('\n'))
    });
    test.kill().unwrap();
    test.wait().unwrap();
    assert_eq!(started.lines().count(), 4);
    for path in started.lines() {
        until(|| (!Path::new(path).exists()).then_some(()));
    }
}

#[tokio::test]
#[ignore = "the second process of a_killed_test_leaves_no_folder_and_no_server"]
async fn starts_servers_and_waits() {
    let servers = servers().await;
    let folder = TestFolder::new();
    let processes =
        [servers.nats.pid(), servers.postgres.pid(), servers.redis.pid()].map(|pid| format!("/proc/{pid}\n"));
    let text = format!(
        "{}{}\n",
        processes.concat(),
        folder.path().parent().unwrap().display()
    );
    std::fs::write(std::env::var_os("VEZA_TEST_NOTE").unwrap(), text).unwrap();
    std::future::pending::<()>().await;
}

fn until<T>(mut check: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match check() {
            Some(found) => return found,
            None if Instant::now() > end => panic!("it did not happen within 20 s"),
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

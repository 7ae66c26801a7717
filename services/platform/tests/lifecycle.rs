//! Stopping in two stages, failures that are noticed, and the answers given meanwhile.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use veza_platform::config::Config;
use veza_platform::lifecycle::{Lifecycle, StopError};
use veza_platform::runtime::Runtime;

const SOON: Duration = Duration::from_secs(5);

/// A runtime whose ops listener is on a free port.
fn runtime() -> Runtime {
    let mut config = Config::default();
    config.telemetry.ops_listen = "127.0.0.1:0".into();
    Runtime::new(config)
}

#[tokio::test]
async fn a_drain_waits_for_work_that_ends_when_asked() {
    let life = Lifecycle::new("test");
    let finished = Arc::new(AtomicBool::new(false));
    let (soft, done) = (life.soft.clone(), Arc::clone(&finished));
    life.spawn("worker", async move {
        soft.cancelled().await;
        tokio::task::yield_now().await;
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(life.drain(SOON).await, Ok(()));
    assert!(finished.load(Ordering::SeqCst));
}

#[tokio::test]
async fn work_that_does_not_end_is_dropped_at_the_deadline_and_named() {
    let life = Lifecycle::new("test");
    let dropped = Arc::new(AtomicUsize::new(0));
    for _ in 0..2 {
        let witness = DropWitness(Arc::clone(&dropped));
        life.spawn("stuck", async move {
            let _witness = witness;
            std::future::pending::<()>().await;
        });
    }
    let overdue = StopError::Overdue {
        tasks: vec!["test/stuck ×2".into()],
    };
    assert_eq!(life.drain(Duration::from_millis(10)).await, Err(overdue));
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
    assert!(life.running().is_empty());
}

#[tokio::test]
async fn a_hard_stop_does_not_wait() {
    let life = Lifecycle::new("test");
    life.spawn("stuck", std::future::pending());
    let hard = life.hard.clone();
    life.accompany("second signal", async move { hard.cancel() });
    assert_eq!(life.drain(Duration::from_hours(1)).await, Err(StopError::Hurried));
}

#[tokio::test]
async fn what_accompanies_a_role_is_not_waited_for_but_outlives_its_work() {
    let life = Lifecycle::new("test");
    let (role, ended) = (life.child("chat"), Arc::new(AtomicUsize::new(0)));
    let witness = DropWitness(Arc::clone(&ended));
    role.accompany("feed", async move {
        let _witness = witness;
        std::future::pending::<()>().await;
    });
    let (soft, seen) = (role.soft.clone(), Arc::clone(&ended));
    role.spawn("worker", async move {
        soft.cancelled().await;
        tokio::task::yield_now().await;
        assert_eq!(seen.load(Ordering::SeqCst), 0, "the feed is still there");
    });
    assert_eq!(life.running(), ["chat/worker"]);
    assert_eq!(life.drain(SOON).await, Ok(()));
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_panic_stops_the_process() {
    let life = Lifecycle::new("test");
    life.child("chat")
        .spawn("worker", async { panic!("out of luck") });
    tokio::time::timeout(SOON, life.soft.cancelled()).await.unwrap();
    let failed = life.drain(SOON).await.unwrap_err();
    assert_eq!(failed.to_string(), "chat/worker panicked: out of luck");
}

#[tokio::test]
async fn a_role_that_ends_early_stops_the_process() {
    for (role, message) in [
        (Ok(()), "chat/run ended early"),
        (
            Err(anyhow::anyhow!("no luck").context("opening the log")),
            "chat/run failed: opening the log: no luck",
        ),
    ] {
        let runtime = runtime();
        runtime.run_role("chat", |_| async move { role });
        tokio::time::timeout(SOON, runtime.lifecycle.soft.cancelled())
            .await
            .unwrap();
        assert_eq!(
            runtime.lifecycle.drain(SOON).await.unwrap_err().to_string(),
            message
        );
    }
}

#[tokio::test]
async fn one_role_can_be_stopped_alone() {
    let runtime = runtime();
    let until_stopped = |rt: Runtime| async move {
        rt.lifecycle.soft.cancelled().await;
        Ok(())
    };
    let chat = runtime.run_role("chat", until_stopped);
    let accounts = runtime.run_role("accounts", until_stopped);
    assert_eq!(chat.drain(SOON).await, Ok(()));
    assert!(!runtime.lifecycle.is_stopping() && !accounts.is_stopping());
    assert_eq!(runtime.lifecycle.running(), ["accounts/run"]);
    assert_eq!(runtime.lifecycle.drain(SOON).await, Ok(()));
}

#[tokio::test]
async fn a_drain_of_the_process_waits_for_the_tasks_of_its_roles() {
    let runtime = runtime();
    let role = runtime.lifecycle.child("chat");
    let finished = Arc::new(AtomicBool::new(false));
    let (soft, done) = (role.soft.clone(), Arc::clone(&finished));
    role.spawn("socket", async move {
        soft.cancelled().await;
        tokio::task::yield_now().await;
        done.store(true, Ordering::SeqCst);
    });
    drop(role);
    assert_eq!(runtime.lifecycle.drain(SOON).await, Ok(()));
    assert!(finished.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_process_is_ready_once_its_roles_serve_and_not_while_it_drains() {
    let runtime = runtime();
    let address = runtime.serve_ops().await.unwrap();
    let broken = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&broken);
    runtime.health.add("nats", move || {
        let broken = seen.load(Ordering::SeqCst);
        async move {
            if broken {
                Err("not connected".to_owned())
            } else {
                Ok(())
            }
        }
    });
    let (serve, told_to_serve) = tokio::sync::oneshot::channel::<()>();
    let (finish, told_to_finish) = tokio::sync::oneshot::channel::<()>();
    runtime.run_role("chat", |rt| async move {
        told_to_serve.await?;
        rt.started();
        rt.lifecycle.soft.cancelled().await;
        Ok(told_to_finish.await?)
    });

    let starting =
        "{\"ready\":false,\"stopping\":false,\"checks\":{\"chat\":\"not serving\",\"nats\":null}}\n";
    assert_eq!(get(address, "/readyz").await, (503, starting.into()));
    serve.send(()).unwrap();
    runtime.health.ready(SOON).await.unwrap();
    assert_eq!(get(address, "/readyz").await.0, 200);
    assert_eq!(get(address, "/healthz").await, (200, "alive\n".into()));
    assert_eq!(get(address, "/nothing").await.0, 404);
    let (status, metrics) = get(address, "/metrics").await;
    assert!(status == 200 && metrics.contains("veza_build_info"), "{metrics}");
    assert!(metrics.contains("veza_tasks{task=\"chat/run\"} 1"), "{metrics}");

    let life = runtime.lifecycle.clone();
    let drain = runtime.run_to_end();
    let look = async {
        life.soft.cancel();
        let (status, body) = get(address, "/readyz").await;
        assert!(status == 503 && body.contains("\"stopping\":true"), "{body}");
        finish.send(()).unwrap();
    };
    assert_eq!(tokio::join!(drain, look).0, Ok(()));
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "nothing answers after the end"
    );
}

#[tokio::test]
async fn a_check_is_asked_at_most_once_a_second_and_may_not_hang() {
    let runtime = runtime();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    runtime.health.add("redis", move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(()) }
    });
    for _ in 0..10 {
        assert!(runtime.health.report().await.ready);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let asked_again = async {
        while asked.load(Ordering::SeqCst) == 1 {
            runtime.health.report().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, asked_again).await.unwrap();

    runtime.health.add("postgres", std::future::pending);
    let report = runtime.health.report().await;
    assert_eq!(
        report.to_string(),
        "not ready (postgres: no answer within 2000 ms)"
    );
}

#[test]
fn the_first_signal_drains_a_process_and_the_second_ends_it_at_once() {
    for signal in ["TERM", "INT", "HUP"] {
        let mut child = child("a_process_that_drains_on_request");
        send(&child, signal);
        assert!(child.wait().unwrap().success(), "SIG{signal}");
    }
    let mut child = child("a_process_that_never_drains");
    send(&child, "TERM");
    expect_line(&mut child, "draining");
    send(&child, "TERM");
    assert!(!child.wait().unwrap().success());
}

#[tokio::test]
#[ignore = "run as a process of its own by the test of signals"]
async fn a_process_that_drains_on_request() {
    let life = Lifecycle::new("test");
    let soft = life.soft.clone();
    life.spawn("worker", async move { soft.cancelled().await });
    serve_until_signal(&life).await.unwrap();
}

#[tokio::test]
#[ignore = "run as a process of its own by the test of signals"]
async fn a_process_that_never_drains() {
    let life = Lifecycle::new("test");
    life.spawn("worker", std::future::pending());
    serve_until_signal(&life).await.unwrap();
}

async fn serve_until_signal(life: &Lifecycle) -> Result<(), StopError> {
    life.listen_for_signals().unwrap();
    println!("\nlistening");
    if tokio::time::timeout(Duration::from_secs(30), life.soft.cancelled())
        .await
        .is_err()
    {
        return Ok(()); // Run by hand: nobody sends a signal.
    }
    println!("\ndraining");
    life.drain(Duration::from_secs(30)).await
}

/// This test program as a process that runs `test` alone and is ready for signals.
fn child(test: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    expect_line(&mut child, "listening");
    child
}

fn expect_line(child: &mut Child, expected: &str) {
    use std::io::Read;
    let stdout = child.stdout.as_mut().unwrap();
    let (mut line, mut byte) = (String::new(), [0]);
    while stdout.read(&mut byte).unwrap() == 1 {
        match byte[0] {
            b'\n' if line == expected => return,
            b'\n' => line.clear(),
            other => line.push(char::from(other)),
        }
    }
    panic!("the process ended without `{expected}`");
}

fn send(child: &Child, signal: &str) {
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
}

struct DropWitness(Arc<AtomicUsize>);

impl Drop for DropWitness {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Status and body of a plain GET.
async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

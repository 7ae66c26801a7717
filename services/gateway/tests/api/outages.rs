//! When something is away.

use std::time::Duration;

use super::site::{Site, until};

#[tokio::test]
async fn without_postgres_writes_go_on_and_reads_say_so_fast() {
    let site = Site::new().await;
    let ((_, room), person) = (site.room().await, site.person().await);
    site.allow(room);
    let path = format!("/v1/rooms/{room}/messages");
    for _ in 0..3 {
        let read = site.get(&path, &person).await;
        assert_eq!((read.status, read.code()), (503, "platform.unavailable"));
        assert!(read.retry_after.is_some());
        assert_eq!(site.post(room, &person, None, "hi").await.status, 201);
    }
    let known_to_be_away = site.get(&path, &person).await;
    assert!(
        known_to_be_away.took < Duration::from_millis(500),
        "{:?}",
        known_to_be_away.took
    );
    assert_eq!(
        site.ask("GET", "/readyz", None, &[], None).await.status,
        200,
        "sockets and writes go on"
    );
}

#[tokio::test]
async fn without_nats_writes_say_so_fast_and_all_recovers_by_itself() {
    let mut site = Site::new().await;
    let ((_, room), person) = (site.room().await, site.person().await);
    site.allow(room);
    assert_eq!(site.post(room, &person, Some("k"), "hi").await.status, 201);
    site.nats.kill9().await;
    until("the gateway notices", async || {
        site.ask("GET", "/readyz", None, &[], None).await.status == 503
    })
    .await;
    for key in [None, Some("k")] {
        let write = site.post(room, &person, key, "hi").await;
        assert_eq!((write.status, write.code()), (503, "platform.unavailable"));
        assert!(write.retry_after.is_some());
        assert!(write.took < Duration::from_secs(1), "{:?}", write.took);
    }
    assert_eq!(site.ask("GET", "/healthz", None, &[], None).await.status, 200);
    let keys = site.ask("GET", "/.well-known/jwks.json", None, &[], None).await;
    assert_eq!(keys.status, 200, "tokens are checked as before");
    site.nats.restart().await.unwrap();
    until("writes go on", async || {
        site.post(room, &person, Some("k"), "hi").await.status == 201
    })
    .await;
    assert_eq!(site.ask("GET", "/readyz", None, &[], None).await.status, 200);
    let posts = site.worker.posts.lock().unwrap();
    let first = posts[0].0.command;
    assert!(
        posts.iter().all(|(caller, _)| caller.command == first),
        "the key is remembered across it"
    );
    assert!(site.runtime.lifecycle.failure().is_none());
}

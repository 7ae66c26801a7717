//! What happens when something dies.

use std::time::Duration;

use veza_readmodel::{Range, ReadError};

use crate::site::{Site, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_postgres_loses_nothing_and_doubles_nothing() {
    let mut site = Site::new().await;
    let mut config = site.config();
    config.projector.batch_events = 50;
    let projector = site.projector_with(config).await;
    let community = site.community().await;
    let mut last = 0;
    for _ in 0..3 {
        for _ in 0..10 {
            last = site.say(&community, &["a", "b", "c", "d", "e"]).await;
        }
        site.postgres.kill9().await;
        site.postgres.restart().await.unwrap();
    }
    site.caught_up().await;
    assert_eq!(
        site.sql("SELECT count(*), max(seq) FROM read.message").await,
        format!("150|{last}")
    );
    assert!(projector.metric("veza_projector_retries_total") >= 1);
    projector.0.health.ready(crate::site::SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_fail_fast_while_postgres_is_away_and_recover() {
    let mut site = Site::new().await;
    let _projector = site.projector().await;
    let community = site.community().await;
    site.caught_up().await;
    let reader = site.reader(false).await;
    assert!(reader.space(community.space).await.unwrap().is_some());
    site.postgres.kill9().await;
    let begun = tokio::time::Instant::now();
    assert!(matches!(
        reader.space(community.space).await,
        Err(ReadError::Unavailable { .. })
    ));
    assert!(begun.elapsed() < Duration::from_secs(4));
    let begun = tokio::time::Instant::now();
    for _ in 0..100 {
        assert!(matches!(
            reader.space(community.space).await,
            Err(ReadError::Unavailable { .. })
        ));
    }
    assert!(
        begun.elapsed() < Duration::from_millis(500),
        "the breaker is open"
    );
    site.postgres.restart().await.unwrap();
    eventually("readers are back", async || {
        reader.space(community.space).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_projectors_one_works_and_the_other_takes_over() {
    let site = Site::new().await;
    let first = site.projector().await;
    let second = site.projector().await;
    let community = site.community().await;
    site.say(&community, &["one", "two"]).await;
    site.caught_up().await;
    assert_eq!(first.metric("veza_projector_owner"), 2);
    assert_eq!(second.metric("veza_projector_owner"), 0);
    let bench = site.bench().await;
    let status = veza_projector::projection::list(&bench).await.unwrap();
    assert!(status.iter().all(|one| one.running));

    first.kill().await;
    site.say(&community, &["three"]).await;
    site.caught_up().await;
    eventually("the standby owns all", async || {
        second.metric("veza_projector_owner") == 2
    })
    .await;
    assert_eq!(site.sql("SELECT count(*) FROM read.message").await, "3");
    let lag = veza_projector::projection::lag(&bench).await.unwrap();
    assert!(
        lag.iter().all(|one| one.events == 0 && one.age_ms == 0),
        "{lag:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_nats_is_waited_for() {
    let mut site = Site::new().await;
    let _projector = site.projector().await;
    let community = site.community().await;
    site.say(&community, &["before"]).await;
    site.nats.kill9().await;
    site.nats.restart().await.unwrap();
    eventually("the log takes messages again", async || {
        let fact = community.says(community.people[0], community.rooms[0], "after");
        site.scribe.write(vec![fact]).await.is_ok()
    })
    .await;
    site.caught_up().await;
    let reader = site.reader(false).await;
    let timeline = reader
        .timeline(community.space, community.rooms[0], Range::Latest, 9, 0)
        .await
        .unwrap();
    assert_eq!(timeline.messages.first().unwrap().body.as_deref(), Some("before"));
    assert_eq!(timeline.messages.last().unwrap().body.as_deref(), Some("after"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_migrations_at_once_agree() {
    let url = veza_testkit::fresh_database().await;
    let (one, two) = tokio::join!(veza_migrations::migrate(&url), veza_migrations::migrate(&url));
    one.unwrap();
    two.unwrap();
    veza_migrations::migrate(&url).await.unwrap();
    let refused = veza_migrations::migrate_read(&url, "read; DROP SCHEMA veza").await;
    assert!(refused.is_err());
}

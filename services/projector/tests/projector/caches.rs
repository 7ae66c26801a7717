//! The caches answer nothing older than they say, and nobody needs them.

use std::time::Duration;

use fred::interfaces::{ClientLike, KeysInterface};
use veza_platform::config::{Config, ServiceUrl};
use veza_projector::workload::Community;
use veza_readmodel::cache::CacheWriter;
use veza_readmodel::{Range, ReadModel};
use veza_testkit::{TestCertificates, TestRedis};

use crate::site::{Site, eventually};

async fn bodies(reader: &ReadModel, community: &Community, at_least: u64) -> Vec<String> {
    let timeline = reader
        .timeline(community.space, community.rooms[0], Range::Latest, 5, at_least)
        .await;
    timeline
        .unwrap()
        .messages
        .into_iter()
        .filter_map(|message| message.body)
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_timeline_follows_its_room_without_postgres() {
    let site = Site::new().await;
    let _projector = site.projector().await;
    let community = site.community().await;
    site.say(&community, &["one"]).await;
    site.caught_up().await;
    site.cache_in_force().await;
    let reader = site.reader(true).await;
    // Reading warms timeline and names, once both caches are in force.
    eventually("warm", async || {
        bodies(&reader, &community, 0).await;
        site.cached("c:*:a:*").await > 0
    })
    .await;
    let last = site.say(&community, &["two", "three"]).await;
    site.caught_up().await;
    site.cache_in_force().await;
    site.postgres.kill9().await;
    assert_eq!(bodies(&reader, &community, last).await, ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_answer_is_never_older_than_its_head_says() {
    let site = Site::new().await;
    let _projector = site.projector().await;
    let community = site.community().await;
    site.say(&community, &["0"]).await;
    site.caught_up().await;
    site.cache_in_force().await;
    let reader = site.reader(true).await;
    let writer = async {
        for number in 1..150 {
            let last = site.say(&community, &[&number.to_string()]).await;
            reader
                .wait_for("SPACES_0", last, crate::site::SOON)
                .await
                .unwrap();
            let read = bodies(&reader, &community, last).await;
            assert_eq!(
                read.last().unwrap(),
                &number.to_string(),
                "older than what was asked for"
            );
        }
    };
    let onlooker = async {
        let mut newest = 0;
        loop {
            let timeline = reader
                .timeline(community.space, community.rooms[0], Range::Latest, 200, 0)
                .await
                .unwrap();
            let seqs: Vec<u64> = timeline.messages.iter().map(|message| message.seq).collect();
            assert!(seqs.is_sorted());
            let numbers: Vec<u64> = timeline
                .messages
                .iter()
                .map(|message| message.body.as_deref().unwrap().parse().unwrap())
                .collect();
            let whole = numbers
                .iter()
                .enumerate()
                .all(|(index, number)| *number == index as u64);
            assert!(whole, "a message is missing: {numbers:?}");
            assert_eq!(timeline.head, *seqs.last().unwrap());
            newest = newest.max(timeline.head);
        }
    };
    tokio::select! {
        () = writer => {}
        () = onlooker => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeline_keeps_its_newest_and_knows_where_it_ends() {
    let site = Site::new().await;
    let mut config = site.config();
    config.projector.cached_timeline_events = 3;
    let _projector = site.projector_with(config).await;
    let community = site.community().await;
    site.say(&community, &["1", "2"]).await;
    site.caught_up().await;
    site.cache_in_force().await;
    let reader = site.reader(true).await;
    eventually("warm", async || {
        assert_eq!(bodies(&reader, &community, 0).await, ["1", "2"]);
        site.cached("c:{SPACES_0}:*:t:*").await == 1
    })
    .await;
    let last = site.say(&community, &["3", "4", "5", "6"]).await;
    site.caught_up().await;
    site.cache_in_force().await;
    assert_eq!(site.cached("c:{SPACES_0}:*:t:*").await, 1);
    assert_eq!(
        bodies(&reader, &community, last).await,
        ["2", "3", "4", "5", "6"],
        "from Postgres"
    );
    let room = community.rooms[0];
    let newest = reader
        .timeline(community.space, room, Range::Latest, 3, last)
        .await
        .unwrap();
    assert_eq!((newest.messages.len(), newest.more), (3, true));
    let older = reader
        .timeline(community.space, room, Range::Before(newest.messages[0].seq), 9, 0)
        .await
        .unwrap();
    assert_eq!((older.messages.len(), older.more), (3, false));
    let after = reader
        .timeline(community.space, room, Range::After(older.messages[2].seq), 9, 0)
        .await
        .unwrap();
    assert_eq!(after.messages, newest.messages);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_all_goes_on_and_its_return_begins_anew() {
    let mut site = Site::new().await;
    let projector = site.projector().await;
    let community = site.community().await;
    site.say(&community, &["one"]).await;
    site.caught_up().await;
    site.cache_in_force().await;
    let reader = site.reader(true).await;
    bodies(&reader, &community, 0).await;
    site.redis.kill9().await;
    let last = site.say(&community, &["two"]).await;
    site.caught_up().await;
    bodies(&reader, &community, last).await;
    let begun = tokio::time::Instant::now();
    for _ in 0..50 {
        assert_eq!(bodies(&reader, &community, last).await, ["one", "two"]);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "an absent Redis costs nothing: {:?}",
        begun.elapsed()
    );
    site.redis.restart().await.unwrap();
    let last = site.say(&community, &["three"]).await;
    site.caught_up().await;
    site.cache_in_force().await;
    assert_eq!(bodies(&reader, &community, last).await, ["one", "two", "three"]);
    assert!(projector.metric("veza_projector_cache_failures_total") >= 1);
    // An emptied cache is as good as none.
    site.cache().await.flushall::<()>(false).await.unwrap();
    let last = site.say(&community, &["four"]).await;
    site.caught_up().await;
    assert_eq!(bodies(&reader, &community, last).await.len(), 4);
    site.cache_in_force().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_projector_lets_its_cache_lapse() {
    let site = Site::new().await;
    let projector = site.projector().await;
    let community = site.community().await;
    site.say(&community, &["one"]).await;
    site.caught_up().await;
    site.cache_in_force().await;
    projector.kill().await;
    let cache = site.cache().await;
    eventually("the lease lapses", async || {
        let generation: Option<String> = cache.get("c:{SPACES_0}:g").await.unwrap();
        generation.is_none()
    })
    .await;
    cache.quit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_reached_over_tls_when_the_named_authority_certifies_it() {
    let certificates = TestCertificates::new();
    let mut site = Site::new().await;
    site.redis = TestRedis::start_tls(&certificates).await;
    let mut config = site.config();
    config.redis.url = ServiceUrl::new(site.redis.tls_url().unwrap());
    config.redis.ca_file = Some(certificates.ca());
    let _projector = site.projector_with(config.clone()).await;
    let community = site.community().await;
    site.say(&community, &["sealed"]).await;
    site.caught_up().await;
    // This looks through the door without TLS.
    site.cache_in_force().await;

    assert!(takes(&config).await);
    let strangers = TestCertificates::new();
    config.redis.ca_file = Some(strangers.ca());
    assert!(!takes(&config).await, "certified by somebody else");
}

/// Whether the cache takes something by these settings.
async fn takes(config: &Config) -> bool {
    let writer = CacheWriter::connect(&veza_projector::cache_options(config)).unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    writer.begin("ELSEWHERE", "g", 1).await.is_ok()
}

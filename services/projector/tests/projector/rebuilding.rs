//! Building the read models anew.

use std::sync::atomic::{AtomicU64, Ordering};

use veza_platform::event_log::Draft;
use veza_projector::projection::{self, Progress, RebuildError, RebuildOptions};

use crate::site::{Site, shards};

async fn rebuild(site: &Site, options: RebuildOptions) -> Result<projection::Rebuilt, RebuildError> {
    let bench = site.bench().await;
    let url = site.postgres.url();
    let make = async |schema: &'static str| veza_migrations::migrate_read(&url, schema).await;
    projection::rebuild(&bench, options, make, |_| {}).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_gives_the_same_rows_while_the_old_ones_grow() {
    let site = Site::new().await;
    let projector = site.projector().await;
    site.scribe.fill(shards(), 6_000, |_| {}).await.unwrap();
    let community = site.community().await;
    site.caught_up().await;
    let reader = site.reader(false).await;
    let written = AtomicU64::new(0);
    let stop = tokio_util::sync::CancellationToken::new();
    let writing = async {
        while !stop.is_cancelled() {
            let last = site.say(&community, &["on", "and", "on"]).await;
            written.fetch_add(3, Ordering::Relaxed);
            // The same open connections, prepared statements and all.
            reader
                .wait_for("SPACES_0", last, crate::site::SOON)
                .await
                .unwrap();
            let room = reader.room(community.rooms[0]).await.unwrap().unwrap();
            assert!(room.head >= last);
        }
    };
    let rebuilding = async {
        for _ in 0..3 {
            let options = RebuildOptions {
                verify: true,
                park: false,
            };
            let rebuilt = rebuild(&site, options).await.unwrap();
            assert!(rebuilt.events > 6_000, "{rebuilt:?}");
        }
        stop.cancel();
    };
    tokio::join!(writing, rebuilding);
    site.caught_up().await;
    assert_eq!(
        site.sql(&format!(
            "SELECT count(*) FROM read.message WHERE room = '{}'",
            community.rooms[0]
        ))
        .await,
        written.load(Ordering::Relaxed).to_string()
    );
    let grown = site.hashes("read").await;
    rebuild(&site, RebuildOptions::default()).await.unwrap();
    assert_eq!(site.hashes("read").await, grown);
    assert_eq!(projector.metric("veza_projector_owner"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tables_from_before_can_be_put_back() {
    let site = Site::new().await;
    let _projector = site.projector().await;
    let community = site.community().await;
    site.say(&community, &["one"]).await;
    site.caught_up().await;
    let bench = site.bench().await;
    assert!(matches!(
        projection::switch_back(&bench).await,
        Err(RebuildError::NothingBefore)
    ));
    rebuild(&site, RebuildOptions::default()).await.unwrap();
    site.say(&community, &["two"]).await;
    site.caught_up().await;
    let newer = site.hashes("read").await;
    projection::switch_back(&bench).await.unwrap();
    site.caught_up().await;
    crate::site::eventually("the old tables catch up", async || {
        site.hashes("read").await == newer
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_stops_at_an_event_that_cannot_be_applied() {
    let site = Site::new().await;
    let projector = site.projector().await;
    let community = site.community().await;
    let posted = community.says(community.people[0], community.rooms[0], "x");
    let shapeless = Draft {
        payload: "{}".into(),
        ..site.scribe.draft(posted).await.unwrap()
    };
    let broken = site.log.append(shapeless).await.unwrap().position.seq;
    site.caught_up().await;
    let before = site.hashes("read").await;
    let refused = rebuild(&site, RebuildOptions::default()).await;
    assert!(
        matches!(refused, Err(RebuildError::Refused { seq, .. }) if seq == broken),
        "{refused:?}"
    );
    assert_eq!(site.hashes("read").await, before);
    let rebuilt = rebuild(
        &site,
        RebuildOptions {
            park: true,
            verify: true,
        },
    )
    .await
    .unwrap();
    assert_eq!(rebuilt.parked, 1);
    projector.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_without_a_projector_takes_all_of_the_log_and_one_at_a_time() {
    let site = Site::new().await;
    let count = site.scribe.fill(shards(), 3_000, |_| {}).await.unwrap() as u64;
    let bench = site.bench().await;
    let url = site.postgres.url();
    let make = async |schema: &'static str| veza_migrations::migrate_read(&url, schema).await;
    let furthest = AtomicU64::new(0);
    let progress = |progress: Progress| {
        if let Progress::Applying(stream) = progress {
            assert!(stream.seq <= stream.target);
            furthest.fetch_max(stream.seq, Ordering::Relaxed);
        }
    };
    let second = async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        rebuild(&site, RebuildOptions::default()).await
    };
    let (first, second) = tokio::join!(
        projection::rebuild(&bench, RebuildOptions::default(), make, progress),
        second
    );
    assert_eq!(first.unwrap().events, count);
    assert!(matches!(second, Ok(_) | Err(RebuildError::Busy)));
    assert!(furthest.load(Ordering::Relaxed) > 0);
}

//! How fast. Asked for by name (`--run-ignored all`, release build); prints and judges nothing, since
//! machines differ.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use veza_events::Shards;
use veza_platform::ledger::Ledger;
use veza_projector::projection::{self, Progress, RebuildOptions};
use veza_projector::workload::{Community, Fact};

use crate::site::{Site, shards};

fn setting(name: &str, default: usize) -> usize {
    std::env::var_os(name)
        .and_then(|text| text.to_str()?.parse().ok())
        .unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; takes minutes"]
async fn a_rebuild() {
    let site = Site::new().await;
    let wanted = setting("VEZA_SPEED_EVENTS", 200_000);
    let begun = Instant::now();
    let count = site.scribe.fill(Shards::new(1), wanted, |_| {}).await.unwrap();
    eprintln!("{count} events written in {:.1?}", begun.elapsed());
    read_alone(&site).await;
    let url = site.postgres.url();
    for _ in 0..setting("VEZA_SPEED_ROUNDS", 2) {
        let bench = site.bench().await;
        let make = async |schema: &'static str| veza_migrations::migrate_read(&url, schema).await;
        let progress = |progress: Progress| {
            if let Progress::Switching = progress {
                eprintln!("switching");
            }
        };
        let rebuilt = projection::rebuild(&bench, RebuildOptions::default(), make, progress)
            .await
            .unwrap();
        let rate = u128::from(rebuilt.events) * 1_000 / rebuilt.applying.as_millis().max(1);
        eprintln!(
            "{} events in {:.1?}: {rate}/s; held {:.0?}",
            rebuilt.events, rebuilt.applying, rebuilt.held
        );
    }
    reference(&site).await;
}

/// What reading costs: the bare records, and then with decoding and opening.
async fn read_alone(site: &Site) {
    let stream = "SPACES_0".into();
    let head = usize::try_from(site.log.head(&stream).await.unwrap()).unwrap();
    let begun = Instant::now();
    let records: Vec<_> = site
        .log
        .follow(&stream, 0)
        .take(head)
        .try_collect()
        .await
        .unwrap();
    eprintln!("{head} records read in {:.1?}", begun.elapsed());
    let ledger = Ledger::new(site.log.clone(), site.keys.clone(), "veza/test");
    let begun = Instant::now();
    for record in records {
        ledger.read(record).await.unwrap();
    }
    eprintln!("{head} records decoded and opened in {:.1?}", begun.elapsed());
}

/// The same messages by COPY into a table of the same shape.
async fn reference(site: &Site) {
    site.sql("CREATE TABLE public.copied (LIKE read.message INCLUDING ALL)")
        .await;
    site.sql("COPY read.message TO '/tmp/veza-projector-speed.copy' (FORMAT binary)")
        .await;
    let begun = Instant::now();
    let copied = site
        .sql("COPY public.copied FROM '/tmp/veza-projector-speed.copy' (FORMAT binary)")
        .await;
    let count: f64 = site
        .sql("SELECT count(*) FROM public.copied")
        .await
        .parse()
        .unwrap();
    eprintln!(
        "COPY of {count} messages {copied}: {:.0}/s",
        count / begun.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; takes minutes"]
async fn the_lag_under_a_steady_load() {
    let site = Site::new().await;
    let projector = site.projector().await;
    let community = Community::new(shards());
    site.scribe.write(community.people_facts()).await.unwrap();
    site.scribe.write(community.structure()).await.unwrap();
    site.caught_up().await;
    let (rate, seconds) = (
        setting("VEZA_SPEED_RATE", 2_000),
        setting("VEZA_SPEED_SECONDS", 15),
    );
    let tick = Duration::from_millis(10);
    let per_tick = rate / 100;
    let mut clock = tokio::time::interval(tick);
    let mut index = 0;
    for _ in 0..seconds * 100 {
        clock.tick().await;
        let facts: Vec<Fact> = (index..index + per_tick)
            .map(|index| community.message(index))
            .collect();
        index += per_tick;
        site.scribe.write(facts).await.unwrap();
    }
    site.caught_up().await;
    for line in projector.0.metrics.encode().lines() {
        let wanted = ["delay_seconds", "commit_seconds", "batch_events"];
        if line.contains("SPACES_0") && wanted.iter().any(|name| line.contains(name)) {
            eprintln!("{line}");
        }
    }
}

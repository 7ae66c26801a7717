//! What the log costs on this machine, against nothing but itself. Run by hand, in release mode:
//! `cargo test --release -p veza-platform --test event_log speed -- --ignored --nocapture --test-threads 1`.

use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use veza_platform::event_log::{EventLog, Expect};

use crate::site::{ROOM, Site, draft, spaces};

fn message(subject: &str) -> veza_platform::event_log::Draft {
    let id = veza_platform::ambient::new_uuid().to_string();
    let mut draft = draft(subject, Expect::Any, &id);
    for name in [
        "ce-id",
        "ce-source",
        "ce-time",
        "traceparent",
        "veza-actor",
        "veza-cause",
    ] {
        draft.headers.insert(name, &*id);
    }
    draft.payload = vec![b'x'; 300].into();
    draft
}

async fn report(name: &str, site: Site) {
    let mut latencies = Vec::new();
    for _ in 0..500 {
        let begun = Instant::now();
        site.log.append(message(ROOM)).await.unwrap();
        latencies.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    latencies.sort();
    println!(
        "{name}: append alone, at 500/s: p50 {:?}, p99 {:?}",
        latencies[250], latencies[494]
    );
    for appenders in [1, 10, 50, 200, 1000] {
        appends(name, &site.log, appenders).await;
    }
    fill(&site.log, 200_000).await;
    let head = site.log.head(&spaces()).await.unwrap();
    for max in [256, 1_000, 4_096] {
        let begun = Instant::now();
        let mut after = 0;
        while after < head {
            let page = site.log.page(&spaces(), after, max, None, None).await.unwrap();
            after = page.records.last().unwrap().position.seq;
        }
        println!(
            "{name}: pages of {max}: {:.0} events/s",
            head as f64 / begun.elapsed().as_secs_f64()
        );
    }
    let begun = Instant::now();
    let cpu = cpu_time();
    let mut follower = site.log.follow(&spaces(), 0);
    while follower.next().await.unwrap().unwrap().position.seq < head {}
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{name}: follow: {:.0} events/s, {:.2} s of our CPU per s",
        head as f64 / seconds,
        (cpu_time() - cpu) / seconds
    );
}

async fn appends(name: &str, log: &EventLog, appenders: usize) {
    let begun = Instant::now();
    let cpu = cpu_time();
    let appending = (0..appenders).map(|appender| {
        let log = log.clone();
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while begun.elapsed() < Duration::from_secs(4) {
                let sent = Instant::now();
                log.append(message(&format!("evt.0.room.r{}", appender % 100)))
                    .await
                    .unwrap();
                latencies.push(sent.elapsed());
            }
            latencies
        })
    });
    let mut latencies: Vec<_> = join_all(appending)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    let seconds = begun.elapsed().as_secs_f64();
    latencies.sort();
    let (count, used) = (latencies.len(), cpu_time() - cpu);
    println!(
        "{name}: {appenders} appenders: {:.0} appends/s, p50 {:?}, p99 {:?}, {:.0} µs of our CPU each",
        count as f64 / seconds,
        latencies[count / 2],
        latencies[count * 99 / 100],
        used / count as f64 * 1e6
    );
}

async fn fill(log: &EventLog, events: usize) {
    for _ in 0..events / 1_000 {
        let batch = (0..1_000)
            .map(|n| message(&format!("evt.0.room.r{}", n % 100)))
            .collect();
        log.append_atomic(batch).await.unwrap();
    }
}

/// Seconds of CPU that this process has used.
fn cpu_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn speed_on_one_node() {
    report("one node", Site::one_node().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn speed_on_three_nodes() {
    report("three nodes", Site::three_nodes().await).await;
}

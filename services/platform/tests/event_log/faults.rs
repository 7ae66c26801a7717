use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::join_all;
use veza_platform::event_log::{AppendError, Expect, Live};

use crate::read::take;
use crate::site::{ROOM, SOON, Site, draft, eventually, persist, seqs, spaces};

pub(crate) async fn an_append_without_servers_is_unavailable_and_works_later(mut site: Site) {
    persist(&site.log, draft(ROOM, Expect::Any, "before")).await;
    site.servers.kill_all().await;
    let asked = Instant::now();
    let outcome = site.log.append(draft(ROOM, Expect::Any, "lost")).await;
    assert!(
        matches!(outcome, Err(AppendError::Unavailable { .. })),
        "{outcome:?}"
    );
    assert!(
        asked.elapsed() < Duration::from_secs(2),
        "it waited {:?}",
        asked.elapsed()
    );
    assert!(site.log.last(ROOM).await.is_err());
    assert!(site.log.load(ROOM, 0).await.is_err());
    site.servers.restart_all().await;
    let later = persist(&site.log, draft(ROOM, Expect::Any, "later")).await;
    let records = eventually(
        async || site.log.load(ROOM, 0).await,
        |records| records.iter().any(|record| record.position == later.position),
    );
    let ids: Vec<_> = records.await.into_iter().map(|record| record.payload).collect();
    assert_eq!(ids.first().unwrap(), "{\"id\":\"before\"}");
    assert_eq!(ids.last().unwrap(), "{\"id\":\"later\"}");
}

pub(crate) async fn a_follower_survives_the_death_of_the_servers(mut site: Site) {
    let mut follower = site.log.follow(&spaces(), 0);
    for n in 0..20 {
        persist(&site.log, draft(ROOM, Expect::Any, &format!("a{n}"))).await;
    }
    let mut got = take(&mut follower, 10).await;
    site.servers.kill_all().await;
    site.servers.restart_all().await;
    for n in 0..20 {
        persist(&site.log, draft(ROOM, Expect::Any, &format!("b{n}"))).await;
    }
    got.extend(take(&mut follower, 30).await);
    assert_eq!(seqs(&got), (1..=40).collect::<Vec<_>>());
}

pub(crate) async fn a_live_feed_reports_a_reconnect(mut site: Site) {
    let mut live = site.log.live("live.0.room.r").await.unwrap();
    persist(&site.log, draft(ROOM, Expect::Any, "before")).await;
    assert!(matches!(
        tokio::time::timeout(SOON, live.next()).await,
        Ok(Some(Live::Event(_)))
    ));
    site.servers.kill_all().await;
    site.servers.restart_all().await;
    assert!(matches!(
        tokio::time::timeout(SOON, live.next()).await,
        Ok(Some(Live::Lagged))
    ));
    persist(&site.log, draft(ROOM, Expect::Any, "after")).await;
    assert!(matches!(
        tokio::time::timeout(SOON, live.next()).await,
        Ok(Some(Live::Event(_)))
    ));
}

/// Everyone goes on appending and following while the server that stores is killed and comes back.
pub(crate) async fn the_death_of_the_leader_loses_nothing_acked(mut site: Site) {
    let over = Arc::new(AtomicBool::new(false));
    let authors = (0..8).map(|author| {
        let (log, over) = (site.log.clone(), over.clone());
        tokio::spawn(async move {
            let mut acked = Vec::new();
            for n in 0.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let id = format!("{author}-{n}");
                acked.push((
                    persist(&log, draft(ROOM, Expect::Any, &id)).await.position.seq,
                    id,
                ));
            }
            acked
        })
    });
    let authors: Vec<_> = authors.collect();
    let follower = site.another().await;
    let following = {
        let over = over.clone();
        tokio::spawn(async move {
            let mut follower = follower.follow(&spaces(), 0);
            let mut got = Vec::new();
            while !over.load(Ordering::SeqCst) {
                if let Ok(Some(record)) =
                    tokio::time::timeout(Duration::from_millis(50), follower.next()).await
                {
                    got.push(record.unwrap());
                }
            }
            (follower, got)
        })
    };
    tokio::time::sleep(Duration::from_millis(300)).await;
    site.servers.kill_leader("SPACES_0").await;
    let back = persist(&site.log, draft(ROOM, Expect::Any, "back")).await;
    over.store(true, Ordering::SeqCst);
    let acked: Vec<_> = join_all(authors)
        .await
        .into_iter()
        .flat_map(Result::unwrap)
        .collect();
    let last = acked
        .iter()
        .map(|(seq, _)| *seq)
        .max()
        .unwrap()
        .max(back.position.seq);
    let (mut follower, mut got) = following.await.unwrap();
    while got.last().is_none_or(|record| record.position.seq < last) {
        got.extend(take(&mut follower, 1).await);
    }
    let log = eventually(
        async || site.log.load(ROOM, 0).await,
        |records| records.last().is_some_and(|record| record.position.seq >= last),
    );
    let log = log.await;
    assert_eq!(
        seqs(&got)[..],
        seqs(&log)[..got.len()],
        "the follower saw another order"
    );
    let bodies: HashSet<_> = log.iter().map(|record| record.payload.clone()).collect();
    assert_eq!(bodies.len(), log.len(), "an event is stored twice");
    for (seq, id) in acked {
        assert_eq!(
            log[log.partition_point(|record| record.position.seq < seq)].payload,
            format!("{{\"id\":\"{id}\"}}")
        );
    }
}

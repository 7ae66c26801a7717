use std::time::Duration;

use async_nats::HeaderValue;
use futures::future::join_all;
use futures::{Stream, StreamExt};
use prometheus_client::registry::Registry;
use veza_platform::ambient;
use veza_platform::event_log::{Expect, Live, ReadError, Record, StreamName};

use crate::site::{ROOM, SOON, Site, all, bodies, draft, eventually, persist, seqs, spaces};

pub(crate) async fn take(
    follower: &mut (impl Stream<Item = Result<Record, ReadError>> + Unpin),
    count: usize,
) -> Vec<Record> {
    let taking = async {
        let mut records = Vec::new();
        while records.len() < count {
            records.push(follower.next().await.expect("a follower does not end").unwrap());
        }
        records
    };
    tokio::time::timeout(SOON, taking).await.expect("the events come")
}

pub(crate) async fn load_page_follow_and_live_agree(site: Site) {
    const EVENTS: usize = 300;
    let mut from_start = site.log.follow(&spaces(), 0);
    let mut live = site.log.live("live.0.room.r1").await.unwrap();
    let rooms = ["evt.0.room.r0", "evt.0.room.r1", "evt.0.room.r2"];
    let appends = (0..EVENTS).map(|n| persist(&site.log, draft(rooms[n % 3], Expect::Any, &format!("{n}"))));
    let (_, got) = tokio::join!(join_all(appends), take(&mut from_start, EVENTS));
    assert_eq!(seqs(&got), (1..=EVENTS as u64).collect::<Vec<_>>());

    let loaded = all(&site.log, rooms[1], EVENTS / 3).await;
    let mut heard = Vec::new();
    while heard.len() < EVENTS / 3 {
        match tokio::time::timeout(SOON, live.next())
            .await
            .expect("live events come")
        {
            Some(Live::Event(record)) => heard.push(record),
            other => panic!("{other:?}"),
        }
    }
    let page = site.log.page(&spaces(), 0, EVENTS, None, None).await.unwrap();
    let late = take(&mut site.log.follow(&spaces(), 100), EVENTS - 100).await;
    assert_eq!((seqs(&page.records), page.pending), (seqs(&got), 0));
    assert_eq!(seqs(&late), seqs(&got[100..]));
    assert_eq!(bodies(&late), bodies(&got[100..]));
    let of_room: Vec<_> = got
        .into_iter()
        .filter(|record| record.subject == rooms[1])
        .collect();
    for found in [&loaded, &heard] {
        assert_eq!(seqs(found), seqs(&of_room));
        assert_eq!(bodies(found), bodies(&of_room));
        assert_eq!(chain(found), chain(&loaded));
        assert!(
            found
                .iter()
                .all(|record| record.subject == rooms[1] && record.headers.get("ce-type").is_some())
        );
        assert!(
            found
                .iter()
                .zip(&of_room)
                .all(|(one, other)| one.time == other.time)
        );
    }
    assert!(loaded.windows(2).all(|pair| pair[1].prev == pair[0].position.seq));
}

fn chain(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.prev).collect()
}

pub(crate) async fn pages_are_bounded_and_chained(site: Site) {
    for n in 0..30 {
        let subject = if n % 3 == 0 { ROOM } else { "evt.0.room.other" };
        persist(&site.log, draft(subject, Expect::Any, &format!("{n}"))).await;
    }
    let whole = all(&site.log, ROOM, 10).await;
    let first = site.log.page(&spaces(), 0, 4, Some(ROOM), None).await.unwrap();
    assert_eq!((first.records.len(), first.pending), (4, 6));
    let last = first.records.last().unwrap().position.seq;
    let second = site.log.page(&spaces(), last, 4, Some(ROOM), None).await.unwrap();
    assert_eq!(second.records[0].prev, last);
    assert_eq!((second.records.len(), second.pending), (4, 2));
    // Behind an event of another subject nothing is known of what came before.
    let between = site
        .log
        .page(&spaces(), last + 1, 4, Some(ROOM), None)
        .await
        .unwrap();
    assert_eq!(
        (seqs(&between.records), between.records[0].prev),
        (seqs(&second.records), 0)
    );
    let up_to = site.log.page(&spaces(), 0, 100, None, Some(17)).await.unwrap();
    assert_eq!((seqs(&up_to.records), up_to.pending), ((1..=17).collect(), 0));
    let rooms = site
        .log
        .page(&spaces(), 0, 100, Some("evt.0.room.*"), None)
        .await
        .unwrap();
    assert_eq!(rooms.records.len(), 30);
    let nothing = site.log.page(&spaces(), 30, 100, None, None).await.unwrap();
    assert_eq!((nothing.records.len(), nothing.pending), (0, 0));
    assert_eq!(seqs(&site.log.load(ROOM, last).await.unwrap()), seqs(&whole[4..]));
    assert!(site.log.load("evt.0.room.none", 0).await.unwrap().is_empty());
}

pub(crate) async fn the_last_event_is_found(site: Site) {
    assert!(site.log.last(ROOM).await.unwrap().is_none());
    assert!(site.log.last_consistent(ROOM).await.unwrap().is_none());
    persist(&site.log, draft(ROOM, Expect::Any, "one")).await;
    let stored = persist(&site.log, draft(ROOM, Expect::Any, "two")).await;
    persist(&site.log, draft("evt.0.room.other", Expect::Any, "three")).await;
    let leader = site.log.last_consistent(ROOM).await.unwrap().unwrap();
    let replica = eventually(
        async || site.log.last(ROOM).await,
        |found| {
            found
                .as_ref()
                .is_some_and(|record| record.position == stored.position)
        },
    );
    let replica = replica.await.unwrap();
    let at = eventually(async || site.log.get(&stored.position).await, Option::is_some)
        .await
        .unwrap();
    for record in [&leader, &replica, &at] {
        assert_eq!(
            (&record.position, &*record.subject, &*record.payload),
            (&stored.position, ROOM, b"{\"id\":\"two\"}".as_slice())
        );
        assert_eq!(
            record.headers.get("ce-type").map(HeaderValue::as_str),
            Some("room.message_posted.v1")
        );
        assert_eq!(record.time, leader.time);
    }
    assert_eq!(site.log.head(&spaces()).await.unwrap(), 3);
    let mut beyond = stored.position;
    beyond.seq = 99;
    assert!(site.log.get(&beyond).await.unwrap().is_none());
}

pub(crate) async fn a_slow_reader_of_the_live_feed_is_told(site: Site) {
    const EVENTS: usize = 1_500;
    let mut live = site.log.live("live.0.room.r").await.unwrap();
    for _ in 0..EVENTS / 500 {
        let batch = (0..500).map(|_| draft(ROOM, Expect::Any, "")).collect();
        site.log.append_atomic(batch).await.unwrap();
    }
    // Nobody reads until the feed is full.
    until_counted(&site, "log_live_lags_total 1").await;
    let mut lagged = false;
    let mut heard = 0;
    while !lagged {
        match tokio::time::timeout(SOON, live.next())
            .await
            .expect("the lag is told")
        {
            Some(Live::Event(_)) => heard += 1,
            Some(Live::Lagged) => lagged = true,
            None => panic!("the feed ended"),
        }
    }
    assert!(heard < EVENTS, "{heard}");
    // What is missing is there to be loaded, and the feed goes on.
    assert_eq!(all(&site.log, ROOM, EVENTS).await.len(), EVENTS);
    persist(&site.log, draft(ROOM, Expect::Any, "last")).await;
    loop {
        match tokio::time::timeout(SOON, live.next())
            .await
            .expect("the feed goes on")
        {
            Some(Live::Event(record)) if record.position.seq == EVENTS as u64 + 1 => break,
            Some(_) => {}
            None => panic!("the feed ended"),
        }
    }
}

async fn until_counted(site: &Site, line: &str) {
    let mut registry = Registry::default();
    site.log.register_metrics(&mut registry);
    let counting = async {
        let mut text = String::new();
        while !text.lines().any(|other| other == line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
            text.clear();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        }
    };
    tokio::time::timeout(SOON, counting).await.expect("it is counted");
}

pub(crate) async fn a_follower_of_accounts_sees_two_kinds_of_subjects_in_order(site: Site) {
    const ACCOUNTS: usize = 100;
    let mut follower = site.log.follow(&StreamName::accounts(), 0);
    let registering = async {
        for n in 0..ACCOUNTS {
            let handle = draft(&format!("evt.handle.h{n}"), Expect::Last(0), "");
            let account = draft(&format!("evt.account.a{n}"), Expect::Last(0), "");
            site.log.append_atomic(vec![handle, account]).await.unwrap();
        }
    };
    let ((), got) = tokio::join!(registering, take(&mut follower, 2 * ACCOUNTS));
    assert_eq!(seqs(&got), (1..=2 * ACCOUNTS as u64).collect::<Vec<_>>());
}

pub(crate) async fn events_are_found_by_time(site: Site) {
    persist(&site.log, draft(ROOM, Expect::Any, "old")).await;
    let old = all(&site.log, ROOM, 1).await.remove(0);
    tokio::time::sleep(Duration::from_millis(20)).await;
    for n in 0..5 {
        persist(&site.log, draft(ROOM, Expect::Any, &format!("{n}"))).await;
    }
    let since = old.time + Duration::from_millis(1);
    let found = eventually(
        async || site.log.since(ROOM, since, 100).await,
        |found| found.len() >= 5,
    )
    .await;
    assert_eq!(seqs(&found), [2, 3, 4, 5, 6]);
    assert_eq!(site.log.since(ROOM, since, 2).await.unwrap().len(), 2);
    let future = ambient::now() + Duration::from_mins(1);
    assert!(site.log.since(ROOM, future, 100).await.unwrap().is_empty());
}

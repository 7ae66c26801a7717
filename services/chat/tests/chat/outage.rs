//! Servers that go away and come back.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use veza_events::MessageId;
use veza_platform::contract::{
    Problem, ProblemKind,
    chat::{ChangeMember, Posted, Preset},
};

use super::site::{Home, Nats, Person, SOON, Site, assert_fenced, code, post, within};

/// Posts one message after the other, each until it is acked, until told to stop.
async fn keep_posting(site: &Site, home: Home, author: Person, stop: &AtomicBool) -> Vec<Posted> {
    let mut acked = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let body = format!("message {}", acked.len());
        acked.push(author.patiently(site, &post(home, &body)).await.unwrap());
    }
    acked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_log_comes_back_and_nothing_acked_is_lost_or_doubled() {
    let mut site = Site::start().await;
    let workers = [site.worker().await, site.worker().await];
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    let mut acked = Vec::new();
    for _ in 0..2 {
        let stop = AtomicBool::new(false);
        let killing = async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let Nats::One(nats) = &site.nats else {
                panic!("one node")
            };
            nats.kill9().await;
            for worker in &workers {
                within(SOON, async || {
                    (!worker.rt.health.report().await.ready).then_some(())
                })
                .await;
            }
            stop.store(true, Ordering::Relaxed);
        };
        // The last message of each may be under way when the server is gone: it is given again below.
        let posting = async {
            let (a, b) = futures::join!(
                until_away(&site, home, ada, &stop),
                until_away(&site, home, ben, &stop)
            );
            [a, b].concat()
        };
        let ((), before) = futures::join!(killing, posting);
        acked.extend(before);
        let Nats::One(nats) = &mut site.nats else {
            panic!("one node")
        };
        nats.restart().await.unwrap();
        for worker in &workers {
            worker.rt.health.ready(SOON).await.unwrap();
        }
        let stop = AtomicBool::new(false);
        let later = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            stop.store(true, Ordering::Relaxed);
        };
        let (again, ()) = futures::join!(keep_posting(&site, home, ada, &stop), later);
        acked.extend(again.into_iter().map(|posted| posted.message));
    }
    // What was changed after the outage is followed again.
    let mute = ChangeMember {
        time_out_s: None,
        reason: None,
        space: home.space,
        account: ben.0,
        roles: None,
        muted: Some(true),
        banned: None,
    };
    ada.ask(&site, &mute).await.unwrap();
    assert_eq!(code(ben.say(&site, home, "hi").await), "room.muted");

    assert_kept(&site, &acked).await;
}

/// Posts until the first refusal or the stop; says which messages were acked.
async fn until_away(
    site: &Site,
    home: Home,
    author: Person,
    stop: &AtomicBool,
) -> Vec<veza_events::MessageId> {
    let mut acked = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        match author.say(site, home, "still here").await {
            Ok(posted) => acked.push(posted.message),
            Err(problem) => {
                assert_away(&problem);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    acked
}

fn assert_away(problem: &Problem) {
    assert_eq!(problem.kind, ProblemKind::Unavailable, "{problem}");
    assert!(problem.retry_after_ms.is_some());
}

#[tokio::test]
async fn people_talk_on_while_postgres_is_away() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    ada.say(&site, home, "hi").await.unwrap();
    site.postgres.kill9().await;
    for n in 0..10 {
        ada.say(&site, home, &format!("message {n}")).await.unwrap();
        ben.say(&site, home, &format!("answer {n}")).await.unwrap();
    }
    let mute = ChangeMember {
        time_out_s: None,
        reason: None,
        space: home.space,
        account: ben.0,
        roles: None,
        muted: Some(true),
        banned: None,
    };
    ada.ask(&site, &mute).await.unwrap();
    assert_eq!(code(ben.say(&site, home, "hi").await), "room.muted");
}

#[tokio::test]
async fn a_worker_that_stops_answers_what_it_has_taken() {
    let site = Site::start().await;
    let first = site.worker().await;
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    let _second = site.worker().await;
    let stop = AtomicBool::new(false);
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        first.stop().await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.store(true, Ordering::Relaxed);
    };
    let posting = async {
        let mut acked = 0;
        while !stop.load(Ordering::Relaxed) {
            ada.say(&site, home, "hi").await.unwrap();
            acked += 1;
        }
        acked
    };
    let ((), acked) = futures::join!(stopping, posting);
    assert_eq!(site.messages().await.len(), acked);
}

/// Everything acked is in the log, and nothing twice.
async fn assert_kept(site: &Site, acked: &[MessageId]) {
    let events = site.events().await;
    assert_fenced(&events);
    let stored: Vec<_> = site
        .messages()
        .await
        .into_iter()
        .map(|message| message.message)
        .collect();
    let mut unique = stored.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), stored.len(), "no message is stored twice");
    assert!(
        acked.iter().all(|message| unique.binary_search(message).is_ok()),
        "nothing acked is lost"
    );
}

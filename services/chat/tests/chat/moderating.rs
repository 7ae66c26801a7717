//! Slow rooms, time-outs, and why they were given.

use std::time::Duration;

use veza_events::{Event, member::MemberEvent};
use veza_platform::contract::{
    ProblemKind,
    chat::{ChangeMember, ChangeRoom, Preset},
};

use super::site::{Home, Person, SOON, Site, code, within};

async fn slow_down(site: &Site, owner: Person, home: Home, seconds: u32) {
    let change = ChangeRoom {
        space: home.space,
        room: home.room,
        name: None,
        topic: None,
        slow_mode_s: Some(seconds),
        history: None,
        archive: false,
    };
    owner.ask(site, &change).await.unwrap();
}

fn time_out(home: Home, of: Person, seconds: u32, reason: Option<&str>) -> ChangeMember {
    ChangeMember {
        space: home.space,
        account: of.0,
        roles: None,
        muted: None,
        banned: None,
        time_out_s: Some(seconds),
        reason: reason.map(Into::into),
    }
}

#[tokio::test]
async fn a_slow_room_is_slow_whichever_worker_is_asked() {
    let site = Site::start().await;
    let _first = site.worker().await;
    let _second = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Open, ada, &[ben]).await;
    ben.say(&site, home, "before").await.unwrap();
    slow_down(&site, ada, home, 3_600).await;
    // Within a second every worker has heard of it.
    within(SOON, async || {
        let problem = ben.say(&site, home, "too soon").await.err()?;
        (problem.code == "room.slow_mode").then_some(())
    })
    .await;
    let said = site.messages().await.len();
    for _ in 0..10 {
        let problem = ben.say(&site, home, "too soon").await.unwrap_err();
        assert_eq!(
            (problem.code.as_str(), problem.kind),
            ("room.slow_mode", ProblemKind::TooMany)
        );
        let wait = problem.retry_after_ms.unwrap();
        assert!(wait > 3_500_000 && wait <= 3_600_000, "{wait}");
    }
    for _ in 0..3 {
        ada.say(&site, home, "she manages it").await.unwrap();
    }
    assert_eq!(site.messages().await.len(), said + 3);

    slow_down(&site, ada, home, 1).await;
    within(SOON, async || ben.say(&site, home, "a second later").await.ok()).await;
}

#[tokio::test]
async fn a_repeated_command_is_no_second_message_in_a_slow_room() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Open, ada, &[ben]).await;
    slow_down(&site, ada, home, 3_600).await;
    let (caller, post) = (ben.caller(), super::site::post(home, "once"));
    let first = site.bus.chat(&caller, &post).await.unwrap();
    let again = site.bus.chat(&caller, &post).await.unwrap();
    assert_eq!((first.position, true), (again.position, again.duplicate));
}

/// Each worker decides on what it knows, both let it pass, and the log takes one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_messages_at_one_instant_a_slow_room_takes_one() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let (ada, cem) = (site.person().await, site.person().await);
    let mut others = Vec::new();
    for _ in 0..20 {
        others.push(site.person().await);
    }
    let mut all = others.clone();
    all.push(cem);
    let home = site.home(Preset::Open, ada, &all).await;
    slow_down(&site, ada, home, 3_600).await;
    // Within a second both workers have heard of it.
    let mut refused = 0;
    while refused < 16 {
        let said = cem.say(&site, home, "is it slow?").await;
        refused = if said.is_err() { refused + 1 } else { 0 };
    }
    let before = site.messages().await.len();
    let mut taken = 0;
    for ben in &others {
        let at_once = ["one", "two", "three", "four"].map(|text| ben.say(&site, home, text));
        let outcomes = futures::future::join_all(at_once).await;
        for outcome in outcomes {
            match outcome {
                Ok(_) => taken += 1,
                Err(problem) => assert_eq!(problem.code, "room.slow_mode", "{problem}"),
            }
        }
    }
    assert_eq!(taken, others.len());
    assert_eq!(site.messages().await.len(), before + others.len());
}

#[tokio::test]
async fn a_time_out_holds_at_once_ends_by_itself_and_says_why_to_no_disk() {
    let site = Site::start().await;
    let _first = site.worker().await;
    let _second = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Open, ada, &[ben]).await;
    let give = time_out(home, ben, 2, Some("shouting"));
    ada.ask(&site, &give).await.unwrap();
    let refused = ben.say(&site, home, "still here").await.unwrap_err();
    assert_eq!(refused.code, "room.timed_out");
    assert!(refused.retry_after_ms.is_some_and(|wait| wait <= 2_000));
    let waited = within(SOON, async || ben.say(&site, home, "back").await.ok());
    tokio::time::timeout(Duration::from_secs(10), waited)
        .await
        .unwrap();

    ada.ask(&site, &time_out(home, ben, 600, None)).await.unwrap();
    assert_eq!(code(ben.say(&site, home, "again").await), "room.timed_out");
    assert_eq!(
        code(ben.ask(&site, &time_out(home, ben, 0, None)).await),
        "space.not_allowed"
    );
    ada.ask(&site, &time_out(home, ben, 0, None)).await.unwrap();
    ben.say(&site, home, "thanks").await.unwrap();

    let records = site.records().await;
    let bodies = records
        .iter()
        .map(|record| String::from_utf8_lossy(&record.payload));
    assert!(bodies.into_iter().all(|body| !body.contains("shouting")));
    let why = site
        .events()
        .await
        .into_iter()
        .find_map(|recorded| match recorded.event {
            Event::Member(event @ MemberEvent::TimedOut(_)) => event.reason().map(str::to_owned),
            _ => None,
        });
    assert_eq!(why.as_deref(), Some("shouting"));
}

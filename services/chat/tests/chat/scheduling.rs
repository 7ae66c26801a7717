//! Messages that wait for their time: said once, whoever tries and whoever dies.

use std::{collections::HashMap, time::Duration};

use futures::future::try_join_all;
use veza_events::{
    Event, ScheduledId, Timestamp,
    room::{Mentions, RoomEvent},
    schedule::ScheduleEvent,
};
use veza_platform::{
    ambient,
    contract::{
        Problem,
        chat::{CancelScheduled, ChangeMember, ChangeScheduled, Preset, ScheduleMessage},
    },
    ledger::Recorded,
};

use super::site::{Home, Nats, Person, SOON, Site, Worker, code, within};

fn ahead(milliseconds: u64) -> Timestamp {
    (ambient::now() + Duration::from_millis(milliseconds)).into()
}

fn later(home: Home, body: &str, at: Timestamp) -> ScheduleMessage {
    ScheduleMessage {
        space: home.space,
        room: home.room,
        body: body.into(),
        reply_to: None,
        mentions: Mentions::default(),
        at,
    }
}

async fn schedule(site: &Site, who: Person, home: Home, body: &str, at: Timestamp) -> ScheduledId {
    who.ask(site, &later(home, body, at)).await.unwrap().scheduled
}

fn change(home: Home, scheduled: ScheduledId, body: Option<&str>, at: Option<Timestamp>) -> ChangeScheduled {
    ChangeScheduled {
        space: home.space,
        scheduled,
        body: body.map(Into::into),
        mentions: Mentions::default(),
        at,
    }
}

async fn bodies(site: &Site) -> Vec<String> {
    let messages = site.messages().await.into_iter();
    messages
        .map(|message| message.body.into_clear().unwrap())
        .collect()
}

/// How a scheduled message ended, as the log has it.
fn ended(events: &[Recorded], scheduled: ScheduledId) -> Vec<&ScheduleEvent> {
    let of_it = events.iter().filter_map(|recorded| match &recorded.event {
        Event::Schedule(event) if event.scheduled() == scheduled => Some(event),
        _ => None,
    });
    of_it
        .filter(|event| {
            matches!(
                event,
                ScheduleEvent::MessageSent(_)
                    | ScheduleEvent::MessageRefused(_)
                    | ScheduleEvent::MessageCancelled(_)
            )
        })
        .collect()
}

#[tokio::test]
async fn a_message_is_said_when_its_time_comes_and_lies_sealed_until_then() {
    let site = Site::start().await;
    let worker = site.worker().await;
    let (ada, eve) = (site.person().await, site.person().await);
    let home = site.home(Preset::Open, ada, &[]).await;
    let (at, far) = (ahead(1_500), ahead(3_600_000));
    for (who, when, refusal) in [
        (eve, far, "space.not_found"),
        (ada, ahead(0), "schedule.past"),
        (ada, ahead(31_536_000_000 + 60_000), "schedule.too_far"),
    ] {
        assert_eq!(code(who.ask(&site, &later(home, "no", when)).await), refusal);
    }
    let command = later(home, "good morning", at);
    let caller = ada.caller();
    let first = site.bus.chat(&caller, &command).await.unwrap();
    let again = site.bus.chat(&caller, &command).await.unwrap();
    assert_eq!(
        (first.scheduled, first.position),
        (again.scheduled, again.position)
    );
    let early = schedule(&site, ada, home, "changed", far).await;
    let never = schedule(&site, ada, home, "never", at).await;
    assert_eq!(
        code(eve.ask(&site, &change(home, early, None, Some(at))).await),
        "schedule.not_found"
    );
    ada.ask(&site, &change(home, early, Some("other words"), Some(at)))
        .await
        .unwrap();
    let cancel = CancelScheduled {
        space: home.space,
        scheduled: never,
    };
    ada.ask(&site, &cancel).await.unwrap();
    assert_eq!(code(ada.ask(&site, &cancel).await), "schedule.not_found");
    assert!(bodies(&site).await.is_empty());
    within(SOON, async || (bodies(&site).await.len() == 2).then_some(())).await;
    let events = site.events().await;
    for recorded in &events {
        if let Event::Room(RoomEvent::MessagePosted(event)) = &recorded.event {
            assert!(
                recorded.envelope.time >= at && event.author == ada.0,
                "{recorded:?}"
            );
        }
    }
    let mut said = bodies(&site).await;
    said.sort();
    assert_eq!(said, ["good morning", "other words"]);
    assert!(matches!(
        ended(&events, never)[..],
        [ScheduleEvent::MessageCancelled(_)]
    ));
    assert!(matches!(
        ended(&events, early)[..],
        [ScheduleEvent::MessageSent(_)]
    ));
    for record in site.records().await {
        let body = String::from_utf8_lossy(&record.payload).into_owned();
        assert!(!body.contains("morning") && !body.contains("words"), "{body}");
    }
    assert!(worker.metric("veza_chat_scheduled_sent_total") >= 2.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_workers_each_says_what_no_other_has_said() {
    let site = Site::start().await;
    let workers = [site.worker().await, site.worker().await, site.worker().await];
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Open, ada, &[ben]).await;
    let at = ahead(3_000);
    let all = (0..40).map(|n| {
        let who = if n % 2 == 0 { ada } else { ben };
        let site = &site;
        async move { who.ask(site, &later(home, &format!("message {n}"), at)).await }
    });
    let planned = try_join_all(all).await.unwrap();
    within(SOON, async || (bodies(&site).await.len() >= 40).then_some(())).await;
    for worker in &workers {
        nothing_waits(worker).await;
    }
    assert_once(&site, planned.iter().map(|one| one.scheduled), 40).await;
}

/// A worker has tried whatever it knew of, or heard that another was faster.
async fn nothing_waits(worker: &Worker) {
    within(SOON, async || {
        (worker.metric("veza_chat_scheduled_waiting") == 0.0).then_some(())
    })
    .await;
}

async fn until(at: Timestamp) {
    tokio::time::sleep((at.time() - ambient::now()).try_into().unwrap_or_default()).await;
}

async fn assert_once(site: &Site, planned: impl IntoIterator<Item = ScheduledId>, count: usize) {
    let mut said = HashMap::<String, usize>::new();
    for body in bodies(site).await {
        *said.entry(body).or_default() += 1;
    }
    assert_eq!(said.len(), count, "{said:?}");
    assert!(said.values().all(|times| *times == 1), "{said:?}");
    let events = site.events().await;
    for scheduled in planned {
        let ended = ended(&events, scheduled);
        assert!(matches!(ended[..], [ScheduleEvent::MessageSent(_)]), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_due_while_all_was_away_is_said_at_the_start_and_once() {
    let mut site = Site::start().await;
    let worker = site.worker().await;
    let ada = site.person().await;
    let home = site.home(Preset::Open, ada, &[]).await;
    let at = ahead(2_500);
    let mut planned = Vec::new();
    for n in 0..10 {
        planned.push(schedule(&site, ada, home, &format!("message {n}"), at).await);
    }
    worker.stop().await;
    assert!(bodies(&site).await.is_empty(), "nobody was there at its time");
    until(at).await;
    let worker = site.worker().await;
    within(SOON, async || (bodies(&site).await.len() == 10).then_some(())).await;
    assert_once(&site, planned, 10).await;

    // The log dies around the time itself.
    let at = ahead(1_000);
    let mut planned = Vec::new();
    for n in 10..30 {
        planned.push(schedule(&site, ada, home, &format!("message {n}"), at).await);
    }
    until(at).await;
    let Nats::One(nats) = &mut site.nats else {
        panic!("one node")
    };
    nats.kill9().await;
    nats.restart().await.unwrap();
    worker.rt.health.ready(SOON).await.unwrap();
    within(SOON, async || (bodies(&site).await.len() >= 30).then_some(())).await;
    nothing_waits(&worker).await;
    assert_once(&site, planned, 30).await;
}

#[tokio::test]
async fn who_may_not_any_more_is_told_and_may_try_again() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Open, ada, &[ben]).await;
    let scheduled = schedule(&site, ben, home, "still here", ahead(1_000)).await;
    let mute = |muted| ChangeMember {
        time_out_s: None,
        reason: None,
        space: home.space,
        account: ben.0,
        roles: None,
        muted: Some(muted),
        banned: None,
    };
    ada.ask(&site, &mute(true)).await.unwrap();
    let refused = within(SOON, async || {
        let events = site.events().await;
        ended(&events, scheduled)
            .into_iter()
            .find_map(|event| match event {
                ScheduleEvent::MessageRefused(event) => Some(event.clone()),
                _ => None,
            })
    })
    .await;
    assert_eq!(refused.code, "room.muted");
    assert!(bodies(&site).await.is_empty());
    let again = |at| change(home, scheduled, None, at);
    ada.ask(&site, &mute(false)).await.unwrap();
    let outcome: Result<_, Problem> = ben.ask(&site, &again(Some(ahead(500)))).await;
    outcome.unwrap();
    within(SOON, async || {
        (bodies(&site).await == ["still here"]).then_some(())
    })
    .await;
}

//! Something that Veza needs is away: what still works, what says so, and that it comes back by itself.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use veza_client::Talker;
use veza_testkit::veza_servers::FleetNats;

use crate::platform::{Platform, eventually, settle, words};

/// The status of a request, and whether it says when to come back.
async fn ask(request: reqwest::RequestBuilder) -> (StatusCode, bool) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.headers().contains_key("retry-after"))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_nats_writes_say_when_to_come_back_and_reads_go_on() {
    let mut platform = Platform::start().await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let url = format!("{}/v1/rooms/{room}/messages", platform.fleet.url());
    let http = reqwest::Client::new();
    let post = || http.post(&url).bearer_auth(ada.access_token()).json(&words("hi"));
    let read = || http.get(&url).bearer_auth(ada.access_token());
    assert_eq!(ask(post()).await.0, StatusCode::CREATED);
    assert_eq!(ask(read()).await.0, StatusCode::OK);

    let FleetNats::Single(nats) = &platform.fleet.nats else {
        panic!("one node")
    };
    nats.kill9().await;
    let started = Instant::now();
    assert_eq!(ask(post()).await, (StatusCode::SERVICE_UNAVAILABLE, true));
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "a refusal must not keep people waiting"
    );
    assert_eq!(ask(read()).await.0, StatusCode::OK);
    let gateway = platform
        .fleet
        .roles
        .iter()
        .find(|role| role.name() == "gateway")
        .unwrap();
    eventually("readiness is red", async || {
        (gateway.ops("/readyz").await.unwrap().0 == 503).then_some(())
    })
    .await;
    assert_eq!(gateway.ops("/healthz").await.unwrap().0, 200);

    let FleetNats::Single(nats) = &mut platform.fleet.nats else {
        panic!("one node")
    };
    nats.restart().await.unwrap();
    eventually("writes work again", async || {
        (ask(post()).await.0 == StatusCode::CREATED).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgres_people_go_on_talking_and_the_history_catches_up() {
    let mut platform = Platform::start().await;
    let ([ada, grace], _, room) = platform.people(["ada", "grace"]).await;
    let mut talkers = vec![
        ("ada", Talker::start(ada.clone(), room)),
        ("grace", Talker::start(grace, room)),
    ];
    for (_, talker) in &talkers {
        talker.say("before").await;
    }
    settle(&mut talkers, 2).await;

    platform.fleet.postgres.kill9().await;
    for (_, talker) in &talkers {
        talker.say("during").await;
    }
    settle(&mut talkers, 4).await;
    // Older than anything in a cache, so only Postgres could answer.
    let url = format!("{}/v1/rooms/{room}/messages?before=1", platform.fleet.url());
    let history = || reqwest::Client::new().get(&url).bearer_auth(ada.access_token());
    assert_eq!(ask(history()).await, (StatusCode::SERVICE_UNAVAILABLE, true));

    platform.fleet.postgres.restart().await.unwrap();
    eventually("the history is back", async || {
        (ask(history()).await.0 == StatusCode::OK).then_some(())
    })
    .await;
    eventually("the rows caught up", async || {
        (platform.rows(room).await.len() == 4).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_nothing_is_missing() {
    let mut platform = Platform::start().await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    platform.fleet.redis.kill9().await;
    let path = format!("/v1/rooms/{room}/messages");
    for number in 0..3 {
        ada.post(&path, &words(&format!("n{number}"))).await.unwrap();
    }
    let all = async || {
        let page = ada.get(&path).await.unwrap();
        (page["items"].as_array().unwrap().len() == 3).then_some(())
    };
    eventually("the history has it all", all).await;
    platform.fleet.redis.restart().await.unwrap();
    ada.post(&path, &words("after")).await.unwrap();
    let last = async || {
        let page = ada.get(&path).await.unwrap();
        (page["items"].as_array().unwrap().len() == 4).then_some(())
    };
    eventually("also with a cache that forgot everything", last).await;
}

//! What people do on an ordinary day, by HTTP and WebSocket.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use veza_client::{ClientError, Socket, Talker};

use crate::platform::{PASSWORD, Platform, eventually, settle, words};

fn code<T: std::fmt::Debug>(outcome: Result<T, ClientError>) -> (u16, String) {
    match outcome.unwrap_err() {
        ClientError::Refused { status, problem, .. } => {
            assert!(
                problem["trace_id"].is_string() && problem["title"].is_string(),
                "{problem}"
            );
            (status, problem["code"].as_str().unwrap().to_owned())
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_register_share_a_space_talk_and_read_the_history() {
    let platform = Platform::start().await;
    let ([ada, grace], space, room) = platform.people(["ada", "grace"]).await;
    let mut talkers = vec![
        ("ada", Talker::start(ada.clone(), room)),
        ("grace", Talker::start(grace.clone(), room)),
    ];
    for number in 0..20 {
        talkers[number % 2].1.say(format!("message {number}")).await;
    }
    let conversations = settle(&mut talkers, 20).await;
    let last = conversations[0].1.shown.last().unwrap().seq;

    let page = grace
        .get(&format!("/v1/rooms/{room}/messages?limit=5"))
        .await
        .unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 5);
    let history = platform
        .api()
        .call(
            Method::GET,
            &format!("/v1/rooms/{room}/messages?after=0&limit=200"),
            Some(&ada.access_token()),
            None,
        )
        .await
        .unwrap();
    let messages = history["items"].as_array().unwrap();
    assert_eq!(messages.len(), 20);
    assert_eq!(messages.last().unwrap()["seq"].as_u64(), Some(last));

    let members = ada.get(&format!("/v1/spaces/{space}/members")).await.unwrap();
    assert_eq!(members["items"].as_array().map(Vec::len), Some(2), "{members}");
    let spaces = grace.get("/v1/spaces").await.unwrap();
    assert_eq!(spaces["items"].as_array().map(Vec::len), Some(1), "{spaces}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_read_back_at_once_with_its_sequence() {
    let platform = Platform::start().await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let http = reqwest::Client::new();
    let url = format!("{}/v1/rooms/{room}/messages", platform.fleet.url());
    for number in 0..10 {
        let posted = http
            .post(&url)
            .bearer_auth(ada.access_token())
            .json(&words(&format!("n{number}")))
            .send()
            .await
            .unwrap();
        assert_eq!(posted.status(), StatusCode::CREATED);
        let seq = posted.headers()["veza-seq"].clone();
        let read = http
            .get(&url)
            .bearer_auth(ada.access_token())
            .header("veza-min-seq", seq)
            .send()
            .await
            .unwrap();
        let page: Value = read.json().await.unwrap();
        let bodies: Vec<&str> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|m| m["body"].as_str())
            .collect();
        assert!(bodies.contains(&format!("n{number}").as_str()), "{bodies:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_does_it_once_and_another_body_is_refused() {
    let platform = Platform::start().await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let http = reqwest::Client::new();
    let url = format!("{}/v1/rooms/{room}/messages", platform.fleet.url());
    let post = async |body: &str| {
        let request = http
            .post(&url)
            .bearer_auth(ada.access_token())
            .header("idempotency-key", "monday");
        let answer = request.json(&words(body)).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (first, made) = post("once").await;
    let (second, again) = post("once").await;
    assert_eq!((first, second), (201, 201));
    assert_eq!(made["id"], again["id"]);
    assert_eq!(made["seq"], again["seq"]);
    let (status, problem) = post("twice").await;
    assert_eq!((status, problem["code"].as_str()), (422, Some("command.reused")));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_learn_nothing_and_do_nothing() {
    let platform = Platform::start().await;
    let ([ada], space, room) = platform.people(["ada"]).await;
    let eve = platform.api().register("eve", "Eve", PASSWORD).await.unwrap();
    for path in [
        format!("/v1/spaces/{space}"),
        format!("/v1/spaces/{space}/rooms"),
        format!("/v1/spaces/{space}/members"),
        format!("/v1/rooms/{room}"),
        format!("/v1/rooms/{room}/messages"),
    ] {
        assert_eq!(code(eve.get(&path).await).0, 404, "{path}");
    }
    assert_eq!(
        code(
            eve.post(&format!("/v1/rooms/{room}/messages"), &words("hi"))
                .await
        )
        .0,
        404
    );
    assert_eq!(
        code(eve.post(&format!("/v1/spaces/{space}/invites"), &json!({})).await).0,
        404
    );
    let mut socket = Socket::connect(&eve, &json!({})).await.unwrap();
    let refused = socket.watch(room).await;
    assert!(refused.is_err(), "{refused:?}");

    let code = ada.invite(space).await.unwrap();
    eve.accept(&code).await.unwrap();
    let path = format!("/v1/rooms/{room}/messages");
    eve.post(&path, &words("hello")).await.unwrap();
    ada.call(
        Method::DELETE,
        &format!("/v1/spaces/{space}/members/{}", eve.account),
        None,
    )
    .await
    .unwrap();
    eventually("the door closed behind her", async || {
        eve.get(&path).await.is_err().then_some(())
    })
    .await;
    assert!(eve.post(&path, &words("still here?")).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_refresh_end_and_do_not_come_back() {
    let platform = Platform::start().await;
    let api = platform.api();
    let ada = api.register("ada", "Ada", PASSWORD).await.unwrap();
    assert_eq!(
        code(api.register("Ada", "Other", PASSWORD).await),
        (409, "account.handle_taken".into())
    );
    assert_eq!(
        code(api.sign_in("ada", "wrong password!!").await),
        (401, "session.credentials".into())
    );
    assert_eq!(
        code(api.sign_in("nobody", PASSWORD).await),
        (401, "session.credentials".into())
    );

    let login = json!({ "login": "ada", "password": PASSWORD });
    let first = api
        .call(Method::POST, "/v1/sessions", None, Some(&login))
        .await
        .unwrap();
    let refresh = |token: &Value| json!({ "refresh_token": token });
    let path = "/v1/sessions/refresh";
    let second = api
        .call(Method::POST, path, None, Some(&refresh(&first["refresh_token"])))
        .await
        .unwrap();
    let third = api
        .call(Method::POST, path, None, Some(&refresh(&second["refresh_token"])))
        .await
        .unwrap();
    assert_eq!(
        code(
            api.call(Method::POST, path, None, Some(&refresh(&first["refresh_token"])))
                .await
        )
        .0,
        401
    );
    let killed = api
        .call(Method::POST, path, None, Some(&refresh(&third["refresh_token"])))
        .await;
    assert_eq!(
        code(killed).0,
        401,
        "a token that came back ends its whole session"
    );
    let token = third["access_token"].as_str().unwrap().to_owned();
    eventually("its access token is refused", async || {
        api.call(Method::GET, "/v1/accounts/me", Some(&token), None)
            .await
            .is_err()
            .then_some(())
    })
    .await;

    ada.get("/v1/accounts/me").await.unwrap();
    ada.call(Method::DELETE, "/v1/sessions/current", None)
        .await
        .unwrap();
    eventually("she is signed out", async || {
        ada.get("/v1/accounts/me").await.is_err().then_some(())
    })
    .await;
}

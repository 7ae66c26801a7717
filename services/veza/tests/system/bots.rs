//! Programs that act for a bot: keys, tokens, scopes, and what they may in a space.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{ClientError, Person, Socket};

use crate::platform::{Platform, eventually, words};
use crate::structure::{code, put};

/// Makes a bot of `owner` with one key; gives its account, the key and its secret.
pub(crate) async fn make(owner: &Person, handle: &str, scopes: &[&str]) -> (Uuid, Uuid, String) {
    let made = owner
        .post("/v1/bots", &json!({ "handle": handle }))
        .await
        .unwrap();
    let bot: Uuid = made["id"].as_str().unwrap().parse().unwrap();
    let (key, secret) = key(owner, bot, scopes).await;
    (bot, key, secret)
}

async fn key(owner: &Person, bot: Uuid, scopes: &[&str]) -> (Uuid, String) {
    let body = json!({ "scopes": scopes, "name": "test" });
    let made = owner.post(&format!("/v1/bots/{bot}/keys"), &body).await.unwrap();
    let text = |field: &str| made[field].as_str().unwrap().to_owned();
    (text("id").parse().unwrap(), text("secret"))
}

/// An access token of a bot.
pub(crate) async fn token_of(platform: &Platform, bot: Uuid, secret: &str) -> String {
    let form = "grant_type=client_credentials";
    let (status, answer) = token(platform, form, Some((&bot.to_string(), secret))).await;
    assert_eq!(status, 200, "{answer}");
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn token(platform: &Platform, form: &str, basic: Option<(&str, &str)>) -> (u16, Value) {
    let mut request = reqwest::Client::new()
        .post(format!("{}/v1/oauth/token", platform.fleet.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    if let Some((id, secret)) = basic {
        request = request.basic_auth(id, Some(secret));
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn delete(person: &Person, path: &str) -> Result<Value, ClientError> {
    person.call(Method::DELETE, path, None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gets_tokens_by_the_standard_and_is_told_what_is_wrong() {
    let platform = Platform::start().await;
    let ([ada, eve], ..) = platform.people(["ada", "eve"]).await;
    let (bot, _, secret) = make(&ada, "robot", &["messages:read", "messages:write"]).await;
    let id = bot.to_string();
    let grant = "grant_type=client_credentials";

    let (status, issued) = token(&platform, grant, Some((&id, &secret))).await;
    assert_eq!((status, &issued["token_type"]), (200, &json!("Bearer")));
    assert_eq!(issued["scope"], "messages:read messages:write");
    let narrow = format!("{grant}&client_id={id}&client_secret={secret}&scope=messages%3Aread");
    assert_eq!(token(&platform, &narrow, None).await.1["scope"], "messages:read");

    let other = veza_client::new_id().to_string();
    for (form, basic, status, error) in [
        (grant.to_owned(), None, 400, "invalid_request"),
        (narrow.clone(), Some((&*id, &*secret)), 400, "invalid_request"),
        (
            format!("{grant}&{grant}"),
            Some((&*id, &*secret)),
            400,
            "invalid_request",
        ),
        (
            "grant_type=password".into(),
            Some((&*id, &*secret)),
            400,
            "unsupported_grant_type",
        ),
        (
            format!("{grant}&scope=commands"),
            Some((&*id, &*secret)),
            400,
            "invalid_scope",
        ),
        (
            format!("{grant}&scope=everything"),
            Some((&*id, &*secret)),
            400,
            "invalid_scope",
        ),
        (grant.into(), Some((&*id, "vzb_x")), 401, "invalid_client"),
        (grant.into(), Some((&*other, &*secret)), 401, "invalid_client"),
        (grant.into(), Some(("robot", &*secret)), 401, "invalid_client"),
    ] {
        let (got, answer) = token(&platform, &form, basic).await;
        assert_eq!(
            (got, answer["error"].as_str().unwrap()),
            (status, error),
            "{form}"
        );
    }

    // Nobody else has anything to do with it, and it has no password.
    assert_eq!(
        code(eve.get(&format!("/v1/bots/{bot}/keys")).await),
        (404, "bot.not_found".into())
    );
    let steal = eve
        .post(
            &format!("/v1/bots/{bot}/keys"),
            &json!({ "scopes": ["messages:read"] }),
        )
        .await;
    assert_eq!(code(steal), (404, "bot.not_found".into()));
    assert_eq!(
        code(delete(&eve, &format!("/v1/bots/{bot}")).await),
        (404, "bot.not_found".into())
    );
    let name = eve.post("/v1/bots", &json!({ "handle": "Robot" })).await;
    assert_eq!(code(name), (409, "account.handle_taken".into()));
    let signed_in = platform
        .api()
        .sign_in("robot", "correct horse battery staple")
        .await;
    assert_eq!(
        code(signed_in.map(|_| Value::Null)),
        (401, "session.credentials".into())
    );
    let empty = ada
        .post(&format!("/v1/bots/{bot}/keys"), &json!({ "scopes": [] }))
        .await;
    assert_eq!(code(empty), (422, "bot.no_scopes".into()));
    let past = json!({ "scopes": ["messages:read"], "expires_at": "2020-01-01T00:00:00Z" });
    let past = ada.post(&format!("/v1/bots/{bot}/keys"), &past).await;
    assert_eq!(code(past), (422, "bot.key_expiry".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_brought_in_talks_and_is_shown_as_one() {
    let platform = Platform::start().await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let (bot, _, secret) = make(&ben, "robot", &["messages:read", "messages:write"]).await;
    let robot = platform.api().bot(bot, &secret).await.unwrap();
    let messages = format!("/v1/rooms/{room}/messages");
    assert_eq!(
        code(robot.post(&messages, &words("hi")).await),
        (404, "space.not_found".into())
    );

    let bring = format!("/v1/spaces/{space}/bots/{bot}");
    assert_eq!(
        code(put(&ben, &bring, json!({})).await),
        (403, "space.not_allowed".into())
    );
    assert_eq!(
        code(put(&ada, &bring, json!({})).await),
        (403, "bot.not_public".into())
    );
    let nobody = format!("/v1/spaces/{space}/bots/{}", ada.account);
    assert_eq!(
        code(put(&ada, &nobody, json!({})).await),
        (404, "bot.not_found".into())
    );
    let public = ben
        .call(
            Method::PATCH,
            &format!("/v1/bots/{bot}"),
            Some(&json!({ "public": true })),
        )
        .await;
    public.unwrap();
    eventually("the bot is public", || async {
        put(&ada, &bring, json!({})).await.ok()
    })
    .await;

    robot.post(&messages, &words("hi, I am a bot")).await.unwrap();
    let read = eventually("the message is read", || async {
        let page = ada.get(&messages).await.unwrap();
        page["items"].as_array().unwrap().last().cloned()
    })
    .await;
    assert_eq!(
        (&read["author_handle"], &read["author_bot"]),
        (&json!("robot"), &json!(true))
    );
    let profile = ben.get(&format!("/v1/accounts/{bot}")).await.unwrap();
    assert_eq!(profile["bot"], true);
    assert_eq!(ben.get("/v1/accounts/me").await.unwrap()["bot"], false);
    let members = ada.get(&format!("/v1/spaces/{space}/members")).await.unwrap();
    let bots = members["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|member| member["bot"] == true);
    assert_eq!(bots.count(), 1);
    let own = ben.get("/v1/bots").await.unwrap();
    assert_eq!(
        (&own["items"][0]["handle"], &own["items"][0]["public"]),
        (&json!("robot"), &json!(true))
    );

    let mut socket = Socket::connect(&robot, &json!({})).await.unwrap();
    socket.watch(room).await.unwrap();
    ben.post(&messages, &words("who are you?")).await.unwrap();
    assert_eq!(
        socket.wait_for("event").await.unwrap()["data"]["body"],
        "who are you?"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_its_scopes_and_as_long_as_its_key() {
    let platform = Platform::start().await;
    let ([ada], space, room) = platform.people(["ada"]).await;
    let (bot, reading, secret) = make(&ada, "reader", &["messages:read"]).await;
    put(&ada, &format!("/v1/spaces/{space}/bots/{bot}"), json!({}))
        .await
        .unwrap();
    let reader = platform.api().bot(bot, &secret).await.unwrap();
    let messages = format!("/v1/rooms/{room}/messages");
    eventually("it may read", || async { reader.get(&messages).await.ok() }).await;
    let refused = (403, "session.scope".to_owned());
    assert_eq!(code(reader.post(&messages, &words("hi")).await), refused);
    assert_eq!(
        code(reader.get(&format!("/v1/spaces/{space}/members")).await),
        refused
    );
    assert_eq!(
        code(reader.post("/v1/spaces", &json!({ "name": "Mine" })).await),
        refused
    );
    assert_eq!(
        code(reader.post("/v1/bots", &json!({ "handle": "child" })).await),
        refused
    );
    assert_eq!(code(reader.get("/v1/sessions").await), refused);

    // The same on its socket.
    let mut socket = Socket::connect(&reader, &json!({})).await.unwrap();
    socket.watch(room).await.unwrap();
    let send =
        json!({ "t": "send", "id": 9, "room": room, "command_id": veza_client::new_id(), "body": "hi" });
    socket.send(&send).await.unwrap();
    let Err(ClientError::Frame(error)) = socket.wait_for("ack").await else {
        panic!("posted without the scope")
    };
    assert_eq!(
        (&error["code"], &error["id"]),
        (&json!("session.scope"), &json!(9))
    );

    // A second key goes on when the first is taken away.
    let (_, second) = key(&ada, bot, &["messages:read"]).await;
    let other = platform.api().bot(bot, &second).await.unwrap();
    let path = format!("/v1/bots/{bot}/keys");
    let keys = eventually("both are listed", || async {
        let keys = ada.get(&path).await.unwrap()["items"].as_array().unwrap().clone();
        (keys.len() == 2).then_some(keys)
    })
    .await;
    assert_eq!(
        (&keys[0]["id"], &keys[0]["scopes"]),
        (&json!(reading), &json!(["messages:read"]))
    );
    assert!(!keys[0].to_string().contains("secret"));
    delete(&ada, &format!("{path}/{reading}")).await.unwrap();
    assert_eq!(
        code(delete(&ada, &format!("{path}/{reading}")).await),
        (404, "bot.key_not_found".into())
    );
    let closed = loop {
        match socket.next().await {
            Ok(_) => {}
            Err(ClientError::Closed(code)) => break code,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(closed, Some(4003));
    assert_eq!(code(reader.get(&messages).await), (401, "bot.credentials".into()));
    other.get(&messages).await.unwrap();

    delete(&ada, &format!("/v1/bots/{bot}")).await.unwrap();
    eventually("its tokens are refused", || async {
        other.get(&messages).await.err()
    })
    .await;
    assert_eq!(code(other.get(&messages).await), (401, "bot.credentials".into()));
    eventually("it is listed no more", || async {
        let left = ada.get("/v1/bots").await.unwrap();
        left["items"].as_array().unwrap().is_empty().then_some(())
    })
    .await;
}

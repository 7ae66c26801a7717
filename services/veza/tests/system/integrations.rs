//! Webhooks and slash commands, as programs and people use them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Person, Socket};

use crate::bots::make;
use crate::platform::{Platform, eventually, words};
use crate::structure::{code, delete, put};

pub(crate) async fn by_hook(url: &str, body: &Value, key: Option<&str>) -> (u16, Value) {
    let mut request = reqwest::Client::new().post(url).json(body);
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

/// The address as the test reaches it, whatever the public one is.
pub(crate) fn local(platform: &Platform, url: &Value) -> String {
    let (_, path) = url.as_str().unwrap().split_once("/v1/").unwrap();
    format!("{}/v1/{path}", platform.fleet.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_posts_in_its_room_until_its_address_changes_or_it_goes() {
    let env = [("VEZA__LIMITS__WEBHOOK_POSTS_PER_MINUTE", "60")];
    let platform = Platform::with(&crate::platform::EVERY_ROLE, 1, &env).await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let hooks = format!("/v1/rooms/{room}/webhooks");
    let new = json!({ "name": "Builds" });
    assert_eq!(
        code(ben.post(&hooks, &new).await),
        (403, "space.not_allowed".into())
    );
    assert_eq!(code(ben.get(&hooks).await), (403, "space.not_allowed".into()));
    let made = ada.post(&hooks, &new).await.unwrap();
    let id = made["id"].as_str().unwrap().to_owned();
    let url = local(&platform, &made["url"]);

    let mut socket = Socket::connect(&ben, &json!({})).await.unwrap();
    socket.watch(room).await.unwrap();
    let (status, posted) = by_hook(&url, &json!({ "body": "green" }), Some("once")).await;
    assert_eq!(status, 201);
    let (_, again) = by_hook(&url, &json!({ "body": "green" }), Some("once")).await;
    assert_eq!(posted["id"], again["id"]);
    let slack = json!({ "text": "from Slack to @ben", "username": "CI", "blocks": [] });
    assert_eq!(by_hook(&url, &slack, None).await.0, 201);
    let event = socket.wait_for("event").await.unwrap();
    assert_eq!(
        (&event["by"], &event["data"]["body"]),
        (&json!(id), &json!("green"))
    );
    let items = eventually("both can be read", || async {
        let page = ben.get(&format!("/v1/rooms/{room}/messages")).await.unwrap();
        let items = page["items"].as_array().unwrap().clone();
        (items.len() == 2).then_some(items)
    })
    .await;
    let by_name = |name: &str| {
        items
            .iter()
            .find(|item| item["author_display_name"] == name)
            .unwrap()
    };
    assert_eq!(by_name("Builds")["body"], "green");
    assert_eq!(by_name("CI")["mentions"]["accounts"], json!([ben.account]));
    assert_eq!(items[1]["author_bot"], true);
    let listed = eventually("it is listed", || async {
        ada.get(&hooks).await.unwrap()["items"]
            .as_array()
            .unwrap()
            .first()
            .cloned()
    })
    .await;
    assert_eq!((&listed["id"], &listed["name"]), (&json!(id), &json!("Builds")));

    let (status, problem) = by_hook(&url, &json!({}), None).await;
    assert_eq!((status, &problem["code"]), (422, &json!("room.message_empty")));
    let wrong = format!("{}/v1/hooks/{id}/AAAA", platform.fleet.url());
    assert_eq!(by_hook(&wrong, &json!({ "body": "x" }), None).await.0, 404);
    let other = url.replace(&id, &Uuid::nil().to_string());
    let (status, problem) = by_hook(&other, &json!({ "body": "x" }), None).await;
    assert_eq!((status, &problem["code"]), (404, &json!("webhook.not_found")));

    // Another address; the old one is over.
    let changed = ada
        .post(&format!("{hooks}/{id}/address"), &json!({}))
        .await
        .unwrap();
    let fresh = local(&platform, &changed["url"]);
    assert_ne!(url, fresh);
    eventually("the old address is over", || async {
        (by_hook(&url, &json!({ "body": "" }), None).await.0 == 404).then_some(())
    })
    .await;
    assert_eq!(by_hook(&fresh, &json!({ "body": "x" }), None).await.0, 201);
    let mut last = (0, Value::Null);
    for _ in 0..100 {
        last = by_hook(&fresh, &json!({ "body": "" }), None).await;
        if last.0 == 429 {
            break;
        }
    }
    assert_eq!((last.0, &last.1["code"]), (429, &json!("webhook.rate")));
    let path = format!("{hooks}/{id}");
    assert_eq!(code(delete(&ben, &path).await), (403, "space.not_allowed".into()));
    delete(&ada, &path).await.unwrap();
    assert_eq!(code(delete(&ada, &path).await), (404, "webhook.not_found".into()));
    let foreign = format!("/v1/rooms/{space}/webhooks");
    assert_eq!(
        code(ada.post(&foreign, &new).await),
        (404, "room.not_found".into())
    );
}

/// Ada's space with Ben, and a bot of hers in it that is good for commands.
struct Desk {
    _platform: Platform,
    ada: Person,
    ben: Person,
    robot: Person,
    space: Uuid,
    room: Uuid,
}

impl Desk {
    async fn new() -> Self {
        let platform = Platform::start().await;
        let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
        let scopes = ["messages:read", "messages:write", "commands"];
        let (bot, _, secret) = make(&ada, "weather", &scopes).await;
        let robot = platform.api().bot(bot, &secret).await.unwrap();
        Self {
            _platform: platform,
            ada,
            ben,
            robot,
            space,
            room,
        }
    }

    fn weather(&self) -> String {
        format!("/v1/spaces/{}/commands/weather", self.space)
    }

    fn calls(&self) -> String {
        format!("/v1/rooms/{}/commands", self.room)
    }

    async fn bring(&self) {
        let path = format!("/v1/spaces/{}/bots/{}", self.space, self.robot.account);
        put(&self.ada, &path, json!({})).await.unwrap();
    }
}

fn offer() -> Value {
    json!({ "description": "Says the weather", "options": [{ "name": "city", "description": "Where" }] })
}

fn paris() -> Value {
    json!({ "name": "weather", "text": "Paris" })
}

#[tokio::test(flavor = "multi_thread")]
async fn slash_commands_are_offered_by_bots_and_called_by_people_while_the_bot_is_there() {
    let desk = Desk::new().await;
    let Desk { ada, ben, robot, .. } = &desk;
    let (commands, weather) = (format!("/v1/spaces/{}/commands", desk.space), desk.weather());
    assert_eq!(
        code(put(robot, &weather, offer()).await),
        (404, "space.not_found".into())
    );
    desk.bring().await;
    assert_eq!(
        code(put(ada, &weather, offer()).await),
        (403, "slash.for_bots".into())
    );
    let wrong = put(robot, &format!("{commands}/Weather"), offer()).await;
    assert_eq!(code(wrong), (422, "slash.name_invalid".into()));
    put(robot, &weather, offer()).await.unwrap();
    let listed = eventually("it is listed", || async {
        ben.get(&commands).await.unwrap()["items"]
            .as_array()
            .unwrap()
            .first()
            .cloned()
    })
    .await;
    assert_eq!(
        (&listed["name"], &listed["bot"]),
        (&json!("weather"), &json!(robot.account))
    );
    assert_eq!(
        listed["options"],
        json!([{ "name": "city", "description": "Where", "required": false }])
    );

    let calls = desk.calls();
    assert_eq!(
        code(ben.post(&calls, &paris()).await),
        (503, "slash.bot_offline".into())
    );
    assert_eq!(
        code(ben.post(&calls, &json!({ "name": "news" })).await),
        (404, "slash.not_found".into())
    );
    assert_eq!(
        code(robot.post(&calls, &paris()).await),
        (403, "session.scope".into())
    );

    // Who may not post may not call, and a bot that is out takes nothing.
    let mut taking = Socket::connect(robot, &json!({})).await.unwrap();
    let mute = json!({ "muted": true });
    put(
        ada,
        &format!("/v1/spaces/{}/members/{}", desk.space, ben.account),
        mute,
    )
    .await
    .unwrap();
    assert_eq!(
        code(ben.post(&calls, &paris()).await),
        (403, "space.not_allowed".into())
    );
    assert_eq!(
        code(delete(ben, &weather).await),
        (403, "space.not_allowed".into())
    );
    let out = format!("/v1/spaces/{}/members/{}", desk.space, robot.account);
    ada.call(Method::DELETE, &out, None).await.unwrap();
    assert_eq!(
        code(ada.post(&calls, &paris()).await),
        (404, "slash.not_found".into())
    );
    delete(ada, &weather).await.unwrap();
    assert_eq!(code(delete(ada, &weather).await), (404, "slash.not_found".into()));
    let none = tokio::time::timeout(Duration::from_millis(200), taking.wait_for("invoke")).await;
    assert!(!matches!(none, Ok(Ok(_))), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_command_reaches_its_bot_which_answers_all_or_one() {
    let desk = Desk::new().await;
    let Desk { ada, ben, robot, .. } = &desk;
    desk.bring().await;
    put(robot, &desk.weather(), offer()).await.unwrap();
    let mut taking = Socket::connect(robot, &json!({})).await.unwrap();
    let mut asking = Socket::connect(ben, &json!({})).await.unwrap();
    asking.watch(desk.room).await.unwrap();
    let called = ben.post(&desk.calls(), &paris()).await.unwrap();
    assert_eq!(called["bot"], json!(robot.account));
    let invoke = taking.wait_for("invoke").await.unwrap();
    assert_eq!(
        (&invoke["text"], &invoke["name"]),
        (&json!("Paris"), &json!("weather"))
    );
    assert_eq!(
        (&invoke["room"], &invoke["space"]),
        (&json!(desk.room), &json!(desk.space))
    );
    assert_eq!(
        (&invoke["by"], &invoke["invocation"]),
        (&json!(ben.account), &called["invocation"])
    );

    let responses = "/v1/commands/responses";
    let answer = json!({ "token": invoke["token"], "body": "it rains in **Paris**" });
    assert_eq!(robot.post(responses, &answer).await.unwrap()["delivered"], true);
    let whisper = asking.wait_for("whisper").await.unwrap();
    assert_eq!(
        (&whisper["body"], &whisper["by"]),
        (&answer["body"], &json!(robot.account))
    );
    assert_eq!(whisper["invocation"], called["invocation"]);

    // To all: by the id of the call, so that two processes answer once.
    let said = json!({ "body": "sunny", "command_id": invoke["invocation"] });
    let messages = format!("/v1/rooms/{}/messages", desk.room);
    let first = robot.post(&messages, &said).await.unwrap();
    assert_eq!(robot.post(&messages, &said).await.unwrap()["id"], first["id"]);
    assert_eq!(asking.wait_for("event").await.unwrap()["data"]["body"], "sunny");

    // A token is one bot's, and nobody makes one up.
    assert_eq!(
        code(ada.post(responses, &answer).await),
        (403, "slash.token".into())
    );
    let made_up = json!({ "token": "e30.e30", "body": "x" });
    assert_eq!(
        code(robot.post(responses, &made_up).await),
        (403, "slash.token".into())
    );
    let empty = json!({ "token": invoke["token"], "body": " " });
    assert_eq!(
        code(robot.post(responses, &empty).await),
        (422, "slash.answer".into())
    );
    let out = format!("/v1/spaces/{}/members/{}", desk.space, robot.account);
    ada.call(Method::DELETE, &out, None).await.unwrap();
    assert_eq!(
        code(robot.post(responses, &answer).await),
        (404, "room.not_found".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_by_a_webhook_can_be_deleted_by_those_who_keep_order() {
    let platform = Platform::start().await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let made = ada
        .post(&format!("/v1/rooms/{room}/webhooks"), &json!({ "name": "Noise" }))
        .await
        .unwrap();
    let (_, posted) = by_hook(&local(&platform, &made["url"]), &words("too much"), None).await;
    let message = format!("/v1/messages/{}", posted["id"].as_str().unwrap());
    eventually("it can be deleted", || async {
        delete(&ada, &message).await.ok()
    })
    .await;
}

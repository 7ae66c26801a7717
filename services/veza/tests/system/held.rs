//! What a rule of a space holds back until a moderator has seen it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tonic::transport::Channel;
use uuid::Uuid;
use veza_client::{Person, Socket, new_id};
use veza_events::Timestamp;
use veza_gateway::grpc::wire::ListRequest;
use veza_gateway::grpc::wire::chat_client::ChatClient;
use veza_platform::ambient;

use crate::grpc;
use crate::platform::{Platform, eventually, words};
use crate::scheduled::told;
use crate::structure::{code, put};

pub(crate) fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().unwrap().clone()
}

pub(crate) async fn said(person: &Person, room: Uuid) -> Vec<Value> {
    items(
        &person
            .get(&format!("/v1/rooms/{room}/messages?limit=200"))
            .await
            .unwrap(),
    )
}

/// Lets somebody hold a role with these permissions.
pub(crate) async fn moderator(owner: &Person, space: Uuid, whom: &Person, permissions: &[&str]) {
    let role = new_id();
    let definition = json!({ "name": "mods", "permissions": permissions, "rank": 5 });
    put(owner, &format!("/v1/spaces/{space}/roles/{role}"), definition)
        .await
        .unwrap();
    let member = format!("/v1/spaces/{space}/members/{}", whom.account);
    put(owner, &member, json!({ "roles": [role] })).await.unwrap();
    eventually("the role is known", async || {
        let members = owner
            .get(&format!("/v1/spaces/{space}/members?role={role}"))
            .await
            .ok()?;
        (items(&members).len() == 1).then_some(())
    })
    .await;
}

/// The rule that holds back what says `zut`, in effect.
async fn hold_zut(owner: &Person, who: &Person, space: Uuid, room: Uuid) -> Value {
    let filters = format!("/v1/spaces/{space}/filters");
    let rule = |more: Value| {
        let mut rule = json!({ "name": "language", "kind": "words", "entries": ["zut"], "action": "hold", "exempt": [] });
        rule.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({ "rules": [rule] })
    };
    let silencing = put(owner, &filters, rule(json!({ "time_out_s": 60 }))).await;
    assert_eq!(code(silencing), (422, "filter.time_out_invalid".into()));
    put(owner, &filters, rule(json!({}))).await.unwrap();
    assert_eq!(owner.get(&filters).await.unwrap(), rule(json!({})));
    let posted = who
        .post(&format!("/v1/rooms/{room}/messages"), &words("zut alors"))
        .await;
    let posted = posted.unwrap();
    assert_eq!(posted["held"], true, "{posted}");
    posted
}

async fn waiting(person: &Person, space: Uuid, count: usize) -> Vec<Value> {
    eventually("they are listed", async || {
        let waiting = items(&person.get(&format!("/v1/spaces/{space}/held")).await.unwrap());
        (waiting.len() == count).then_some(waiting)
    })
    .await
}

fn at(space: Uuid, message: &Value, deed: &str) -> String {
    format!(
        "/v1/spaces/{space}/held/{}/{deed}",
        message["id"].as_str().unwrap()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_holds_back_is_seen_by_its_author_and_moderators() {
    let platform = Platform::start().await;
    let ([ada, ben, eve, cleo], space, room) = platform.people(["ada", "ben", "eve", "cleo"]).await;
    moderator(&ada, space, &cleo, &["manage_messages"]).await;
    let mut mods = Socket::connect(&cleo, &json!({})).await.unwrap();
    let mut bens = Socket::connect(&ben, &json!({})).await.unwrap();
    let mut eves = Socket::connect(&eve, &json!({})).await.unwrap();
    eves.watch(room).await.unwrap();
    let messages = format!("/v1/rooms/{room}/messages");
    let first = hold_zut(&ada, &ben, space, room).await;
    assert_eq!(
        told(&mut mods, "held.message_held.v1").await,
        json!({ "space": space, "room": room, "message": first["id"] })
    );
    // The same command is the same message.
    let twice = json!({ "body": "zut, again @eve", "command_id": ambient::new_uuid() });
    let second = ben.post(&messages, &twice).await.unwrap();
    assert_eq!(ben.post(&messages, &twice).await.unwrap(), second);
    let send =
        json!({ "t": "send", "id": 1, "room": room, "command_id": ambient::new_uuid(), "body": "zut!" });
    bens.send(&send).await.unwrap();
    assert_eq!(bens.wait_for("ack").await.unwrap()["held"], true);
    let channel = Channel::from_shared(platform.fleet.url()).unwrap();
    let mut chat = ChatClient::new(channel.connect().await.unwrap());
    let posted = grpc::post(&mut chat, &ben.access_token(), grpc::words(room, "zut")).await;
    assert!(posted.unwrap().held);
    let fine = ben.post(&messages, &words("fine")).await.unwrap();
    assert_eq!(fine.get("held"), None);

    let all = waiting(&cleo, space, 4).await;
    for (field, is) in [
        ("id", first["id"].clone()),
        ("body", json!("zut alors")),
        ("rule", json!("language")),
        ("author_handle", json!("ben")),
        ("room", json!(room)),
    ] {
        assert_eq!(all[0][field], is, "{field}");
    }
    assert_eq!(items(&ben.get("/v1/held").await.unwrap()), all);
    assert!(items(&eve.get("/v1/held").await.unwrap()).is_empty());
    let list = eve.get(&format!("/v1/spaces/{space}/held")).await;
    assert_eq!(code(list), (403, "space.not_allowed".into()));
    for deed in ["approval", "rejection"] {
        for who in [&eve, &ben] {
            let refused = who.post(&at(space, &first, deed), &json!({})).await;
            assert_eq!(code(refused), (403, "space.not_allowed".into()));
        }
    }
    // Nobody else sees them by any door.
    let event = eves.wait_for("event").await.unwrap();
    assert_eq!(event["data"]["message"], fine["id"], "{event}");
    let bodies: Vec<Value> = said(&ada, room)
        .await
        .into_iter()
        .map(|one| one["body"].clone())
        .collect();
    assert_eq!(bodies, ["fine"]);
    let range = ListRequest {
        room: room.to_string(),
        ..ListRequest::default()
    };
    let listed = grpc::list(&mut chat, &ada.access_token(), range).await.unwrap();
    assert_eq!(listed.messages.len(), 1);
    for who in [&eve, &ada, &ben] {
        let found = who.get("/v1/search?q=zut").await.unwrap();
        assert!(items(&found).is_empty(), "{found}");
        let one = who
            .get(&format!("/v1/messages/{}", first["id"].as_str().unwrap()))
            .await;
        assert_eq!(code(one), (404, "message.not_found".into()));
    }
    assert!(items(&eve.get("/v1/mentions").await.unwrap()).is_empty());
    let unread = items(&eve.get("/v1/unread").await.unwrap());
    let unread = unread.iter().find(|one| one["room"] == json!(room)).unwrap();
    assert_eq!(unread["unread"], 1, "{unread}");
    platform
        .fleet
        .run(&["projection", "rebuild", "--verify"])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_decided_on_by_moderators_and_by_the_log() {
    let platform = Platform::start().await;
    let ([ada, ben, eve, cleo], space, room) = platform.people(["ada", "ben", "eve", "cleo"]).await;
    moderator(&ada, space, &cleo, &["manage_messages"]).await;
    let mut bens = Socket::connect(&ben, &json!({})).await.unwrap();
    let mut eves = Socket::connect(&eve, &json!({})).await.unwrap();
    eves.watch(room).await.unwrap();
    let messages = format!("/v1/rooms/{room}/messages");
    let first = hold_zut(&ada, &ben, space, room).await;
    let second = ben.post(&messages, &words("zut, second")).await.unwrap();
    let third = ben.post(&messages, &words("zut, third")).await.unwrap();
    cleo.post(&at(space, &first, "approval"), &json!({}))
        .await
        .unwrap();
    let approved = told(&mut bens, "held.message_approved.v1").await;
    assert_eq!(
        (&approved["message"], &approved["by"]),
        (&first["id"], &json!(cleo.account))
    );
    let event = eves.wait_for("event").await.unwrap();
    assert_eq!(
        (&event["data"]["message"], &event["by"]),
        (&first["id"], &json!(ben.account)),
        "its author has said it"
    );
    let shown = eventually("it is said", async || said(&eve, room).await.pop()).await;
    assert_eq!(
        (&shown["id"], &shown["body"], &shown["author"]),
        (&first["id"], &json!("zut alors"), &json!(ben.account))
    );
    ada.post(&at(space, &second, "rejection"), &json!({}))
        .await
        .unwrap();
    assert_eq!(
        told(&mut bens, "held.message_rejected.v1").await["message"],
        second["id"]
    );
    for (message, deed) in [(&first, "rejection"), (&second, "approval")] {
        let late = ada.post(&at(space, message, deed), &json!({})).await;
        assert_eq!(code(late), (409, "held.decided".into()));
    }
    let nothing = ada
        .post(&at(space, &json!({ "id": new_id() }), "approval"), &json!({}))
        .await;
    assert_eq!(code(nothing), (404, "held.not_found".into()));
    let elsewhere = ada.create_space("Elsewhere").await.unwrap();
    let foreign = ada.post(&at(elsewhere, &third, "approval"), &json!({})).await;
    assert_eq!(code(foreign), (404, "held.not_found".into()));

    // Who may say nothing, or is out, does not speak through a moderator.
    let member = format!("/v1/spaces/{space}/members/{}", ben.account);
    for (change, refusal) in [
        (json!({ "muted": true }), "held.author_silenced"),
        (json!({ "banned": true }), "held.author_gone"),
    ] {
        put(&ada, &member, change).await.unwrap();
        let refused = ada.post(&at(space, &third, "approval"), &json!({})).await;
        assert_eq!(code(refused), (409, refusal.into()));
    }
    assert_eq!(waiting(&ada, space, 1).await[0]["id"], third["id"]);
    ada.post(&at(space, &third, "rejection"), &json!({}))
        .await
        .unwrap();
    waiting(&ada, space, 0).await;
    assert_eq!(said(&eve, room).await.len(), 1);
    let audit = format!("/v1/spaces/{space}/audit?action=held.message_approved");
    assert_eq!(items(&ada.get(&audit).await.unwrap())[0]["target"], first["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_slow_rooms_scheduled_messages_and_programs_do_not_get_around_a_rule() {
    let platform = Platform::start().await;
    let ([ada, ben, eve], space, room) = platform.people(["ada", "ben", "eve"]).await;
    let messages = format!("/v1/rooms/{room}/messages");
    hold_zut(&ada, &ben, space, room).await;
    let fine = ben.post(&messages, &words("fine")).await.unwrap();
    let message = format!("/v1/messages/{}", fine["id"].as_str().unwrap());
    let edit = eventually("it can be edited", async || {
        let edit = ben.call(Method::PATCH, &message, Some(&words("zut"))).await;
        let refusal = code(edit);
        (refusal.0 != 404).then_some(refusal)
    })
    .await;
    assert_eq!(edit, (403, "message.filtered".into()));

    let soon = ambient::now() + Duration::from_millis(700);
    let later = json!({ "body": "zut, later", "at": Timestamp::from(soon) });
    ben.post(&format!("/v1/rooms/{room}/scheduled"), &later)
        .await
        .unwrap();
    assert_eq!(waiting(&ada, space, 2).await[1]["body"], "zut, later");
    assert!(items(&ben.get("/v1/scheduled").await.unwrap()).is_empty());

    let hooks = format!("/v1/rooms/{room}/webhooks");
    let hook = ada.post(&hooks, &json!({ "name": "Builds" })).await.unwrap();
    let url = crate::integrations::local(&platform, &hook["url"]);
    let (status, posted) =
        crate::integrations::by_hook(&url, &json!({ "body": "zut, red", "name": "Night" }), None).await;
    assert_eq!((status, &posted["held"]), (201, &json!(true)), "{posted}");
    let waits = waiting(&ada, space, 3).await;
    assert_eq!(waits[2]["shown_as"], "Night");
    ada.post(&at(space, &posted, "approval"), &json!({}))
        .await
        .unwrap();
    let shown = eventually("the webhook has said it", async || {
        said(&eve, room)
            .await
            .into_iter()
            .find(|one| one["id"] == posted["id"])
    })
    .await;
    assert_eq!(
        (&shown["body"], &shown["author_display_name"]),
        (&json!("zut, red"), &json!("Night"))
    );

    // What waits for a moderator is what was said last, as far as a slow room is concerned.
    let slow = json!({ "slow_mode_s": 600 });
    ada.call(Method::PATCH, &format!("/v1/rooms/{room}"), Some(&slow))
        .await
        .unwrap();
    assert_eq!(eve.post(&messages, &words("zut")).await.unwrap()["held"], true);
    for body in ["zut", "fine"] {
        let second = eve.post(&messages, &words(body)).await;
        assert_eq!(code(second), (429, "room.slow_mode".into()));
    }
}

/// Gives a decision until somebody answers, as a client does that has lost its connection.
async fn insist(person: &Person, url: &str) -> u16 {
    let key = new_id().to_string();
    eventually("somebody answers", async || {
        let request = reqwest::Client::new()
            .post(url)
            .bearer_auth(person.access_token());
        let answer = request
            .header("idempotency-key", &key)
            .json(&json!({}))
            .send()
            .await
            .ok()?;
        Some(answer.status().as_u16()).filter(|status| *status < 500)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_approval_is_one_message_though_workers_are_killed() {
    let roles = ["accounts", "chat", "chat", "projector", "gateway"];
    let mut platform = Platform::with(&roles, 1, &[]).await;
    let ([ada, ben, cleo], space, room) = platform.people(["ada", "ben", "cleo"]).await;
    moderator(&ada, space, &cleo, &["manage_messages"]).await;
    let mut held = vec![hold_zut(&ada, &ben, space, room).await];
    let messages = format!("/v1/rooms/{room}/messages");
    for n in 0..12 {
        held.push(ben.post(&messages, &words(&format!("zut {n}"))).await.unwrap());
    }
    assert!(held.iter().all(|one| one["held"] == true), "{held:?}");
    let base = platform.fleet.url();
    let deciding = async {
        for message in &held {
            let url = format!("{base}{}", at(space, message, "approval"));
            let (one, other) = tokio::join!(insist(&ada, &url), insist(&cleo, &url));
            let mut both = [one, other];
            both.sort_unstable();
            assert_eq!(both, [200, 409]);
        }
    };
    // A command that a worker took with it costs its client some seconds.
    let killing = async {
        for chat in [1, 2, 1] {
            platform.fleet.roles[chat].kill9().await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            platform.fleet.roles[chat].restart().await.unwrap();
        }
    };
    tokio::join!(deciding, killing);
    waiting(&ada, space, 0).await;
    let mut all: Vec<String> = said(&ada, room)
        .await
        .iter()
        .map(|one| one["id"].to_string())
        .collect();
    let mut expected: Vec<String> = held.iter().map(|one| one["id"].to_string()).collect();
    all.sort();
    expected.sort();
    assert_eq!(all, expected);
    let before = platform.rows(room).await;
    platform
        .fleet
        .run(&["projection", "rebuild", "--verify"])
        .await
        .unwrap();
    assert_eq!(platform.rows(room).await, before);
}

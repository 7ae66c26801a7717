//! Rules for what is said, reports, many messages taken back at once, and raids.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Person, Socket};
use veza_platform::ambient;

use crate::platform::{PASSWORD, Platform, eventually, words};
use crate::structure::{code, put};

async fn say(person: &Person, room: Uuid, text: &str) -> Uuid {
    let path = format!("/v1/rooms/{room}/messages");
    let posted = person.post(&path, &words(text)).await.unwrap();
    posted["id"].as_str().unwrap().parse().unwrap()
}

fn items(page: &Value) -> &Vec<Value> {
    page["items"].as_array().unwrap()
}

/// A message as somebody sees it, once that is as it should be.
async fn until(person: &Person, message: Uuid, is: impl Fn(&Value) -> bool) -> Value {
    eventually("the message is as it should be", async || {
        let found = person.get(&format!("/v1/messages/{message}")).await.ok()?;
        Some(found["message"].clone()).filter(&is)
    })
    .await
}

async fn deeds(person: &Person, space: Uuid, action: &str) -> Vec<Value> {
    let page = person
        .get(&format!("/v1/spaces/{space}/audit?action={action}"))
        .await
        .unwrap();
    items(&page).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_catches_is_said_by_no_door() {
    let platform = Platform::start().await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let path = format!("/v1/spaces/{space}/filters");
    let rules = json!({ "rules": [
        { "name": "language", "kind": "words", "entries": ["zut*"], "exempt": [] },
        { "name": "adverts", "kind": "no_links_to", "entries": ["spam.example"], "time_out_s": 600, "exempt": [] },
    ] });
    assert_eq!(
        code(put(&ben, &path, rules.clone()).await),
        (403, "space.not_allowed".into())
    );
    assert_eq!(code(ben.get(&path).await), (403, "space.not_allowed".into()));
    let stranger = platform.api().register("eve", "Eve", PASSWORD).await.unwrap();
    assert_eq!(code(stranger.get(&path).await).0, 404);
    let bad = json!({ "rules": [{ "name": "all", "kind": "words", "entries": ["*"] }] });
    assert_eq!(
        code(put(&ada, &path, bad).await),
        (422, "filter.entry_invalid".into())
    );
    put(&ada, &path, rules.clone()).await.unwrap();
    assert_eq!(ada.get(&path).await.unwrap(), rules);

    let messages = format!("/v1/rooms/{room}/messages");
    eventually("the rules hold", async || {
        let refused = ben.post(&messages, &words("Oh, ZU\u{200b}T alors")).await.err()?;
        refused.to_string().contains("message.filtered").then_some(())
    })
    .await;
    say(&ada, room, "zut, says who manages messages").await;
    let fine = say(&ben, room, "nothing wrong").await;
    until(&ben, fine, |_| true).await;
    let edit = json!({ "body": "zuteries" });
    let edited = ben
        .call(Method::PATCH, &format!("/v1/messages/{fine}"), Some(&edit))
        .await;
    assert_eq!(code(edited), (403, "message.filtered".into()));
    let mut socket = Socket::connect(&ben, &json!({})).await.unwrap();
    let send =
        json!({ "t": "send", "id": 1, "room": room, "command_id": ambient::new_uuid(), "body": "zut" });
    socket.send(&send).await.unwrap();
    let refused = socket.wait_for("error").await.unwrap();
    assert_eq!(refused["code"], "message.filtered");
    assert!(
        refused["detail"].as_str().unwrap().contains("language"),
        "{refused}"
    );

    let advert = ben
        .post(&messages, &words("buy at https://www.spam.example/now"))
        .await;
    assert_eq!(code(advert), (403, "message.filtered".into()));
    let silenced = ben.post(&messages, &words("hello?")).await;
    assert_eq!(code(silenced), (403, "room.timed_out".into()));
    let deed = eventually("the time-out is listed", async || {
        deeds(&ada, space, "member.timed_out").await.into_iter().next()
    })
    .await;
    assert_eq!(
        (&deed["target"], &deed["reason"]),
        (&json!(ben.account), &json!("the rule `adverts`"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_are_taken_back_at_once_and_those_of_who_is_banned() {
    let platform = Platform::start().await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(say(&ben, room, &format!("flood {n}")).await);
    }
    let kept = say(&ada, room, "kept").await;
    until(&ada, kept, |_| true).await;
    let mut socket = Socket::connect(&ada, &json!({})).await.unwrap();
    socket.watch(room).await.unwrap();
    let path = format!("/v1/rooms/{room}/messages/delete");
    let delete = |ids: &[Uuid]| json!({ "messages": ids });
    for (by, ids, refusal) in [
        (&ben, &ids[..2], (403, "room.not_allowed")),
        (&ben, &[Uuid::nil()][..], (403, "space.not_allowed")),
        (&ada, &[][..], (422, "message.too_many_deleted")),
    ] {
        let refused = code(by.post(&path, &delete(ids)).await);
        assert_eq!(refused, (refusal.0, refusal.1.to_owned()));
    }
    let many: Vec<Uuid> = (0..101).map(Uuid::from_u128).collect();
    assert_eq!(
        code(ada.post(&path, &delete(&many)).await),
        (422, "message.too_many_deleted".into())
    );
    ada.post(&path, &delete(&ids[..2])).await.unwrap();
    for id in &ids[..2] {
        let told = socket.wait_for("event").await.unwrap();
        assert_eq!(
            (&told["type"], &told["data"]["message"]),
            (&json!("room.message_deleted.v1"), &json!(id))
        );
        until(&ben, *id, |row| {
            row["deleted_at"].is_string() && row["body"].is_null()
        })
        .await;
    }
    let again = ada.post(&path, &delete(&ids[..2])).await.unwrap();
    assert_eq!(again, json!({}), "there is nothing left to do");
    let listed = deeds(&ada, space, "room.message_deleted").await;
    assert_eq!(listed.len(), 2);
    assert_eq!(
        (&listed[0]["target_kind"], &listed[0]["detail"]["author"]),
        (&json!("message"), &json!(ben.account))
    );

    let member = format!("/v1/spaces/{space}/members/{}", ben.account);
    let too_long = json!({ "banned": true, "delete_messages_s": 604_801 });
    assert_eq!(
        code(put(&ada, &member, too_long).await),
        (422, "member.delete_messages_invalid".into())
    );
    let ban = json!({ "banned": true, "delete_messages_s": 3_600 });
    let done = ada.call(Method::PUT, &member, Some(&ban)).await.unwrap();
    assert_eq!(
        (&done["messages_deleted"], &done["more_messages"]),
        (&json!(3), &json!(false))
    );
    for id in &ids[2..] {
        until(&ada, *id, |row| row["deleted_at"].is_string()).await;
    }
    assert_eq!(until(&ada, kept, |_| true).await["body"], "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_keeps_what_was_said_until_somebody_resolves_it() {
    let platform = Platform::start().await;
    let ([ada, ben, eve], space, room) = platform.people(["ada", "ben", "eve"]).await;
    let mallory = platform
        .api()
        .register("mallory", "Mallory", PASSWORD)
        .await
        .unwrap();
    let bad = say(&ben, room, "buy this").await;
    until(&eve, bad, |_| true).await;
    let path = format!("/v1/messages/{bad}/reports");
    let report = json!({ "reason": "spam", "note": "again and again" });
    assert_eq!(
        code(mallory.post(&path, &report).await),
        (404, "message.not_found".into())
    );
    assert_eq!(
        code(ben.post(&path, &report).await),
        (403, "report.own_message".into())
    );
    let too_long = json!({ "reason": "spam", "note": "x".repeat(1_001) });
    assert_eq!(
        code(eve.post(&path, &too_long).await),
        (422, "report.note_invalid".into())
    );
    let filed = eve.post(&path, &report).await.unwrap();
    let again = eve.post(&path, &json!({ "reason": "hate" })).await.unwrap();
    assert_eq!(filed["id"], again["id"], "one report for each who reports");

    let edit = json!({ "body": "nothing to see" });
    ben.call(Method::PATCH, &format!("/v1/messages/{bad}"), Some(&edit))
        .await
        .unwrap();
    ben.call(Method::DELETE, &format!("/v1/messages/{bad}"), None)
        .await
        .unwrap();
    until(&ada, bad, |row| row["deleted_at"].is_string()).await;
    let reports = format!("/v1/spaces/{space}/reports");
    for (by, status) in [(&eve, 403), (&mallory, 404)] {
        assert_eq!(code(by.get(&reports).await).0, status);
    }
    let page = ada.get(&format!("{reports}?state=open")).await.unwrap();
    let [listed] = &items(&page)[..] else {
        panic!("{page}")
    };
    assert_eq!(listed["id"], filed["id"]);
    for (field, is) in [
        ("said", json!("buy this")),
        ("note", json!("again and again")),
        ("reason", json!("spam")),
        ("reporter_handle", json!("eve")),
        ("author_handle", json!("ben")),
        ("message", json!(bad)),
    ] {
        assert_eq!(listed[field], is, "{field}");
    }

    let resolution = format!("/v1/reports/{}/resolution", filed["id"].as_str().unwrap());
    let resolve = json!({ "action": "deleted", "note": "gone" });
    assert_eq!(
        code(eve.post(&resolution, &resolve).await),
        (403, "space.not_allowed".into())
    );
    assert_eq!(
        code(mallory.post(&resolution, &resolve).await),
        (404, "report.not_found".into())
    );
    ada.post(&resolution, &resolve).await.unwrap();
    assert_eq!(
        code(ada.post(&resolution, &resolve).await),
        (409, "report.resolved".into())
    );
    let resolved = eventually("the report is resolved", async || {
        let page = ada.get(&format!("{reports}?state=resolved")).await.unwrap();
        items(&page).first().cloned()
    })
    .await;
    assert_eq!(
        (&resolved["resolution"]["action"], &resolved["resolution"]["note"]),
        (&json!("deleted"), &json!("gone"))
    );
    let open = ada.get(&format!("{reports}?state=open")).await.unwrap();
    assert!(items(&open).is_empty());
    let deed = deeds(&ada, space, "report.resolved").await;
    assert_eq!(deed[0]["target"], json!(bad));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_during_a_raid_reads_and_does_not_write() {
    let platform = Platform::start().await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let raid = format!("/v1/spaces/{space}/raid");
    assert_eq!(code(ben.get(&raid).await), (403, "space.not_allowed".into()));
    let brake = json!({ "joins_per_minute": 2, "hold_s": 600 });
    put(&ada, &format!("{raid}/brake"), brake).await.unwrap();
    let mut told = Socket::connect(&ada, &json!({})).await.unwrap();
    let invite = ada.invite(space).await.unwrap();
    let mut crowd = Vec::new();
    for n in 0..4 {
        let handle = format!("guest{n}");
        let guest = platform.api().register(&handle, &handle, PASSWORD).await.unwrap();
        guest.accept(&invite).await.unwrap();
        crowd.push(guest);
    }
    let path = format!("/v1/rooms/{room}/messages");
    for (n, guest) in crowd.iter().enumerate() {
        let said = guest.post(&path, &words("hello")).await;
        if n < 2 {
            said.unwrap();
        } else {
            assert_eq!(code(said), (403, "room.held".into()), "guest {n}");
            guest.get(&path).await.unwrap();
        }
    }
    ben.post(&path, &words("I was here before")).await.unwrap();
    let state = ada.get(&raid).await.unwrap();
    assert_eq!(
        (&state["active"], &state["joins_per_minute"]),
        (&json!(true), &json!(2))
    );
    loop {
        let frame = told.wait_for("account").await.unwrap();
        if frame["type"] == "space.raid_begun.v1" {
            assert_eq!(frame["data"]["space"], json!(space));
            break;
        }
    }
    // One is let go, then all of them.
    let release = |of: &Person| format!("/v1/spaces/{space}/members/{}/release", of.account);
    assert_eq!(
        code(ben.post(&release(&crowd[2]), &json!({})).await),
        (403, "space.not_allowed".into())
    );
    ada.call(Method::POST, &release(&crowd[2]), None).await.unwrap();
    crowd[2].post(&path, &words("thanks")).await.unwrap();
    assert_eq!(
        code(crowd[3].post(&path, &words("me too")).await),
        (403, "room.held".into())
    );
    put(&ada, &raid, json!({ "active": false })).await.unwrap();
    eventually("the raid is over", async || {
        crowd[3].post(&path, &words("thanks")).await.ok()
    })
    .await;
    put(&ada, &raid, json!({ "active": true })).await.unwrap();
    let late = platform.api().register("late", "Late", PASSWORD).await.unwrap();
    late.accept(&invite).await.unwrap();
    assert_eq!(
        code(late.post(&path, &words("hello")).await),
        (403, "room.held".into())
    );
    let listed = eventually("it is in the audit log", async || {
        let begun = deeds(&ada, space, "space.raid_begun").await;
        (begun.len() == 2).then_some(begun)
    })
    .await;
    assert_eq!(listed[0]["detail"]["by"], json!(ada.account));
}

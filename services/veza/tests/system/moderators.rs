//! What those are told who look after a space, and what goes on without them.

use reqwest::Method;
use serde_json::json;
use veza_client::{Person, Socket};

use crate::held::{items, moderator, said};
use crate::platform::{EVERY_ROLE, PASSWORD, Platform, eventually, words};
use crate::scheduled::told;
use crate::structure::put;

#[tokio::test(flavor = "multi_thread")]
async fn all_who_look_after_a_space_are_told() {
    let mut platform = Platform::start().await;
    let ([ada, ben, eve, cleo], space, room) = platform.people(["ada", "ben", "eve", "cleo"]).await;
    moderator(&ada, space, &cleo, &["manage_messages", "mute"]).await;
    let mut adas = Socket::connect(&ada, &json!({})).await.unwrap();
    let mut mods = Socket::connect(&cleo, &json!({})).await.unwrap();
    let posted = ben
        .post(&format!("/v1/rooms/{room}/messages"), &words("buy this"))
        .await
        .unwrap();
    let message = posted["id"].as_str().unwrap();
    let report = eventually("it can be reported", async || {
        eve.post(
            &format!("/v1/messages/{message}/reports"),
            &json!({ "reason": "spam" }),
        )
        .await
        .ok()
    })
    .await;
    assert!(report["id"].is_string());
    for socket in [&mut adas, &mut mods] {
        let filed = told(socket, "report.filed.v1").await;
        assert_eq!(filed, json!({ "space": space, "room": room, "message": message }));
    }
    put(
        &ada,
        &format!("/v1/spaces/{space}/raid"),
        json!({ "active": true }),
    )
    .await
    .unwrap();
    for socket in [&mut adas, &mut mods] {
        assert_eq!(told(socket, "space.raid_begun.v1").await["space"], json!(space));
    }
    let invite = ada.invite(space).await.unwrap();
    let mut held = Vec::new();
    for handle in ["late", "later"] {
        let guest = platform.api().register(handle, handle, PASSWORD).await.unwrap();
        guest.accept(&invite).await.unwrap();
        held.push(guest);
    }
    let listed = async |person: &Person| {
        let page = ada.get(&format!("/v1/spaces/{space}/members")).await.unwrap();
        let member = items(&page)
            .into_iter()
            .find(|one| one["account"] == json!(person.account));
        member.map(|member| member["held_until"].is_string())
    };
    for guest in &held {
        eventually("it is shown who is held", async || {
            listed(guest).await.filter(|held| *held)
        })
        .await;
    }
    assert_eq!(listed(&eve).await, Some(false));
    let release = format!("/v1/spaces/{space}/members/{}/release", held[0].account);
    ada.call(Method::POST, &release, None).await.unwrap();
    eventually("one is let go", async || {
        listed(&held[0]).await.filter(|held| !held)
    })
    .await;
    assert_eq!(listed(&held[1]).await, Some(true));
    put(
        &ada,
        &format!("/v1/spaces/{space}/raid"),
        json!({ "active": false }),
    )
    .await
    .unwrap();
    eventually("all are let go", async || {
        listed(&held[1]).await.filter(|held| !held)
    })
    .await;
    platform
        .fleet
        .run(&["projection", "rebuild", "--verify"])
        .await
        .unwrap();
    platform
        .fleet
        .role_mut("projector")
        .unwrap()
        .restart()
        .await
        .unwrap();
    assert_eq!(listed(&held[1]).await, Some(false));
    let reports = ada
        .get(&format!("/v1/spaces/{space}/reports?state=open"))
        .await
        .unwrap();
    assert_eq!(
        items(&reports)[0]["said"],
        "buy this",
        "reports outlive a rebuild"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_was_cut_off_is_gone_on_with() {
    let settings = [("VEZA__GATEWAY__MIN_SEQ_WAIT_MS", "200")];
    let mut platform = Platform::with(&EVERY_ROLE, 1, &settings).await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let path = format!("/v1/rooms/{room}/messages");
    for n in 0..5 {
        ben.post(&path, &words(&format!("flood {n}"))).await.unwrap();
    }
    ada.post(&path, &words("kept")).await.unwrap();
    eventually("all can be read", async || {
        (said(&ada, room).await.len() == 6).then_some(())
    })
    .await;
    // Without the tables nothing can be found, and then the gateway dies as well.
    platform.fleet.role_mut("projector").unwrap().kill9().await;
    let ban = json!({ "banned": true, "delete_messages_s": 3_600 });
    let member = format!("/v1/spaces/{space}/members/{}", ben.account);
    let done = ada.call(Method::PUT, &member, Some(&ban)).await.unwrap();
    assert_eq!(
        (&done["messages_deleted"], &done["more_messages"]),
        (&json!(0), &json!(true))
    );
    platform.fleet.role_mut("gateway").unwrap().kill9().await;
    platform
        .fleet
        .role_mut("projector")
        .unwrap()
        .restart()
        .await
        .unwrap();
    platform
        .fleet
        .role_mut("gateway")
        .unwrap()
        .restart()
        .await
        .unwrap();
    let left = eventually("they are taken back", async || {
        let left: Vec<_> = said(&ada, room)
            .await
            .into_iter()
            .filter(|one| one["body"].is_string())
            .collect();
        (left.len() == 1).then_some(left)
    })
    .await;
    assert_eq!(left[0]["body"], "kept");
}

//! From a request to a command.

use serde_json::json;
use uuid::Uuid;
use veza_events::{CommandId, RoomId};

use super::site::Site;

#[tokio::test]
async fn a_key_stands_for_one_command_of_one_caller_and_operation() {
    let site = Site::new().await;
    let ((_, room), (_, other)) = (site.room().await, site.room().await);
    let (one, two) = (site.person().await, site.person().await);
    for (room, person, key) in [
        (room, &one, Some("k")),
        (room, &one, Some("k")),
        (room, &one, Some("l")),
        (room, &two, Some("k")),
        (other, &one, Some("k")),
        (room, &one, None),
        (room, &one, None),
    ] {
        assert_eq!(site.post(room, person, key, "hi").await.status, 201);
    }
    let posts = site.worker.posts.lock().unwrap();
    let ids: Vec<CommandId> = posts.iter().map(|(caller, _)| caller.command).collect();
    assert_eq!(ids[0], ids[1]);
    let distinct: std::collections::HashSet<_> = ids[1..].iter().map(|id| id.uuid()).collect();
    assert_eq!(distinct.len(), ids.len() - 1);
    assert!(
        ids.iter().all(|id| id.unix_ms().is_some()),
        "workers take UUIDv7 alone"
    );
    assert_eq!(posts[0].0.session, Some(one.session));
}

#[tokio::test]
async fn a_command_id_in_the_body_is_the_command() {
    let site = Site::new().await;
    let ((space, room), person) = (site.room().await, site.person().await);
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let body = json!({ "body": "hi", "command_id": id, "reply_to": null });
    let path = format!("/v1/rooms/{room}/messages");
    let answer = site.ask("POST", &path, Some(&person), &[], Some(body)).await;
    assert_eq!((answer.status, &answer.body["seq"]), (201, &json!(7)));
    let posts = site.worker.posts.lock().unwrap();
    assert_eq!(
        (posts[0].0.command.uuid().to_string().as_str(), posts[0].1.space),
        (id, space)
    );
}

#[tokio::test]
async fn what_cannot_be_read_reaches_no_worker() {
    let site = Site::new().await;
    let ((_, room), person) = (site.room().await, site.person().await);
    let path = format!("/v1/rooms/{room}/messages");
    for body in [
        json!({}),
        json!({ "body": 5 }),
        json!({ "body": "hi", "admin": true }),
        json!([]),
        json!(null),
    ] {
        let answer = site.ask("POST", &path, Some(&person), &[], Some(body)).await;
        assert_eq!((answer.status, answer.code()), (400, "request.malformed"));
    }
    for key in ["", "  ", "\u{e4}", &"k".repeat(201)] {
        let answer = site.post(room, &person, Some(key), "hi").await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "request.idempotency_key"),
            "{key:?}"
        );
    }
    let unknown = site
        .post(RoomId::new(Uuid::from_u128(9)), &person, None, "hi")
        .await;
    assert_eq!((unknown.status, unknown.code()), (404, "room.not_found"));
    let no_id = site
        .ask("PATCH", "/v1/rooms/general", Some(&person), &[], Some(json!({})))
        .await;
    assert_eq!((no_id.status, no_id.code()), (400, "request.parameter"));
    assert!(site.worker.posts.lock().unwrap().is_empty());
}

#[tokio::test]
async fn writes_say_where_they_lie_and_take_names_for_kinds() {
    let site = Site::new().await;
    let ((space, room), person) = (site.room().await, site.person().await);
    let path = format!("/v1/spaces/{space}/rooms");
    let body = json!({ "name": "den", "kind": "voice" });
    let made = site.ask("POST", &path, Some(&person), &[], Some(body)).await;
    assert_eq!((made.status, &made.body["seq"]), (201, &json!(8)));
    let unknown = json!({ "name": "den", "kind": "hologram" });
    let refused = site.ask("POST", &path, Some(&person), &[], Some(unknown)).await;
    assert_eq!(
        (refused.status, &refused.body["errors"][0]["field"]),
        (400, &json!("kind"))
    );
    let changed = site
        .ask(
            "PATCH",
            &format!("/v1/rooms/{room}"),
            Some(&person),
            &[],
            Some(json!({})),
        )
        .await;
    assert_eq!((changed.status, &changed.body["seq"]), (200, &json!(9)));
}

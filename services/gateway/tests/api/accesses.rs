//! What callers may see.

use serde_json::json;
use veza_events::Subject;

use super::site::{Site, access, until};

#[tokio::test]
async fn strangers_learn_nothing_and_cost_the_read_model_nothing() {
    let site = Site::new().await;
    let ((space, room), person) = (site.room().await, site.person().await);
    *site.worker.access.lock().unwrap() = Some(access(false, room));
    for (path, code) in [
        (format!("/v1/rooms/{room}"), "room.not_found"),
        (format!("/v1/rooms/{room}/messages"), "room.not_found"),
        (format!("/v1/spaces/{space}"), "space.not_found"),
        (format!("/v1/spaces/{space}/rooms"), "space.not_found"),
        (format!("/v1/spaces/{space}/members"), "space.not_found"),
        (format!("/v1/spaces/{space}/roles"), "space.not_found"),
        (format!("/v1/spaces/{space}/invites"), "space.not_found"),
    ] {
        let answer = site.get(&path, &person).await;
        assert_eq!((answer.status, answer.code()), (404, code), "{path}");
    }
    assert_eq!(
        site.worker.asked.lock().unwrap().len(),
        1,
        "asked once, then known"
    );
}

#[tokio::test]
async fn a_change_of_the_membership_is_asked_for_at_once() {
    let site = Site::new().await;
    let ((space, room), person) = (site.room().await, site.person().await);
    site.allow(room);
    let path = format!("/v1/rooms/{room}");
    assert_eq!(
        site.get(&path, &person).await.status,
        503,
        "allowed; only Postgres is away"
    );
    let subject = Subject::Member(0, space, person.account);
    let seq = site.append(&subject, &json!({})).await;
    let mut banned = access(false, room);
    banned.member_seq = seq;
    *site.worker.access.lock().unwrap() = Some(banned);
    until("the ban counts", async || {
        site.get(&path, &person).await.status == 404
    })
    .await;
}

#[tokio::test]
async fn a_sequence_that_cannot_be_waited_for_is_refused() {
    let site = Site::new().await;
    let ((_, room), person) = (site.room().await, site.person().await);
    site.allow(room);
    let path = format!("/v1/rooms/{room}/messages");
    for wrong in ["", "5", "SPACES_0", "SPACES_9/5", "spaces_0/5", "SPACES_0/x"] {
        let answer = site
            .ask("GET", &path, Some(&person), &[("veza-min-seq", wrong)], None)
            .await;
        assert_eq!(
            (answer.status, answer.code()),
            (400, "request.min_seq"),
            "{wrong}"
        );
    }
}

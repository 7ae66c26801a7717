//! Who may ask.

use serde_json::json;
use veza_platform::tokens::Revocations;

use super::site::{Site, until};

#[tokio::test]
async fn forged_expired_and_revoked_tokens_are_told_apart() {
    let site = Site::new().await;
    let (good, old) = (site.person().await, site.person_until(-60).await);
    let none = site.ask("GET", "/v1/sessions", None, &[], None).await;
    assert_eq!((none.status, none.code()), (401, "session.required"));
    let mut forged = good.clone();
    forged.token.replace_range(forged.token.len() - 4.., "AAAA");
    for (person, code) in [
        (&forged, "session.token_invalid"),
        (&old, "session.token_expired"),
    ] {
        let answer = site.get("/v1/sessions", person).await;
        assert_eq!((answer.status, answer.code()), (401, code));
    }
    assert_eq!(
        site.get("/v1/sessions", &good).await.status,
        503,
        "let in; only Postgres is away"
    );
    Revocations::open(&site.log).end(good.session).await.unwrap();
    let refused = async || site.get("/v1/sessions", &good).await.code() == "session.ended";
    until("an ended session is refused", refused).await;
    for garbage in ["Bearer", "Bearer ", "Basic eDp5", "Bearer a b", "Bearer \u{e4}"] {
        let answer = site
            .ask("GET", "/v1/sessions", None, &[("authorization", garbage)], None)
            .await;
        assert_eq!(answer.status, 401, "{garbage}");
    }
}

#[tokio::test]
async fn tickets_are_given_to_sessions_alone() {
    let site = Site::new().await;
    let person = site.person().await;
    let path = "/v1/realtime/tickets";
    assert_eq!(site.ask("POST", path, None, &[], None).await.status, 401);
    let one = site.ask("POST", path, Some(&person), &[], None).await;
    let two = site.ask("POST", path, Some(&person), &[], None).await;
    assert_eq!((one.status, &one.body["expires_in"]), (201, &json!(30)));
    assert_ne!(one.body["ticket"], two.body["ticket"]);
}

#[tokio::test]
async fn the_public_keys_are_there_for_everybody() {
    let site = Site::new().await;
    let keys = site.ask("GET", "/.well-known/jwks.json", None, &[], None).await;
    assert_eq!(
        (keys.status, &keys.body["keys"][0]["alg"]),
        (200, &json!("EdDSA"))
    );
}

use std::time::{Duration, Instant};

use veza_platform::contract::ProblemKind;
use veza_platform::contract::accounts::EndSession;
use veza_platform::tokens::TokenError;
use veza_testkit::fresh_database;

use crate::site::{PASSWORD, Site, caller, code, signed_in, signing_in};

#[tokio::test]
async fn people_sign_in_by_handle_or_address_and_out_again() {
    let site = Site::with(2, &fresh_database().await, |_| {}).await;
    let ada = site.register("ada").await.account;
    for login in ["ada", " ADA ", "Ada@Example.ORG"] {
        let session = site.sign_in(login).await;
        assert_eq!(session.account, ada);
        assert_eq!(session.expires_in, 300);
        let claims = site.verify(&session).unwrap();
        assert_eq!((claims.sub, claims.sid, claims.ver), (ada, session.session, 0));

        let out = EndSession {
            session: session.session,
        };
        site.give(&signed_in(ada, session.session), &out).await.unwrap();
        let told = Instant::now();
        site.until(|| site.verify(&session) == Err(TokenError::Revoked))
            .await;
        assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
        assert_eq!(code(site.refresh(&session.refresh_token).await), "session.ended");
    }
}

#[tokio::test]
async fn a_session_is_ended_from_another_device_but_not_by_another_person() {
    let site = Site::new().await;
    let ada = site.register("ada").await.account;
    let eve = site.register("eve").await.account;
    let (phone, desk) = (site.sign_in("ada").await, site.sign_in("ada").await);
    let evil = site.sign_in("eve").await;
    let end = EndSession {
        session: phone.session,
    };
    assert_eq!(code(site.give(&caller(), &end).await), "session.required");
    assert_eq!(
        code(site.give(&signed_in(eve, evil.session), &end).await),
        "session.not_found"
    );
    site.refresh(&phone.refresh_token).await.unwrap();

    let by_desk = signed_in(ada, desk.session);
    site.give(&by_desk, &end).await.unwrap();
    assert_eq!(
        code(site.give(&by_desk, &end).await),
        "done",
        "the same command again"
    );
    site.until(|| site.verify(&phone) == Err(TokenError::Revoked))
        .await;
    assert!(site.verify(&desk).is_ok());
    let anew = signed_in(ada, desk.session);
    assert_eq!(code(site.give(&anew, &end).await), "session.not_found");
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_get_the_same_answer() {
    let site = Site::new().await;
    site.register("ada").await;
    let long = "x".repeat(10_000);
    let mut answers = Vec::new();
    for (login, password) in [
        ("ada", "another long phrase"),
        ("ada", ""),
        ("ada", long.as_str()),
        ("nobody", PASSWORD),
        ("nobody@example.org", PASSWORD),
        ("not a name at all \0", PASSWORD),
        ("", ""),
        (long.as_str(), PASSWORD),
    ] {
        let problem = site
            .give(&caller(), &signing_in(login, password))
            .await
            .err()
            .unwrap();
        assert_eq!(problem.kind, ProblemKind::Unauthenticated);
        answers.push(problem);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].code, "session.credentials");
}

/// Measuring the time itself would only measure how busy the machine is.
#[tokio::test]
async fn an_unknown_name_costs_the_same_hash_as_a_known_one() {
    let site = Site::new().await;
    site.register("ada").await;
    for (login, password) in [
        ("ada", "another long phrase"),
        ("nobody", "another long phrase"),
        ("nobody@example.org", ""),
        ("not a name", "another long phrase"),
    ] {
        let before = site.hashes();
        let outcome = site.give(&caller(), &signing_in(login, password)).await;
        assert_eq!(code(outcome), "session.credentials");
        assert_eq!(site.hashes(), before + 1, "{login}");
    }
}

#[tokio::test]
async fn a_sign_in_given_twice_starts_one_session() {
    let site = Site::with(2, &fresh_database().await, |_| {}).await;
    site.register("ada").await;
    let (caller, command) = (caller(), signing_in("ada", PASSWORD));
    let first = site.give(&caller, &command).await.unwrap();
    let again = site.give(&caller, &command).await.unwrap();
    assert_eq!(first.session, again.session);
    site.refresh(&again.refresh_token).await.unwrap();
    assert_eq!(
        code(site.give(&caller, &command).await),
        "session.ended",
        "it went on meanwhile"
    );
}

#[tokio::test]
async fn one_session_too_many_ends_the_oldest() {
    let site = Site::with(1, &fresh_database().await, |config| {
        config.accounts.max_sessions_per_account = 2;
    })
    .await;
    site.register("ada").await;
    let first = site.sign_in("ada").await;
    let second = site.sign_in("ada").await;
    let third = site.sign_in("ada").await;
    site.until(|| site.verify(&first) == Err(TokenError::Revoked))
        .await;
    assert_eq!(code(site.refresh(&first.refresh_token).await), "session.ended");
    for open in [&second, &third] {
        assert!(site.verify(open).is_ok());
        site.refresh(&open.refresh_token).await.unwrap();
    }
}

/// Replicas may be a moment behind; what was acked counts all the same.
#[tokio::test]
async fn on_three_nodes_everything_can_be_done_at_once_after_what_it_needs() {
    let site = Site::on_three_nodes().await;
    for n in 0..10 {
        let name = format!("person{n}");
        let account = site.register(&name).await.account;
        let session = site.sign_in(&name).await;
        let next = site.refresh(&session.refresh_token).await.unwrap();
        let out = EndSession {
            session: session.session,
        };
        site.give(&signed_in(account, session.session), &out)
            .await
            .unwrap();
        assert_eq!(code(site.refresh(&next.refresh_token).await), "session.ended");
        site.until(|| site.verify(&next) == Err(TokenError::Revoked))
            .await;
    }
}

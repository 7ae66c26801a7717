use futures::future::join_all;
use veza_events::account::{AccountEvent, SessionEnd};
use veza_events::{Event, Subject};
use veza_platform::contract::Sensitive;
use veza_platform::tokens::TokenError;
use veza_testkit::fresh_database;

use crate::site::{Site, code};

#[tokio::test]
async fn each_refresh_gives_a_pair_that_works() {
    let site = Site::with(2, &fresh_database().await, |_| {}).await;
    site.register("ada").await;
    let mut pair = site.sign_in("ada").await;
    for generation in 1..=5 {
        let next = site.refresh(&pair.refresh_token).await.unwrap();
        assert_eq!((next.session, &next.position), (pair.session, &None));
        assert_eq!(site.verify(&next).unwrap().ver, generation);
        assert!(site.verify(&pair).is_ok(), "access tokens run out by themselves");
        pair = next;
    }
}

#[tokio::test]
async fn a_used_token_that_comes_back_ends_the_session() {
    let site = Site::new().await;
    let ada = site.register("ada").await.account;
    let first = site.sign_in("ada").await;
    let second = site.refresh(&first.refresh_token).await.unwrap();
    let third = site.refresh(&second.refresh_token).await.unwrap();

    assert_eq!(
        code(site.refresh(&first.refresh_token).await),
        "session.token_reused"
    );
    assert_eq!(code(site.refresh(&third.refresh_token).await), "session.ended");
    site.until(|| site.verify(&third) == Err(TokenError::Revoked))
        .await;
    let subject = Subject::Account(ada).to_string();
    let last = site.log.last_consistent(&subject).await.unwrap().unwrap();
    let event = Event::decode(last.headers.get("ce-type").unwrap().as_str(), &last.payload).unwrap();
    let Event::Account(AccountEvent::SessionEnded(ended)) = event else {
        panic!("{event:?}")
    };
    assert_eq!(
        (ended.session, ended.reason),
        (first.session, SessionEnd::TokenReused)
    );
}

#[tokio::test]
async fn a_lost_answer_logs_nobody_out() {
    let site = Site::new().await;
    site.register("ada").await;
    let first = site.sign_in("ada").await;
    let lost = site.refresh(&first.refresh_token).await.unwrap();
    let second = site.refresh(&first.refresh_token).await.unwrap();
    let third = site.refresh(&second.refresh_token).await.unwrap();
    assert!(site.verify(&third).is_ok());
    assert_eq!(
        code(site.refresh(&lost.refresh_token).await),
        "session.token_reused",
        "nobody should have it"
    );
}

#[tokio::test]
async fn refreshing_twice_at_once_is_no_theft() {
    let site = Site::with(2, &fresh_database().await, |_| {}).await;
    site.register("ada").await;
    let pair = site.sign_in("ada").await;
    let outcomes = join_all((0..3).map(|_| site.refresh(&pair.refresh_token))).await;
    let newest = outcomes
        .into_iter()
        .map(Result::unwrap)
        .max_by_key(|pair| site.verify(pair).unwrap().ver);
    let newest = newest.unwrap();
    site.refresh(&newest.refresh_token).await.unwrap();
}

#[tokio::test]
async fn made_up_tokens_harm_no_session() {
    let site = Site::new().await;
    site.register("ada").await;
    let pair = site.sign_in("ada").await;
    let token = pair.refresh_token.expose();
    let (id, secret) = token.split_once('.').unwrap();
    let strange = veza_platform::ambient::new_uuid();
    for made_up in [
        String::new(),
        ".".to_owned(),
        id.to_owned(),
        format!("{id}."),
        format!("{id}.{}", "A".repeat(secret.len())),
        format!("{strange}.{secret}"),
        format!("{id}.{secret}.{secret}"),
        "ä".repeat(1_000),
    ] {
        let outcome = site.refresh(&Sensitive::new(made_up.clone())).await;
        assert_eq!(code(outcome), "session.refresh_token", "{made_up}");
    }
    site.refresh(&pair.refresh_token).await.unwrap();
}

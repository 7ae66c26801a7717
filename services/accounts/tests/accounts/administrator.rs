use futures::future::join_all;
use veza_platform::contract::Sensitive;
use veza_platform::contract::accounts::{ChangePassword, InviteAdministrator, SignInByLink};
use veza_testkit::fresh_database;

use crate::site::{PASSWORD, Site, caller, code, signed_in, signing_in};

fn by_link(token: &Sensitive) -> SignInByLink {
    SignInByLink {
        token: token.clone(),
        device: None,
    }
}

async fn invite(site: &Site) -> Option<Sensitive> {
    site.give(&caller(), &InviteAdministrator {}).await.unwrap().token
}

#[tokio::test]
async fn the_first_administrator_gets_in_by_a_link_once() {
    let site = Site::new().await;
    let (first, second) = (invite(&site).await.unwrap(), invite(&site).await.unwrap());
    assert_eq!(
        code(site.give(&caller(), &signing_in("admin", "")).await),
        "session.credentials"
    );

    let sign_in = caller();
    let session = site.give(&sign_in, &by_link(&first)).await.unwrap();
    assert!(site.verify(&session).is_ok());
    let again = site.give(&sign_in, &by_link(&first)).await.unwrap();
    assert_eq!(
        again.session, session.session,
        "the same command again, after a lost answer"
    );

    for used in [&first, &second, &Sensitive::new("made up"), &Sensitive::new("")] {
        assert_eq!(code(site.give(&caller(), &by_link(used)).await), "session.link");
    }
    assert_eq!(invite(&site).await, None);

    let admin = signed_in(session.account, session.session);
    let password = ChangePassword {
        current: None,
        new: Sensitive::new(PASSWORD),
    };
    site.give(&admin, &password).await.unwrap();
    assert_eq!(site.sign_in("admin").await.account, session.account);
}

#[tokio::test]
async fn a_link_used_from_two_places_at_once_lets_one_in() {
    let site = Site::with(2, &fresh_database().await, |_| {}).await;
    let token = invite(&site).await.unwrap();
    let command = by_link(&token);
    let uses = (0..6).map(|_| async { code(site.give(&caller(), &command).await) });
    let mut outcomes = join_all(uses).await;
    outcomes.sort();
    assert_eq!(
        outcomes,
        [
            "done",
            "session.link",
            "session.link",
            "session.link",
            "session.link",
            "session.link"
        ]
    );
}

#[tokio::test]
async fn invitations_at_once_make_one_administrator() {
    let site = Site::with(2, &fresh_database().await, |_| {}).await;
    let tokens = join_all((0..5).map(|_| invite(&site))).await;
    let mut accounts = Vec::new();
    if let Some(token) = &tokens[0] {
        accounts.push(site.give(&caller(), &by_link(token)).await.unwrap().account);
    }
    assert_eq!(accounts.len(), 1);
    assert!(tokens.iter().all(Option::is_some));
    assert_eq!(invite(&site).await, None, "all of them were for the same account");
}

use veza_events::AccountId;
use veza_platform::contract::accounts::{ChangePassword, SignedIn};
use veza_platform::contract::{Caller, Problem, Sensitive};
use veza_platform::tokens::TokenError;

use crate::site::{PASSWORD, Site, caller, code, signed_in, signing_in};

const NEW: &str = "another good phrase";

fn change(current: Option<&str>, new: &str) -> ChangePassword {
    ChangePassword {
        current: current.map(Sensitive::new),
        new: Sensitive::new(new),
    }
}

async fn ada_on_two_devices(site: &Site) -> (AccountId, SignedIn, SignedIn) {
    let ada = site.register("ada-lovelace").await.account;
    (
        ada,
        site.sign_in("ada-lovelace").await,
        site.sign_in("ada-lovelace").await,
    )
}

async fn attempt(site: &Site, password: &str) -> Result<SignedIn, Problem> {
    site.give(&caller(), &signing_in("ada-lovelace", password)).await
}

#[tokio::test]
async fn another_password_ends_all_other_sessions() {
    let site = Site::new().await;
    let (ada, desk, phone) = ada_on_two_devices(&site).await;
    let by_desk = signed_in(ada, desk.session);
    site.give(&by_desk, &change(Some(PASSWORD), NEW)).await.unwrap();

    site.until(|| site.verify(&phone) == Err(TokenError::Revoked))
        .await;
    assert_eq!(code(site.refresh(&phone.refresh_token).await), "session.ended");
    assert!(site.verify(&desk).is_ok());
    site.refresh(&desk.refresh_token).await.unwrap();
    assert_eq!(code(attempt(&site, PASSWORD).await), "session.credentials");
    assert_eq!(code(attempt(&site, NEW).await), "done");

    let again = site.give(&by_desk, &change(Some(PASSWORD), NEW)).await;
    assert_eq!(code(again), "done", "the same command again, after a lost answer");
    assert_eq!(code(attempt(&site, NEW).await), "done");
}

#[tokio::test]
async fn the_present_password_is_asked_for_and_the_new_one_must_be_good() {
    let site = Site::new().await;
    let (ada, desk, phone) = ada_on_two_devices(&site).await;
    let fresh = || -> Caller { signed_in(ada, desk.session) };
    for (current, new, expected) in [
        (None, NEW, "account.password_required"),
        (Some("not the present one"), NEW, "account.password_wrong"),
        (Some(PASSWORD), "short", "account.password_too_short"),
        (Some(PASSWORD), "password1234", "account.password_common"),
        (
            Some(PASSWORD),
            "my ada-lovelace phrase",
            "account.password_has_name",
        ),
    ] {
        assert_eq!(code(site.give(&fresh(), &change(current, new)).await), expected);
    }
    assert_eq!(
        code(site.give(&caller(), &change(Some(PASSWORD), NEW)).await),
        "session.required"
    );
    assert!(site.verify(&phone).is_ok(), "nothing has changed");
    assert_eq!(code(attempt(&site, PASSWORD).await), "done");
}

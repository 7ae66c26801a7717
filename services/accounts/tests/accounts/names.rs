use futures::future::join_all;
use veza_platform::contract::accounts::Register;
use veza_platform::contract::{ProblemKind, Sensitive};
use veza_testkit::fresh_database;

use crate::site::{PASSWORD, Site, caller, code, registration, signing_in};

#[tokio::test]
async fn of_those_who_want_one_name_at_once_exactly_one_gets_it() {
    let site = Site::with(2, &fresh_database().await, |_| {}).await;
    for round in 0..4 {
        let wanted = |n: usize| Register {
            // Spelled differently, and yet the same.
            handle: if n.is_multiple_of(2) {
                format!("Ada{round}")
            } else {
                format!("ada{round}")
            },
            email: format!("{n}.{round}@example.org"),
            ..registration("x")
        };
        let commands: Vec<Register> = (0..8).map(wanted).collect();
        let tries = commands.iter().map(|command| site_give(&site, command));
        let mut outcomes = join_all(tries).await;
        outcomes.sort();
        let mut expected = vec!["account.handle_taken"; 7];
        expected.push("done");
        assert_eq!(outcomes, expected);
    }
}

async fn site_give(site: &Site, command: &Register) -> String {
    code(site.give(&caller(), command).await)
}

#[tokio::test]
async fn an_address_belongs_to_one_account_and_a_refused_one_leaves_nothing_behind() {
    let site = Site::new().await;
    site.register("ada").await;
    let second = Register {
        email: "ADA@Example.org".into(),
        ..registration("grace")
    };
    assert_eq!(site_give(&site, &second).await, "account.email_taken");
    assert_eq!(
        site_give(&site, &registration("grace")).await,
        "done",
        "her handle is still free"
    );
}

#[tokio::test]
async fn what_cannot_be_an_account_is_refused_by_field() {
    let site = Site::new().await;
    let good = || registration("ada");
    let with_password = |password: &str| Register {
        password: Sensitive::new(password),
        ..good()
    };
    let cases = [
        (
            Register {
                handle: "a b".into(),
                ..good()
            },
            "account.handle_invalid",
            "handle",
        ),
        (
            Register {
                email: "nowhere".into(),
                ..good()
            },
            "account.email_invalid",
            "email",
        ),
        (
            Register {
                display_name: Some("\u{202e}".into()),
                ..good()
            },
            "account.display_name_invalid",
            "display_name",
        ),
        (with_password("short"), "account.password_too_short", "password"),
        (
            with_password(&"x y".repeat(100)),
            "account.password_too_long",
            "password",
        ),
        (
            with_password("password1234"),
            "account.password_common",
            "password",
        ),
    ];
    for (command, expected, field) in cases {
        let problem = site.give(&caller(), &command).await.unwrap_err();
        assert_eq!(
            (problem.kind, problem.code.as_str()),
            (ProblemKind::Invalid, expected)
        );
        assert_eq!(problem.errors[0].field, field);
    }
    for reserved in ["admin", "Root", "VEZA", "everyone"] {
        assert_eq!(
            site_give(&site, &registration(reserved)).await,
            "account.handle_taken"
        );
    }
    assert_eq!(site_give(&site, &good()).await, "done");
}

#[tokio::test]
async fn a_registration_given_twice_makes_one_account() {
    let site = Site::with(2, &fresh_database().await, |_| {}).await;
    let (caller, command) = (caller(), registration("ada"));
    let first = site.give(&caller, &command).await.unwrap();
    let again = site.give(&caller, &command).await.unwrap();
    assert_eq!(first.account, again.account);
    let other = Register {
        display_name: Some("Somebody else".into()),
        ..registration("ada")
    };
    assert_eq!(code(site.give(&caller, &other).await), "command.reused");
    assert_eq!(
        code(site.give(&self::caller(), &signing_in("ada", PASSWORD)).await),
        "done"
    );
}

#[tokio::test]
async fn a_repeated_registration_is_answered_as_the_first_time() {
    let site = Site::with(2, &fresh_database().await, |_| {}).await;
    let caller = caller();
    let first = site.give(&caller, &registration("ada")).await.unwrap();
    for _ in 0..3 {
        let again = site.give(&caller, &registration("ada")).await.unwrap();
        assert_eq!(
            (again.account, again.position),
            (first.account, first.position.clone())
        );
    }
}

use veza_platform::contract::Sensitive;
use veza_platform::contract::accounts::{ChangePassword, ChangeProfile};
use veza_platform::event_log::StreamName;

use crate::site::{PASSWORD, Site, caller, code, registration, signed_in};

#[tokio::test]
async fn neither_secrets_nor_names_stand_in_the_log() {
    let site = Site::new().await;
    let mut command = registration("lovelace");
    command.display_name = Some("Countess".into());
    let ada = site.give(&caller(), &command).await.unwrap().account;
    let session = site.sign_in("lovelace").await;
    let next = site.refresh(&session.refresh_token).await.unwrap();
    let by_ada = signed_in(ada, session.session);
    let profile = ChangeProfile {
        display_name: Some("Enchantress".into()),
    };
    site.give(&by_ada, &profile).await.unwrap();
    let password = ChangePassword {
        current: Some(Sensitive::new(PASSWORD)),
        new: Sensitive::new("another good phrase"),
    };
    assert_eq!(
        code(site.give(&signed_in(ada, session.session), &password).await),
        "done"
    );

    let page = site
        .log
        .page(&StreamName::accounts(), 0, 1_000, None, None)
        .await
        .unwrap();
    let mut kinds = Vec::new();
    for record in &page.records {
        let whole = format!(
            "{} {:?} {}",
            record.subject,
            record.headers,
            String::from_utf8_lossy(&record.payload)
        );
        for clear in [
            PASSWORD,
            "another good phrase",
            "lovelace",
            "example.org",
            "Countess",
            "Enchantress",
            "argon2",
            "a test",
            session.refresh_token.expose(),
            next.refresh_token.expose(),
            session.access_token.expose(),
        ] {
            assert!(!whole.contains(clear), "{clear} stands in {whole}");
        }
        kinds.push(record.headers.get("ce-type").unwrap().as_str().to_owned());
    }
    assert_eq!(
        kinds,
        [
            "account.registered.v1",
            "handle.claimed.v1",
            "handle.claimed.v1",
            "account.session_started.v1",
            "account.profile_changed.v1",
            "account.password_changed.v1",
        ]
    );
}

//! Addresses are confirmed by links, and what is done to an account is told there; read as people read their mail.

use std::time::Duration;

use serde_json::{Value, json};
use veza_client::{ClientError, Person};
use veza_testkit::TestFolder;
use veza_testkit::veza_servers::{CaughtMail, MailCatcher, MailCatcherOptions};

use crate::platform::{EVERY_ROLE, PASSWORD, Platform, eventually};
use crate::structure::{code, put};

const OTHER: &str = "quite another staple of horses";
/// Long enough for whatever was due to have come.
const QUIET: Duration = Duration::from_secs(3);

/// A platform whose mail is caught.
pub(crate) struct Mailing {
    pub(crate) platform: Platform,
    pub(crate) catcher: MailCatcher,
    _folder: TestFolder,
}

impl Mailing {
    pub(crate) async fn start(env: &[(&'static str, &str)]) -> Self {
        let folder = TestFolder::new();
        let options = MailCatcherOptions {
            dir: folder.path().join("mail"),
            ..MailCatcherOptions::default()
        };
        let catcher = MailCatcher::start(options).await.unwrap();
        let url = catcher.url();
        let mut all = vec![
            ("VEZA__MAIL__SMTP_URL", url.as_str()),
            ("VEZA__MAIL__FROM", "Veza <noreply@example.org>"),
            ("VEZA__MAIL__LINK_PAUSE_S", "0"),
            ("VEZA__MAIL__RETRY_DELAY_MS", "100"),
        ];
        all.extend(env);
        let platform = Platform::with(&EVERY_ROLE, 1, &all).await;
        Self {
            platform,
            catcher,
            _folder: folder,
        }
    }

    /// What came to an address under a subject that begins so, once there are so many.
    pub(crate) async fn came(&self, to: &str, subject: &str, times: usize) -> Vec<CaughtMail> {
        eventually(&format!("mail to {to}: {subject}"), async || {
            Some(self.now(to, subject)).filter(|mails| mails.len() >= times)
        })
        .await
    }

    pub(crate) fn now(&self, to: &str, subject: &str) -> Vec<CaughtMail> {
        let is = |mail: &CaughtMail| {
            mail.header("to").as_deref() == Some(to)
                && mail
                    .header("subject")
                    .is_some_and(|said| said.starts_with(subject))
        };
        self.catcher.caught().into_iter().filter(is).collect()
    }

    /// What stands behind `#` in the link of a mail.
    pub(crate) fn token(&self, mail: &CaughtMail, page: &str) -> String {
        let start = format!("{}/{page}#", self.platform.fleet.url());
        let line = mail.text().lines().find_map(|line| line.strip_prefix(&start));
        let token = line.unwrap_or_else(|| panic!("no link to {page} in {}", mail.text()));
        assert!(
            mail.html().contains(&format!("{start}{token}\"")),
            "{}",
            mail.html()
        );
        token.to_owned()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value, ClientError> {
        let api = self.platform.api();
        api.call("POST".parse().unwrap(), path, None, Some(&body)).await
    }

    async fn confirm(&self, token: &str) -> Result<Value, ClientError> {
        self.post("/v1/accounts/me/email/confirm", json!({ "token": token }))
            .await
    }

    /// Somebody who has confirmed their address.
    pub(crate) async fn confirmed(&self, handle: &str) -> Person {
        let person = self
            .platform
            .api()
            .register(handle, handle, PASSWORD)
            .await
            .unwrap();
        let mails = self.came(&format!("{handle}@example.org"), "Confirm", 1).await;
        self.confirm(&self.token(&mails[0], "confirm-email"))
            .await
            .unwrap();
        shows(&person, "email_confirmed", json!(true)).await;
        person
    }
}

async fn shows(person: &Person, field: &str, value: Value) {
    eventually(&format!("{field} is {value}"), async || {
        let me = person.get("/v1/accounts/me").await.ok()?;
        (me[field] == value).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_confirmed_by_the_link_that_went_there_and_another_tells_the_first() {
    let mailing = Mailing::start(&[]).await;
    let api = mailing.platform.api();
    let ada = api.register("ada", "Ada", PASSWORD).await.unwrap();
    shows(&ada, "email_confirmed", json!(false)).await;
    let first = mailing.came("ada@example.org", "Confirm", 1).await;
    let token = mailing.token(&first[0], "confirm-email");
    assert_eq!(
        code(mailing.confirm("AAAA").await),
        (410, "account.link_over".into())
    );

    ada.post("/v1/accounts/me/email/link", &json!({})).await.unwrap();
    let again = mailing.came("ada@example.org", "Confirm", 2).await;
    // Either is good, and clicking twice is as good as once.
    mailing.confirm(&token).await.unwrap();
    mailing
        .confirm(&mailing.token(&again[1], "confirm-email"))
        .await
        .unwrap();
    shows(&ada, "email_confirmed", json!(true)).await;
    let refused = code(ada.post("/v1/accounts/me/email/link", &json!({})).await);
    assert_eq!(refused, (409, "account.email_confirmed".into()));

    let path = "/v1/accounts/me/email";
    let wrong = put(
        &ada,
        path,
        json!({ "email": "ada@example.com", "current": "a guess at it" }),
    )
    .await;
    assert_eq!(code(wrong), (422, "account.password_wrong".into()));
    api.register("ben", "Ben", PASSWORD).await.unwrap();
    let of_another = put(
        &ada,
        path,
        json!({ "email": "ben@example.org", "current": PASSWORD }),
    )
    .await;
    assert_eq!(code(of_another), (409, "account.email_taken".into()));
    put(
        &ada,
        path,
        json!({ "email": "ada@example.com", "current": PASSWORD }),
    )
    .await
    .unwrap();
    let moved = mailing.came("ada@example.com", "Confirm", 1).await;
    shows(&ada, "email", json!("ada@example.org")).await;
    assert!(api.sign_in("ada@example.com", PASSWORD).await.is_err());
    mailing
        .confirm(&mailing.token(&moved[0], "confirm-email"))
        .await
        .unwrap();
    shows(&ada, "email", json!("ada@example.com")).await;
    mailing
        .came("ada@example.org", "Your e-mail address was changed", 1)
        .await;
    api.sign_in("ada@example.com", PASSWORD).await.unwrap();
    assert!(api.sign_in("ada@example.org", PASSWORD).await.is_err());
    // The one before is free, and its links are over.
    assert_eq!(
        code(mailing.confirm(&token).await),
        (410, "account.link_over".into())
    );
    let body = json!({ "handle": "eve", "email": "ada@example.org", "password": PASSWORD });
    mailing.post("/v1/accounts", body).await.unwrap();
    let none = "Confirm that you get mail here";
    for mail in mailing.catcher.caught() {
        assert_eq!(
            mail.text().matches(none).count(),
            usize::from(mail.text().contains('#'))
        );
    }
    for role in &mailing.platform.fleet.roles {
        let log = std::fs::read_to_string(role.log()).unwrap();
        assert!(
            !log.contains("ada@example"),
            "an address in the log of {}",
            role.name()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_sign_in_sets_another_password_by_mail_and_strangers_learn_nothing() {
    let mut mailing = Mailing::start(&[]).await;
    let api = mailing.platform.api();
    let ada = mailing.confirmed("ada").await;
    api.register("ben", "Ben", PASSWORD).await.unwrap();
    let mut answers = Vec::new();
    for login in [
        "ada",
        "ada@example.org",
        "ben",
        "nobody",
        "nobody@example.org",
        "",
    ] {
        answers.push(
            mailing
                .post("/v1/passwords/link", json!({ "login": login }))
                .await
                .unwrap(),
        );
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    let mails = mailing.came("ada@example.org", "Set another password", 2).await;
    let tokens: Vec<String> = mails
        .iter()
        .map(|mail| mailing.token(mail, "set-password"))
        .collect();

    let reset = async |mailing: &Mailing, token: &str, new: &str| {
        code(
            mailing
                .post("/v1/passwords", json!({ "token": token, "new": new }))
                .await,
        )
    };
    let short = reset(&mailing, &tokens[0], "short").await;
    assert_eq!(short, (422, "account.password_too_short".into()));
    let body = json!({ "token": tokens[0], "new": OTHER });
    mailing.post("/v1/passwords", body).await.unwrap();
    // Each link sets one password, and every other link is over with it.
    for token in &tokens {
        let over = reset(&mailing, token, "and one more of these").await;
        assert_eq!(over, (410, "account.link_over".into()));
    }
    assert!(api.sign_in("ada", PASSWORD).await.is_err());
    api.sign_in("ada", OTHER).await.unwrap();
    eventually("the session before is over", async || {
        ada.get("/v1/sessions").await.err()
    })
    .await;
    mailing
        .came("ada@example.org", "Your password was changed", 1)
        .await;

    // A notifier that dies says nothing again.
    let before = mailing.catcher.caught().len();
    let notifier = mailing.platform.fleet.role_mut("notifier").unwrap();
    notifier.kill9().await;
    notifier.restart().await.unwrap();
    tokio::time::sleep(QUIET).await;
    assert_eq!(mailing.catcher.caught().len(), before);
    assert!(
        mailing.now("ben@example.org", "Set").is_empty(),
        "never confirmed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mail_server_nothing_is_offered() {
    let platform = Platform::start().await;
    let ada = platform.api().register("ada", "Ada", PASSWORD).await.unwrap();
    let refused = code(ada.post("/v1/accounts/me/email/link", &json!({})).await);
    assert_eq!(refused, (404, "account.mail_off".into()));
    let body = json!({ "login": "ada" });
    let post = "POST".parse().unwrap();
    let refused = platform
        .api()
        .call(post, "/v1/passwords/link", None, Some(&body))
        .await;
    assert_eq!(code(refused), (404, "account.mail_off".into()));
}

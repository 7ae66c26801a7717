//! Mail goes out by SMTP as the settings say, and what a server answers decides whether it is tried again.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::sync::Once;

use veza_notifier::mail::{Mail, MailError, Mailer, Words};
use veza_platform::config::{Config, Secret, ServiceUrl};
use veza_testkit::veza_servers::{MailCatcher, MailCatcherOptions, MailTls};
use veza_testkit::{TestCertificates, TestFolder};

/// A catcher, and what its files lie in.
struct Site {
    folder: TestFolder,
    catcher: MailCatcher,
}

impl Site {
    async fn new(login: bool, tls: Option<MailTls>) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        });
        let folder = TestFolder::new();
        let options = MailCatcherOptions {
            dir: folder.path().join("mail"),
            port: None,
            login: login.then(|| ("veza".to_owned(), "hush, hush".to_owned())),
            tls,
        };
        let catcher = MailCatcher::start(options).await.unwrap();
        Self { folder, catcher }
    }

    fn mailer(&self, scheme: &str, user: &str, change: impl FnOnce(&mut Config)) -> Mailer {
        let mut config = Config::default();
        let url = format!("{scheme}://{user}127.0.0.1:{}", self.catcher.port());
        config.mail.smtp_url = ServiceUrl::new(url);
        "Veza <noreply@example.org>".clone_into(&mut config.mail.from);
        config.mail.timeout_ms = 5_000;
        change(&mut config);
        Mailer::new(&config).unwrap().unwrap()
    }
}

fn mail(to: &str) -> Mail {
    Mail {
        to: to.to_owned(),
        words: Words::new("New messages").paragraph("Déjà vu = twice").link(
            "Open Veza",
            &format!("https://chat.example.org/{}", "a".repeat(200)),
        ),
        unsubscribe: Some(format!("https://chat.example.org/stop?t={}", "b".repeat(200))),
    }
}

#[tokio::test]
async fn without_a_server_there_is_no_mailer() {
    assert!(Mailer::new(&Config::default()).unwrap().is_none());
}

#[tokio::test]
async fn a_mail_arrives_whole_and_connections_are_kept() {
    let site = Site::new(false, None).await;
    let mailer = site.mailer("smtp", "", |_| {});
    for _ in 0..12 {
        mailer.send(&mail("ada@example.org")).await.unwrap();
    }
    let connections = site.catcher.connections();
    assert!(connections <= 4, "{connections} connections, of 4 at most");
    let caught = site.catcher.caught();
    assert_eq!(caught.len(), 12);
    let first = &caught[0];
    let head = |name| first.header(name).unwrap();
    assert!(first.file.starts_with(site.folder.path()));
    assert!(head("from").contains("noreply@example.org"));
    assert_eq!(head("to"), "ada@example.org");
    assert_eq!(head("subject"), "New messages");
    assert_eq!(head("auto-submitted"), "auto-generated");
    let stop = format!("<https://chat.example.org/stop?t={}>", "b".repeat(200));
    assert_eq!(head("list-unsubscribe"), stop);
    assert_eq!(head("list-unsubscribe-post"), "List-Unsubscribe=One-Click");
    assert!(head("message-id").ends_with("@example.org>"));
    assert_ne!(caught[0].header("message-id"), caught[1].header("message-id"));
    let link = format!("Open Veza:\nhttps://chat.example.org/{}\n", "a".repeat(200));
    assert!(first.text().contains(&link), "{}", first.text());
    assert!(first.text().contains("Déjà vu = twice"));
    assert!(first.html().contains("<p>Déjà vu = twice</p>"));
    mailer.close().await;
}

#[tokio::test]
async fn tls_is_as_the_address_says_and_never_less() {
    let certificates = TestCertificates::new();
    let tls = |first| MailTls {
        certificate: certificates.certificate(),
        key: certificates.key(),
        first,
    };
    let trusting = |config: &mut Config| {
        config.mail.ca_file = Some(certificates.ca());
        config.mail.password = Secret::new("hush, hush");
    };
    let wrapped = Site::new(true, Some(tls(true))).await;
    let started = Site::new(true, Some(tls(false))).await;
    let clear = Site::new(false, None).await;
    let to = mail("ada@example.org");
    let sent = async |site: &Site, scheme: &str| {
        let outcome = site.mailer(scheme, "veza@", trusting).send(&to).await;
        (outcome, site.catcher.caught().len())
    };
    assert_eq!(sent(&wrapped, "smtps").await, (Ok(()), 1));
    assert_eq!(sent(&started, "smtp+starttls").await, (Ok(()), 1));
    // A server that offers no TLS gets nothing, however it came to be asked.
    let (outcome, caught) = sent(&clear, "smtp+starttls").await;
    assert!(outcome.is_err() && caught == 0, "{outcome:?}");
    let (outcome, caught) = sent(&clear, "smtps").await;
    assert!(outcome.is_err() && caught == 0, "{outcome:?}");
    // Nor does one whose certificate nobody of ours has signed.
    let strange = wrapped.mailer("smtps", "veza@", |config| {
        config.mail.password = Secret::new("hush, hush");
    });
    assert!(matches!(strange.send(&to).await, Err(MailError::Later(None))));
    let wrong = wrapped.mailer("smtps", "veza@", |config| {
        trusting(config);
        config.mail.password = Secret::new("guess");
    });
    assert_eq!(wrong.send(&to).await, Err(MailError::Refused(Some(535))));
    assert_eq!(wrapped.catcher.caught().len(), 1);
}

#[tokio::test]
async fn what_the_server_answers_decides_whether_it_is_tried_again() {
    let site = Site::new(false, None).await;
    let mailer = site.mailer("smtp", "", |_| {});
    let to = mail("ada@example.org");
    site.catcher.refuse(Some("451 4.3.0 later, ada@example.org"));
    let later = mailer.send(&to).await.unwrap_err();
    assert_eq!(later, MailError::Later(Some(451)));
    assert!(!later.to_string().contains("ada"), "no address in what is logged");
    site.catcher.refuse(Some("550 5.1.1 nobody of that name"));
    assert_eq!(mailer.send(&to).await, Err(MailError::Refused(Some(550))));
    site.catcher.refuse(None);
    mailer.send(&to).await.unwrap();
    assert_eq!(mailer.send(&mail("nobody")).await, Err(MailError::Address));
    let injected = mail("ada@example.org\r\nBcc: eve@example.org");
    assert_eq!(mailer.send(&injected).await, Err(MailError::Address));
    assert_eq!(site.catcher.caught().len(), 1);
    let port = site.catcher.port();
    drop(site);
    let gone = mailer.send(&to).await;
    assert!(matches!(gone, Err(MailError::Later(None))), "{port}: {gone:?}");
}

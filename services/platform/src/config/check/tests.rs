use super::*;
use crate::config::{Secret, ServiceUrl};

/// The settings that `change` makes of a sound production installation, judged.
fn found(change: impl FnOnce(&mut Config)) -> Vec<(Severity, &'static str)> {
    let mut config = Config::default();
    config.keys.kek_file = Some("kek".into());
    change(&mut config);
    config
        .check()
        .into_iter()
        .map(|finding| (finding.severity, finding.key))
        .collect()
}

#[test]
fn defaults_with_a_key_are_sound() {
    assert_eq!(found(|_| {}), []);
}

#[test]
fn development_needs_nothing() {
    let config = Config {
        profile: Profile::Development,
        ..Config::default()
    };
    assert_eq!(config.check(), []);
}

#[test]
fn production_refuses_placeholders_and_plain_http() {
    use Severity::Error;
    assert_eq!(found(|c| c.keys.kek_file = None), [(Error, "keys.kek_file")]);
    assert_eq!(
        found(|c| c.postgres.url = ServiceUrl::new("postgres://veza:veza@db/veza")),
        [(Error, "postgres.url")]
    );
    assert_eq!(
        found(|c| (c.nats.user, c.nats.password) = ("veza".into(), Secret::new("ChangeMe"))),
        [(Error, "nats.password")]
    );
    assert_eq!(
        found(|c| c.gateway.public_url = "http://chat.example.org".into()),
        [(Error, "gateway.public_url")]
    );
    assert_eq!(found(|c| c.gateway.public_url = "http://[::1]:8080".into()), []);
    let open = found(|c| c.gateway.listen = "0.0.0.0:80".into());
    assert_eq!(open, [(Severity::Warning, "gateway.listen")]);
    assert_eq!(
        found(|c| c.accounts.argon2_memory_kib = 64),
        [(Error, "accounts.argon2_memory_kib")]
    );
}

#[test]
fn shown_secrets_are_not_taken_back() {
    let config: Config = toml::from_str(&Config::default().render()).unwrap();
    assert_eq!(config, Config::default());
    let shown = ServiceUrl::new("postgres://veza:hunter2@db/veza").to_string();
    let found = found(|c| c.postgres.url = ServiceUrl::new(shown));
    assert_eq!(found, [(Severity::Error, "postgres.url")]);
}

#[test]
fn origins_and_networks_are_exact() {
    for origin in [
        "*",
        "https://*.example.org",
        "https://a.example/",
        "https://a.example/x",
        "a.example",
        "",
    ] {
        assert!(!is_origin(origin), "{origin}");
    }
    assert!(is_origin("https://a.example") && is_origin("http://127.0.0.1:8080"));
    for network in ["10.0.0.0/33", "10.0.0/8", "example.org", "::/129", ""] {
        assert!(!is_network(network), "{network}");
    }
    assert!(is_network("10.0.0.0/8") && is_network("fd00::/8") && is_network("192.0.2.1"));
    let everyone = found(|c| c.gateway.trusted_proxies = vec!["0.0.0.0/0".into()]);
    assert_eq!(everyone, [(Severity::Error, "gateway.trusted_proxies")]);
}

#[test]
fn a_frame_must_hold_the_longest_message() {
    let found = found(|c| c.realtime.max_frame_bytes = c.chat.max_message_bytes);
    assert_eq!(found, [(Severity::Error, "realtime.max_frame_bytes")]);
}

#[test]
fn everything_inside_is_not_opened_at_once() {
    use Severity::Error;
    let open = |network: &str| found(|c| c.outgoing.allow = vec![network.to_owned()]);
    assert_eq!(open("10.20.0.0/16"), []);
    assert_eq!(open("::/0"), [(Error, "outgoing.allow")]);
    assert_eq!(open("intranet"), [(Error, "outgoing.allow")]);
    assert_eq!(
        found(|c| c.outgoing.ports = vec!["https".to_owned()]),
        [(Error, "outgoing.ports")]
    );
}

#[test]
fn an_authority_that_is_never_asked_is_doubtful() {
    let unused = found(|c| c.redis.ca_file = Some("ca.pem".into()));
    assert_eq!(unused, [(Severity::Warning, "redis.ca_file")]);
    let unused = found(|c| c.telemetry.otlp_ca_file = Some("ca.pem".into()));
    assert_eq!(unused, [(Severity::Warning, "telemetry.otlp_ca_file")]);
    let used = found(|c| {
        c.redis.ca_file = Some("ca.pem".into());
        c.redis.url = ServiceUrl::new("rediss://cache:6380");
        c.telemetry.otlp_ca_file = Some("ca.pem".into());
        c.telemetry.otlp_endpoint = Some("https://otel:4317".into());
    });
    assert_eq!(used, []);
}

#[test]
fn mail_needs_a_sender_and_no_password_in_clear() {
    use Severity::{Error, Warning};
    let with = |url: &str, from: &str| {
        let (url, from) = (ServiceUrl::new(url), from.to_owned());
        found(move |c| (c.mail.smtp_url, c.mail.from) = (url, from))
    };
    let from = "Veza <noreply@example.org>";
    assert_eq!(with("smtps://me@mail.example.org:465", from), []);
    assert_eq!(
        with("smtp+starttls://mail.example.org", "noreply@example.org"),
        []
    );
    assert_eq!(with("smtp://127.0.0.1:25", from), []);
    assert_eq!(
        with("smtp://mail.example.org:25", from),
        [(Warning, "mail.smtp_url")]
    );
    assert_eq!(
        with("smtp://me:hunter2@mail.example.org:25", from),
        [(Error, "mail.smtp_url")]
    );
    assert_eq!(with("https://mail.example.org", from), [(Error, "mail.smtp_url")]);
    assert_eq!(with("smtps://mail.example.org", "Veza"), [(Error, "mail.from")]);
    let nobody = found(|c| {
        c.mail.smtp_url = ServiceUrl::new("smtps://mail.example.org");
        c.mail.from = from.to_owned();
        c.mail.password = Secret::new("hunter2");
    });
    assert_eq!(nobody, [(Error, "mail.smtp_url")]);
    let never = found(|c| {
        (c.mail.smtp_url, c.mail.from) = (ServiceUrl::new("smtps://mail.example.org"), from.to_owned());
        c.mail.daily_hour = 24;
    });
    assert_eq!(never, [(Error, "mail.daily_hour")]);
}

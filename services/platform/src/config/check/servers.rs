//! The servers behind Veza, and the secrets to them.

use super::{Findings, is_loopback, scheme_is};
use crate::config::{Config, REDACTED};

/// Passwords that stand in examples, and so in the lists of those who try them.
const PLACEHOLDERS: [&str; 10] = [
    "admin",
    "changeme",
    "change-me",
    "example",
    "minioadmin",
    "password",
    "postgres",
    "secret",
    "test",
    "veza",
];
/// Least memory of a password hash in production (OWASP Password Storage Cheat Sheet, argon2id).
const LEAST_HASH_MEMORY_KIB: u32 = 19_456;

impl Findings {
    pub(super) fn servers(&mut self, config: &Config) {
        let servers = config.nats.servers();
        let nats = |url: &String| scheme_is(url, &["nats", "tls", "ws", "wss"]);
        self.error(
            servers.is_empty() || !servers.iter().all(nats),
            "nats.url",
            "must be addresses like nats://host:4222",
        );
        self.warn(
            config.nats.replicas.is_multiple_of(2),
            "nats.replicas",
            "is even: the log survives no more failures than with one copy less",
        );
        let postgres = config.postgres.url.expose();
        self.error(
            !scheme_is(postgres, &["postgres", "postgresql"]),
            "postgres.url",
            "must be an address like postgres://user:password@host:5432/database",
        );
        let redis = config.redis.url.expose();
        let schemes = [
            "redis",
            "rediss",
            "redis-sentinel",
            "rediss-sentinel",
            "redis-cluster",
            "rediss-cluster",
        ];
        self.error(
            !scheme_is(redis, &schemes),
            "redis.url",
            "must be an address like redis://host:6379",
        );
        self.warn(
            config.redis.ca_file.is_some() && !redis.starts_with("rediss"),
            "redis.ca_file",
            "is not used: redis.url does not ask for TLS (rediss://)",
        );
        self.error(
            !config.s3.endpoint.is_empty() && !scheme_is(&config.s3.endpoint, &["http", "https"]),
            "s3.endpoint",
            "must be an address like https://host, or empty for an installation without files",
        );
        let exposed =
            |url: &str| !url.starts_with("tls://") && !url.starts_with("wss://") && !is_loopback(url);
        self.warn(
            self.production && servers.iter().any(|url| exposed(url)),
            "nats.url",
            "leaves this machine without TLS: use tls:// unless the network is private",
        );
    }

    pub(super) fn secrets(&mut self, config: &Config) {
        let given = [
            ("nats.password", Some(config.nats.password.expose())),
            ("nats.url", config.nats.url.password()),
            ("postgres.url", config.postgres.url.password()),
            ("redis.url", config.redis.url.password()),
            ("s3.access_key", Some(config.s3.access_key.expose())),
            ("s3.secret_key", Some(config.s3.secret_key.expose())),
            ("mail.smtp_url", config.mail.smtp_url.password()),
            ("mail.password", Some(config.mail.password.expose())),
        ];
        for (key, secret) in given {
            let Some(secret) = secret else { continue };
            let shown = secret == REDACTED || secret == "***";
            self.error(
                shown,
                key,
                "was copied from shown settings, where the secret is left out",
            );
            let placeholder = PLACEHOLDERS.contains(&secret.to_lowercase().as_str());
            self.error(
                self.production && placeholder,
                key,
                "is a placeholder: make a password of your own",
            );
        }
        self.error(
            self.production && config.keys.kek_file.is_none(),
            "keys.kek_file",
            "must name the file with the key that seals personal data (`veza setup` makes one)",
        );
        self.error(
            !config.nats.password.is_empty() && config.nats.user.is_empty(),
            "nats.user",
            "is missing beside nats.password",
        );
        let hashes = &config.accounts;
        self.error(
            self.production && hashes.argon2_memory_kib < LEAST_HASH_MEMORY_KIB,
            "accounts.argon2_memory_kib",
            "is too little to keep stolen hashes safe: at least 19456",
        );
    }
}

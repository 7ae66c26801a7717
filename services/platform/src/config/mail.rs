//! Settings of mail: where it goes out, how long its links are good, how often somebody gets some.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Secret, ServiceUrl};

/// Mail. Without a server nothing is mailed, and what needs mail is not offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MailConfig {
    /// The server that takes mail: `smtps://user@host:465` (TLS from the first byte), `smtp+starttls://user@host:587` (TLS
    /// once it answers, never without) or `smtp://host:25` (in clear). Empty means that nothing is mailed.
    pub smtp_url: ServiceUrl,
    /// Password of the user in `smtp_url`.
    pub password: Secret,
    /// Certificates (PEM) of authorities of one's own, believed beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// Whom mail comes from, `Veza <noreply@example.org>`.
    pub from: String,
    /// Longest wait for one answer of the server, in milliseconds.
    #[schemars(range(min = 1))]
    pub timeout_ms: u64,
    /// Most connections to the server; each carries one mail at a time.
    #[schemars(range(min = 1))]
    pub max_connections: u32,
    /// Mails that wait to be sent in one process; when there are more, the log waits.
    #[schemars(range(min = 1))]
    pub queue: usize,
    /// Times that a mail is tried while the server is away or asks for patience.
    #[schemars(range(min = 1))]
    pub max_tries: u32,
    /// Pause before the second try, in milliseconds; it doubles up to `max_retry_delay_ms`.
    pub retry_delay_ms: u64,
    /// Longest such pause, in milliseconds.
    pub max_retry_delay_ms: u64,
    /// How long a link that confirms an address is good, in seconds.
    #[schemars(range(min = 60))]
    pub confirm_ttl_s: u64,
    /// How long a link that sets another password is good, in seconds.
    #[schemars(range(min = 60))]
    pub reset_ttl_s: u64,
    /// Least time between two links that one account asks for, in seconds.
    pub link_pause_s: u64,
    /// How long somebody has missed what is meant for them before they are told by mail, in seconds.
    pub digest_delay_s: u64,
    /// Least time between two such mails to one account, in seconds.
    pub digest_pause_s: u64,
    /// The hour at which those get theirs who want one a day, by their own clock.
    #[schemars(range(max = 23))]
    pub daily_hour: u16,
    /// Whether the beginnings of texts are mailed, or only who wrote where.
    pub include_text: bool,
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            smtp_url: ServiceUrl::default(),
            password: Secret::default(),
            ca_file: None,
            from: String::new(),
            timeout_ms: 20_000,
            max_connections: 4,
            queue: 1_000,
            max_tries: 6,
            retry_delay_ms: 2_000,
            max_retry_delay_ms: 300_000,
            confirm_ttl_s: 86_400,
            reset_ttl_s: 3_600,
            link_pause_s: 60,
            digest_delay_s: 900,
            digest_pause_s: 3_600,
            daily_hour: 8,
            include_text: true,
        }
    }
}

impl MailConfig {
    /// Whether there is a server.
    pub fn is_on(&self) -> bool {
        !self.smtp_url.is_empty()
    }
}

//! Settings of telling people who are not here: push.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Telling people of messages while they are away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NotifierConfig {
    /// How long after a message somebody is told of it, in milliseconds: who reads it meanwhile is left alone.
    pub grace_ms: u64,
    /// Messages older than this are not told of any more, in seconds: nobody wants last week's after an outage.
    pub max_age_s: u64,
    /// Most people who are told of one message by push.
    pub max_receivers: usize,
    /// Pushes that wait to be sent; when there are more, the log waits.
    #[schemars(range(min = 1))]
    pub queue: usize,
    /// Pushes sent at once; `outgoing.max_in_flight` counts as well.
    #[schemars(range(min = 1))]
    pub max_deliveries: usize,
    /// Times that a push is tried while its service is away.
    #[schemars(range(min = 1))]
    pub max_tries: u32,
    /// Pause before the second try, in milliseconds; it doubles, or is what the service asks for, up to `max_retry_delay_ms`.
    pub retry_delay_ms: u64,
    /// Longest such pause, in milliseconds.
    pub max_retry_delay_ms: u64,
}

impl Default for NotifierConfig {
    fn default() -> Self {
        Self {
            grace_ms: 10_000,
            max_age_s: 3_600,
            max_receivers: 1_000,
            queue: 1_000,
            max_deliveries: 32,
            max_tries: 3,
            retry_delay_ms: 1_000,
            max_retry_delay_ms: 30_000,
        }
    }
}

/// Web Push: browsers and phones are told through their makers' services, in words that only they can read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PushConfig {
    /// Whom push services turn to, `mailto:…` or `https://…`; empty means `gateway.public_url`.
    pub contact: String,
    /// Whether the beginning of a message's text is told, or only that there is one.
    pub include_text: bool,
    /// How long a push service keeps what a device that is off has not taken, in seconds.
    pub ttl_s: u64,
    /// Most devices of one account.
    #[schemars(range(min = 1))]
    pub max_devices_per_account: usize,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            contact: String::new(),
            include_text: true,
            ttl_s: 86_400,
            max_devices_per_account: 10,
        }
    }
}

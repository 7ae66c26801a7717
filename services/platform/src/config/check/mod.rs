//! What single values cannot show: settings that contradict each other or the profile.

mod mail;
mod servers;

use std::net::IpAddr;

use http::Uri;
use tracing_subscriber::EnvFilter;

use super::{Config, Profile};
use crate::tokens::LONGEST_TOKEN_LIFE;

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, but probably not as meant.
    Warning,
    /// Must be changed before a role starts.
    Error,
}

/// One thing that [`Config::check`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The setting, such as `gateway.public_url`.
    pub key: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: `{}` {}", self.key, self.message)
    }
}

/// Age at which entries leave the bucket of sessions, seconds (`nats/streams.json`).
const LONGEST_SESSION_S: u64 = 2_592_000;
/// What a message costs in a frame besides its text: ids, kind, escapes.
const FRAME_OVERHEAD_BYTES: usize = 2_048;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Findings {
        list: Vec::new(),
        production: config.profile == Profile::Production,
    };
    findings.servers(config);
    findings.secrets(config);
    findings.door(config);
    findings.sizes(config);
    findings.times(config);
    findings.outgoing(config);
    findings.push(config);
    findings.mail(config);
    findings.media(config);
    findings.telemetry(config);
    findings.list
}

struct Findings {
    list: Vec<Finding>,
    production: bool,
}

impl Findings {
    fn error(&mut self, wrong: bool, key: &'static str, message: &str) {
        self.add(wrong, Severity::Error, key, message);
    }

    fn warn(&mut self, doubtful: bool, key: &'static str, message: &str) {
        self.add(doubtful, Severity::Warning, key, message);
    }

    fn add(&mut self, found: bool, severity: Severity, key: &'static str, message: &str) {
        if found {
            self.list.push(Finding {
                severity,
                key,
                message: message.to_owned(),
            });
        }
    }

    fn door(&mut self, config: &Config) {
        let gateway = &config.gateway;
        self.error(
            !is_listen(&gateway.listen),
            "gateway.listen",
            "must be an address and port like 0.0.0.0:8080",
        );
        self.error(
            !is_origin(&gateway.public_url),
            "gateway.public_url",
            "must be an address like https://chat.example.org, without a path",
        );
        self.error(
            self.production && gateway.public_url.starts_with("http://") && !is_loopback(&gateway.public_url),
            "gateway.public_url",
            "must be https:// where others than this machine come",
        );
        self.error(
            !gateway.allowed_origins.iter().all(|origin| is_origin(origin)),
            "gateway.allowed_origins",
            "must be origins like https://chat.example.org, without a path or `*`",
        );
        self.error(
            !gateway.trusted_proxies.iter().all(|network| is_network(network)),
            "gateway.trusted_proxies",
            "must be addresses or networks like 10.0.0.0/8",
        );
        self.error(
            gateway
                .trusted_proxies
                .iter()
                .any(|network| network.ends_with("/0")),
            "gateway.trusted_proxies",
            "trusts everyone, so that anyone can choose the address they seem to come from",
        );
        let local = is_loopback(&format!("http://{}", gateway.listen));
        self.warn(
            self.production && !local && gateway.tls_cert_file.is_none() && gateway.trusted_proxies.is_empty(),
            "gateway.listen",
            "is open to others without TLS: name a certificate, or the proxy that has one in gateway.trusted_proxies",
        );
        self.error(
            gateway.tls_cert_file.is_some() != gateway.tls_key_file.is_some(),
            "gateway.tls_cert_file",
            "and gateway.tls_key_file come together or not at all",
        );
    }

    fn media(&mut self, config: &Config) {
        let media = &config.media;
        self.error(
            !is_listen(&media.listen),
            "media.listen",
            "must be an address and port like 0.0.0.0:7882",
        );
        let is_address = |address: &String| address.parse::<IpAddr>().is_ok_and(|ip| !ip.is_unspecified());
        self.error(
            !media.public_addresses.iter().all(is_address),
            "media.public_addresses",
            "must be addresses like 203.0.113.7, without a port",
        );
    }

    fn sizes(&mut self, config: &Config) {
        let (realtime, chat) = (&config.realtime, &config.chat);
        let largest = chat.max_message_bytes + FRAME_OVERHEAD_BYTES;
        self.error(
            realtime.max_frame_bytes < largest,
            "realtime.max_frame_bytes",
            "is too small for the longest message (chat.max_message_bytes and 2 KiB around it)",
        );
        self.error(
            config.gateway.max_body_bytes < largest,
            "gateway.max_body_bytes",
            "is too small for the longest message (chat.max_message_bytes and 2 KiB around it)",
        );
        self.error(
            realtime.lag_queue_bytes > realtime.max_queue_bytes,
            "realtime.lag_queue_bytes",
            "must not be above realtime.max_queue_bytes",
        );
        self.warn(
            chat.max_message_bytes < chat.max_message_chars,
            "chat.max_message_bytes",
            "is below chat.max_message_chars, which can then never be reached",
        );
    }

    fn times(&mut self, config: &Config) {
        let accounts = &config.accounts;
        self.error(
            accounts.access_token_ttl_s >= accounts.refresh_token_ttl_s,
            "accounts.access_token_ttl_s",
            "must be shorter than accounts.refresh_token_ttl_s",
        );
        self.error(
            accounts.access_token_ttl_s > LONGEST_TOKEN_LIFE.as_secs(),
            "accounts.access_token_ttl_s",
            "must be at most 840: ended sessions are remembered for 900",
        );
        self.error(
            accounts.refresh_token_ttl_s > LONGEST_SESSION_S,
            "accounts.refresh_token_ttl_s",
            "must be at most 2592000: sessions are kept for 30 days",
        );
        self.error(
            accounts.key_rotation_s < 2 * accounts.access_token_ttl_s || accounts.key_rotation_s < 60,
            "accounts.key_rotation_s",
            "must be at least 60, and twice accounts.access_token_ttl_s: keys would pile up",
        );
        self.warn(
            config.lifecycle.drain_timeout_ms < config.gateway.command_timeout_ms,
            "lifecycle.drain_timeout_ms",
            "is shorter than gateway.command_timeout_ms: a stop can cut off an answer",
        );
        let files = &config.files;
        self.error(
            files.orphan_age_s.saturating_mul(1_000) < files.upload_timeout_ms.saturating_mul(2),
            "files.orphan_age_s",
            "must be at least twice files.upload_timeout_ms: a file that just came would be taken for a lost one",
        );
        self.error(
            config.projector.retry_delay_ms > config.projector.max_retry_delay_ms,
            "projector.retry_delay_ms",
            "must not be above projector.max_retry_delay_ms",
        );
    }

    fn outgoing(&mut self, config: &Config) {
        let outgoing = &config.outgoing;
        self.error(
            !outgoing.allow.iter().all(|network| is_network(network)),
            "outgoing.allow",
            "must be addresses or networks like 10.20.0.0/16",
        );
        self.error(
            outgoing.allow.iter().any(|network| network.ends_with("/0")),
            "outgoing.allow",
            "lets anyone reach everything that this machine can: name the networks that are meant",
        );
        self.error(
            !outgoing.ports.iter().all(|port| port.parse::<u16>().is_ok()),
            "outgoing.ports",
            "must be ports like 443",
        );
    }

    fn push(&mut self, config: &Config) {
        let contact = &config.push.contact;
        let reachable =
            contact.is_empty() || contact.starts_with("mailto:") || scheme_is(contact, &["https"]);
        self.error(
            !reachable,
            "push.contact",
            "must be an address like mailto:admin@example.org or https://example.org",
        );
    }

    fn telemetry(&mut self, config: &Config) {
        let telemetry = &config.telemetry;
        self.error(
            EnvFilter::try_new(&telemetry.log_filter).is_err(),
            "telemetry.log_filter",
            "must be a level, or levels per module like info,veza_chat=debug",
        );
        self.error(
            telemetry
                .otlp_endpoint
                .as_ref()
                .is_some_and(|url| !scheme_is(url, &["http", "https"])),
            "telemetry.otlp_endpoint",
            "must be an address like http://collector:4317, or https:// for TLS",
        );
        let plain = telemetry
            .otlp_endpoint
            .as_ref()
            .is_none_or(|url| url.starts_with("http://"));
        self.warn(
            telemetry.otlp_ca_file.is_some() && plain,
            "telemetry.otlp_ca_file",
            "is not used: telemetry.otlp_endpoint does not ask for TLS (https://)",
        );
        self.error(
            !is_listen(&telemetry.ops_listen),
            "telemetry.ops_listen",
            "must be an address and port like 127.0.0.1:9464",
        );
    }
}

fn scheme_is(url: &str, schemes: &[&str]) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    schemes.contains(&scheme) && !rest.is_empty()
}

fn is_loopback(url: &str) -> bool {
    let host = url
        .parse::<Uri>()
        .ok()
        .and_then(|uri| uri.host().map(str::to_owned))
        .unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let bare = uri.path_and_query().is_none_or(|path| path == "/") && !text.ends_with('/');
    bare && uri.host().is_some_and(|host| !host.contains('*')) && scheme_is(text, &["http", "https"])
}

fn is_listen(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_network(text: &str) -> bool {
    let (address, bits) = text
        .split_once('/')
        .map_or((text, None), |(address, bits)| (address, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

#[cfg(test)]
mod tests;

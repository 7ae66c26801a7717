//! Settings of the public door: HTTP, WebSocket and how much anyone may ask of them.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The HTTP server that the world talks to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Address and port to listen on.
    pub listen: String,
    /// The address people use, as it stands in links and as the issuer of tokens.
    pub public_url: String,
    /// Origins a browser may call from, `https://chat.example.org` each; the origin of `public_url` always may.
    pub allowed_origins: Vec<String>,
    /// Addresses or networks (CIDR) of proxies whose `X-Forwarded-For` is believed; nobody else's is.
    pub trusted_proxies: Vec<String>,
    /// Certificate chain (PEM); together with `tls_key_file` the gateway speaks TLS itself.
    pub tls_cert_file: Option<PathBuf>,
    /// Private key (PEM) of the certificate.
    pub tls_key_file: Option<PathBuf>,
    /// Longest wait for the whole head of a request, in milliseconds.
    pub header_timeout_ms: u64,
    /// Longest wait for the whole body of a request, in milliseconds.
    pub body_timeout_ms: u64,
    /// Longest pause between two requests on one connection, in milliseconds.
    pub idle_timeout_ms: u64,
    /// Longest time any request may take until its answer begins, in milliseconds.
    pub request_timeout_ms: u64,
    /// Largest body of a request, in bytes.
    pub max_body_bytes: usize,
    /// Most open connections in all; further ones wait in the system's queue.
    #[schemars(range(min = 1))]
    pub max_connections: usize,
    /// Most open connections from one address (IPv6: one /64).
    #[schemars(range(min = 1))]
    pub max_connections_per_address: usize,
    /// Longest wait of a read for the sequence it asks for (`Veza-Min-Seq`), in milliseconds.
    pub min_seq_wait_ms: u64,
    /// Longest wait for a worker's answer to a command, in milliseconds.
    pub command_timeout_ms: u64,
    /// Most commands under way at once; beyond it callers are told to come back.
    #[schemars(range(min = 1))]
    pub max_commands_in_flight: usize,
    /// How long an `Idempotency-Key` is remembered, in seconds.
    pub idempotency_ttl_s: u64,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".into(),
            public_url: "http://127.0.0.1:8080".into(),
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            tls_cert_file: None,
            tls_key_file: None,
            header_timeout_ms: 10_000,
            body_timeout_ms: 30_000,
            idle_timeout_ms: 60_000,
            request_timeout_ms: 30_000,
            max_body_bytes: 262_144,
            max_connections: 20_000,
            max_connections_per_address: 256,
            min_seq_wait_ms: 2_000,
            command_timeout_ms: 5_000,
            max_commands_in_flight: 4_096,
            idempotency_ttl_s: 86_400,
        }
    }
}

/// The WebSocket through which clients send and follow rooms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RealtimeConfig {
    /// Interval of the heartbeat, in milliseconds; a socket silent for two of them is closed.
    pub heartbeat_ms: u64,
    /// Longest wait for the first frame with the ticket, in milliseconds.
    pub hello_timeout_ms: u64,
    /// Life of a ticket, in milliseconds; it is good for one socket.
    pub ticket_ttl_ms: u64,
    /// Largest frame a client may send, in bytes.
    pub max_frame_bytes: usize,
    /// Frames a client may send per minute in the long run.
    #[schemars(range(min = 1))]
    pub frames_per_minute: u32,
    /// Frames a client may send at once.
    #[schemars(range(min = 1))]
    pub frame_burst: u32,
    /// Most rooms one socket may watch.
    pub max_watched_rooms: usize,
    /// Bytes waiting for one socket above which typing is dropped and its rooms collapse to their heads.
    pub lag_queue_bytes: usize,
    /// Bytes waiting for one socket above which it is closed.
    pub max_queue_bytes: usize,
    /// Longest time a socket may take nothing of what waits for it, in milliseconds.
    pub slow_reader_timeout_ms: u64,
    /// Last events of a watched room kept in memory, so that a resume needs no database.
    pub ring_events: usize,
    /// Commands of one socket that may wait for their answers.
    #[schemars(range(min = 1))]
    pub command_queue: usize,
    /// Most open sockets of one account.
    #[schemars(range(min = 1))]
    pub max_sockets_per_account: usize,
    /// Most events filled in for one room on resume; beyond it the client is told to load a snapshot.
    pub max_fill_events: usize,
    /// How often an account's read markers are written at most, in milliseconds.
    pub read_marker_interval_ms: u64,
    /// Events above so many bytes are compressed for clients that ask for it; 0 compresses none.
    pub deflate_min_bytes: usize,
    /// How often one socket may say in one room that somebody is typing, in milliseconds; more is left out.
    pub typing_interval_ms: u64,
    /// How long somebody is shown as typing, in milliseconds.
    pub typing_ttl_ms: u64,
    /// How often a socket is told who is online, at most, in milliseconds.
    pub presence_batch_ms: u64,
    /// How long an account without a socket is still shown as it was, in milliseconds.
    pub presence_grace_ms: u64,
    /// Most accounts whose presence one socket may watch.
    pub max_watched_accounts: usize,
    /// Spread of the reconnects a shutdown asks for, in milliseconds.
    pub restart_jitter_ms: u64,
}

impl Default for RealtimeConfig {
    fn default() -> Self {
        Self {
            heartbeat_ms: 25_000,
            hello_timeout_ms: 5_000,
            ticket_ttl_ms: 30_000,
            max_frame_bytes: 65_536,
            frames_per_minute: 120,
            frame_burst: 40,
            max_watched_rooms: 1_000,
            lag_queue_bytes: 262_144,
            max_queue_bytes: 1_048_576,
            slow_reader_timeout_ms: 10_000,
            ring_events: 256,
            command_queue: 32,
            max_sockets_per_account: 32,
            max_fill_events: 2_000,
            read_marker_interval_ms: 2_000,
            deflate_min_bytes: 512,
            typing_interval_ms: 3_000,
            typing_ttl_ms: 6_000,
            presence_batch_ms: 500,
            presence_grace_ms: 12_000,
            max_watched_accounts: 500,
            restart_jitter_ms: 3_000,
        }
    }
}

/// How much one account or address may ask for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests per minute of one account.
    #[schemars(range(min = 1))]
    pub requests_per_minute_per_account: u32,
    /// Requests per minute of one address without a session.
    #[schemars(range(min = 1))]
    pub requests_per_minute_per_address: u32,
    /// Requests that may come at once before the rate counts.
    #[schemars(range(min = 1))]
    pub request_burst: u32,
    /// Sign-in attempts per minute on one account, wherever they come from.
    #[schemars(range(min = 1))]
    pub sign_in_per_minute_per_account: u32,
    /// Sign-in attempts per minute from one address.
    #[schemars(range(min = 1))]
    pub sign_in_per_minute_per_address: u32,
    /// New accounts per hour from one address.
    #[schemars(range(min = 1))]
    pub registrations_per_hour_per_address: u32,
    /// Messages per minute by one webhook.
    #[schemars(range(min = 1))]
    pub webhook_posts_per_minute: u32,
    /// Links per minute that are looked at for one account, beside those that are remembered.
    #[schemars(range(min = 1))]
    pub previews_per_minute_per_account: u32,
    /// Messages that one account may report per hour.
    #[schemars(range(min = 1))]
    pub reports_per_hour_per_account: u32,
    /// Most accounts and addresses whose rates are remembered at once.
    #[schemars(range(min = 1))]
    pub tracked_callers: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            requests_per_minute_per_account: 1_200,
            requests_per_minute_per_address: 300,
            request_burst: 100,
            sign_in_per_minute_per_account: 10,
            sign_in_per_minute_per_address: 30,
            registrations_per_hour_per_address: 20,
            webhook_posts_per_minute: 60,
            previews_per_minute_per_account: 60,
            reports_per_hour_per_account: 30,
            tracked_callers: 100_000,
        }
    }
}

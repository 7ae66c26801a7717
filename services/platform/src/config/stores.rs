//! Settings of the servers behind Veza: NATS, Postgres, Redis, S3, and the keys to what they hold.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Secret, ServiceUrl};

/// The event log and the command bus (NATS with `JetStream`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NatsConfig {
    /// Server address (`nats://` or `tls://`); several, separated by commas, name the nodes of one cluster.
    pub url: ServiceUrl,
    /// User name; empty when the server asks for none.
    pub user: String,
    /// Password of `user`.
    pub password: Secret,
    /// Copies of each stream: 1 on one node, 3 on a cluster of three.
    #[schemars(range(min = 1, max = 5))]
    pub replicas: u32,
    /// Number of space streams. Fixed when the installation is made: a space never moves.
    #[schemars(range(min = 1, max = 256))]
    pub shards: u32,
    /// Longest wait for the first connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for an answer of the log to one request, in milliseconds.
    pub request_timeout_ms: u64,
}

impl NatsConfig {
    /// The addresses in `url`, one each.
    pub fn servers(&self) -> Vec<String> {
        let urls = self.url.expose().split(',').map(str::trim);
        urls.filter(|url| !url.is_empty()).map(str::to_owned).collect()
    }
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            url: ServiceUrl::new("nats://127.0.0.1:4222"),
            user: String::new(),
            password: Secret::default(),
            replicas: 1,
            shards: 1,
            connect_timeout_ms: 5_000,
            request_timeout_ms: 5_000,
        }
    }
}

/// Read models and the keyring (`PostgreSQL`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PostgresConfig {
    /// Address with user, password and database: `postgres://veza:…@host:5432/veza`.
    pub url: ServiceUrl,
    /// Most open connections of one process; roles in one process share them.
    #[schemars(range(min = 1, max = 1_000))]
    pub max_connections: u32,
    /// Longest wait for a free or new connection, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// Longest run of one statement that answers a request, in milliseconds; a rebuild is not bound by it.
    pub statement_timeout_ms: u64,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            url: ServiceUrl::new("postgres://veza@127.0.0.1:5432/veza"),
            max_connections: 16,
            acquire_timeout_ms: 2_000,
            statement_timeout_ms: 5_000,
        }
    }
}

/// Caches of recent timelines, and rate limits (Redis or Valkey). Veza works without it, slower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// Address: `redis://`, `redis-sentinel://` or `redis-cluster://`; with `rediss` in place of `redis` over TLS.
    pub url: ServiceUrl,
    /// Certificates (PEM) of who signed the server's, for `rediss`; without, those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Connections of one process.
    #[schemars(range(min = 1, max = 64))]
    pub connections: u32,
    /// Longest wait for an answer, in milliseconds, before Postgres is asked instead.
    pub command_timeout_ms: u64,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            url: ServiceUrl::new("redis://127.0.0.1:6379"),
            ca_file: None,
            connections: 4,
            command_timeout_ms: 250,
        }
    }
}

/// Files and recordings (any S3-compatible store).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct S3Config {
    /// Address of the store, such as `https://s3.eu-central-1.amazonaws.com`; empty for an installation
    /// without files.
    pub endpoint: String,
    /// Region that requests are signed for.
    pub region: String,
    /// Bucket that holds everything of this installation.
    pub bucket: String,
    /// Access key id.
    pub access_key: Secret,
    /// Secret access key.
    pub secret_key: Secret,
    /// Longest wait for an answer to one request, in milliseconds; a part of a file has 8 MiB at most.
    pub request_timeout_ms: u64,
    /// Most requests of one role under way at once; more wait.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_requests: usize,
    /// Most tries of one request while the store is away.
    #[schemars(range(min = 1, max = 20))]
    pub max_tries: usize,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            endpoint: "http://127.0.0.1:8333".into(),
            region: "us-east-1".into(),
            bucket: "veza".into(),
            access_key: Secret::default(),
            secret_key: Secret::default(),
            request_timeout_ms: 30_000,
            max_requests: 64,
            max_tries: 4,
        }
    }
}

/// Keys that seal personal data and message bodies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeysConfig {
    /// File with the key that wraps all data keys. Whoever has it and Postgres can read everything;
    /// without it nothing sealed can be read again.
    pub kek_file: Option<PathBuf>,
    /// The key before the last change, as long as data keys are still wrapped by it.
    pub previous_kek_file: Option<PathBuf>,
    /// Most data keys held in memory.
    #[schemars(range(min = 1))]
    pub cached_keys: u64,
    /// Age at which a data key in memory is looked up again, in seconds: the bound on how long an erased
    /// person stays readable. While Postgres is away, nobody can be erased and keys in memory go on.
    pub cache_ttl_s: u64,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self {
            kek_file: None,
            previous_kek_file: None,
            cached_keys: 50_000,
            cache_ttl_s: 300,
        }
    }
}

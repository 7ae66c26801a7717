//! How the read models and their caches are reached.

use std::path::PathBuf;
use std::time::Duration;

use veza_events::Shards;

/// Where to read.
#[derive(Clone)]
pub struct ReadOptions {
    /// How the spaces of this installation are cut into streams.
    pub shards: Shards,
    /// The tables.
    pub postgres: PostgresOptions,
    /// The caches; `None` reads from the tables alone.
    pub cache: Option<CacheOptions>,
}

/// How Postgres is reached.
#[derive(Clone)]
pub struct PostgresOptions {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// Most open connections.
    pub max_connections: u32,
    /// Longest wait for a free or new connection.
    pub acquire_timeout: Duration,
    /// Longest run of one query.
    pub statement_timeout: Duration,
}

/// How Redis is reached.
#[derive(Clone)]
pub struct CacheOptions {
    /// `redis://`, `rediss://`, `redis-sentinel://` or `redis-cluster://`.
    pub url: String,
    /// Certificates of who signed the server's, where TLS is asked for; `None` trusts whom this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Open connections.
    pub connections: u32,
    /// Longest wait for an answer before it counts as a miss.
    pub command_timeout: Duration,
    /// Recent messages kept of each room.
    pub timeline_messages: usize,
    /// Life of an entry after its last change.
    pub ttl: Duration,
}

/// Addresses carry passwords.
impl std::fmt::Debug for ReadOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadOptions")
            .field("cache", &self.cache.is_some())
            .finish_non_exhaustive()
    }
}

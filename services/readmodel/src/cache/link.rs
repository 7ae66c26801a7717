//! The connection to Redis: never waits for a server that is away.

use std::time::Duration;

use fred::prelude::{Builder, Config, Error, Pool, ReconnectPolicy, TcpConfig};
use fred::types::config::{Options, UnresponsiveConfig};

use super::tls;
use crate::CacheOptions;

/// Longest attempt at one connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection without an answer for so long is replaced.
const UNRESPONSIVE: Duration = Duration::from_secs(2);
/// Bounds of the pause between two attempts, milliseconds.
const RECONNECT_MS: (u32, u32) = (50, 2_000);

/// Begins to connect, and goes on trying for ever.
pub(super) fn connect(options: &CacheOptions, connections: u32) -> Result<Pool, Error> {
    use fred::interfaces::ClientLike;
    let (url, secure) = tls::split(&options.url);
    let mut config = Config::from_url(&url)?;
    if secure {
        config.tls = Some(tls::connector(options.ca_file.as_deref())?.into());
    }
    config.fail_fast = false;
    let mut builder = Builder::from_config(config);
    builder
        .with_performance_config(|performance| performance.default_command_timeout = options.command_timeout)
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT_TIMEOUT;
            connection.internal_command_timeout = CONNECT_TIMEOUT;
            connection.max_command_attempts = 1;
            connection.tcp = TcpConfig {
                nodelay: Some(true),
                ..TcpConfig::default()
            };
            connection.unresponsive = UnresponsiveConfig {
                max_timeout: Some(UNRESPONSIVE),
                interval: UNRESPONSIVE / 2,
            };
        })
        .set_policy(ReconnectPolicy::new_exponential(
            0,
            RECONNECT_MS.0,
            RECONNECT_MS.1,
            2,
        ));
    let pool = builder.build_pool(connections.max(1) as usize)?;
    pool.connect();
    Ok(pool)
}

/// A command that is not worth waiting for.
pub(super) fn impatient(options: &CacheOptions) -> Options {
    Options {
        timeout: Some(options.command_timeout),
        fail_fast: true,
        max_attempts: Some(1),
        ..Options::default()
    }
}

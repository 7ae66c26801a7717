//! The connection to NATS that every role holds.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, connection::State};
use tokio_util::sync::CancellationToken;

use crate::{config::NatsConfig, health::Health};

/// Messages that one subscription may hold before it is told that it is too slow.
const SUBSCRIPTION_CAPACITY: usize = 65_536;
/// How often the server is asked whether it is there: one that is frozen is noticed after two of them.
const PING: Duration = Duration::from_secs(2);
/// Longest wait between two tries to reach the server again.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// Connects and stays connected: the client reaches for the server again for as long as it lives.
/// Waits until the first connection stands, or `stop` is cancelled.
///
/// # Errors
/// When `stop` came before the server could be reached.
pub async fn connect(config: &NatsConfig, name: &str, stop: &CancellationToken) -> anyhow::Result<Client> {
    for attempt in 0_u32.. {
        let why = match options(config, name).connect(config.servers()).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        // Said at the first try and then about every ten seconds.
        if attempt % 10 == 0 {
            tracing::warn!(error = %why, servers = ?config.servers(), "NATS cannot be reached yet");
        }
        tokio::select! {
            () = tokio::time::sleep(backoff(attempt as usize)) => {}
            () = stop.cancelled() => anyhow::bail!("stopped before NATS could be reached: {why}"),
        }
    }
    unreachable!("the tries do not end")
}

/// Lets the process be ready only while the connection stands; `name` is what the answer calls it.
pub fn watch(health: &Health, name: &str, client: Client) {
    health.add(name, move || {
        let up = client.connection_state() == State::Connected;
        std::future::ready(if up {
            Ok(())
        } else {
            Err("not connected".to_owned())
        })
    });
}

fn backoff(attempt: usize) -> Duration {
    Duration::from_millis(20 << attempt.min(6)).min(MAX_BACKOFF)
}

fn options(config: &NatsConfig, name: &str) -> ConnectOptions {
    let options = ConnectOptions::new()
        .name(format!("veza-{name}"))
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .ping_interval(PING)
        .connection_timeout(Duration::from_millis(config.connect_timeout_ms))
        .request_timeout(Some(Duration::from_millis(config.request_timeout_ms)))
        .reconnect_delay_callback(backoff)
        .event_callback(|event| async move {
            match event {
                Event::Connected => tracing::info!("connected to NATS"),
                Event::Disconnected => tracing::warn!("lost NATS; reaching for it again"),
                Event::SlowConsumer(subscription) => {
                    tracing::warn!(subscription, "a subscription was too slow and lost messages");
                }
                event => tracing::debug!(%event, "NATS client"),
            }
        });
    match credentials(config) {
        Some((user, password)) => options.user_and_password(user, password),
        None => options,
    }
}

/// Those of the settings, else those in the first address: the client itself takes no notice of them there.
fn credentials(config: &NatsConfig) -> Option<(String, String)> {
    if !config.user.is_empty() {
        return Some((config.user.clone(), config.password.expose().to_owned()));
    }
    let address: ServerAddr = config.servers().first()?.parse().ok()?;
    Some((address.username()?.to_owned(), address.password()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Secret, ServiceUrl};

    #[test]
    fn credentials_stand_in_the_settings_or_in_the_address() {
        let mut config = NatsConfig {
            url: ServiceUrl::new("nats://ada:one@127.0.0.1:4222,nats://127.0.0.1:4223"),
            ..NatsConfig::default()
        };
        assert_eq!(credentials(&config), Some(("ada".into(), "one".into())));
        config.user = "ben".into();
        config.password = Secret::new("two");
        assert_eq!(credentials(&config), Some(("ben".into(), "two".into())));
        assert_eq!(credentials(&NatsConfig::default()), None);
    }
}

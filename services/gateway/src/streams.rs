//! What every door into calls shares: patience while a call moves, and servers that help to find a way to it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::Serialize;
use veza_events::{AccountId, RoomId, SpaceId};
use veza_platform::ambient;
use veza_platform::config::MediaConfig;
use veza_platform::contract::media::{CallPlaced, PlaceCall};
use veza_platform::contract::{Caller, Problem, ProblemKind};

use crate::state::Gateway;

/// Tries to join while a call moves from one worker to another; a worker that died is noticed within two seconds.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(300);

/// Tries as long as a call may be moving from one worker to another.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, Problem>>>(
    mut joining: impl FnMut() -> F,
) -> Result<T, Problem> {
    let mut tries = 0;
    loop {
        tries += 1;
        match joining().await {
            Err(problem) if problem.kind == ProblemKind::Unavailable && tries < TRIES => {
                tokio::time::sleep(PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// A server that helps a client to find a way to the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IceServer {
    /// Its addresses, such as `turn:turn.example.org:3478?transport=udp`.
    urls: Vec<String>,
    /// Whom it is to be asked as.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// What proves that.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

impl IceServer {
    /// As links of an answer (RFC 9725, 4.6).
    pub(crate) fn links(&self) -> impl Iterator<Item = String> {
        self.urls.iter().map(|url| {
            let link = format!("<{url}>; rel=\"ice-server\"");
            match (&self.username, &self.credential) {
                (Some(username), Some(credential)) => format!(
                    "{link}; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\""
                ),
                _ => link,
            }
        })
    }
}

/// The servers that the settings name, for one account. Who relays is asked with a name that ends, and a proof of it by the
/// secret that it shares with us, as coturn's `use-auth-secret` takes them.
pub(crate) fn ice_servers(config: &MediaConfig, account: AccountId, now: i64) -> Vec<IceServer> {
    let mut servers = Vec::new();
    if !config.stun_urls.is_empty() {
        servers.push(IceServer {
            urls: config.stun_urls.clone(),
            username: None,
            credential: None,
        });
    }
    let secret = config.turn_secret.expose();
    if !config.turn_urls.is_empty() && !secret.is_empty() {
        let ttl = i64::try_from(config.turn_ttl_s).unwrap_or(i64::MAX);
        let username = format!("{}:{account}", now.saturating_add(ttl));
        let key =
            aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let tag = aws_lc_rs::hmac::sign(&key, username.as_bytes());
        servers.push(IceServer {
            urls: config.turn_urls.clone(),
            username: Some(username),
            credential: Some(BASE64.encode(tag)),
        });
    }
    servers
}

impl Gateway {
    /// Who carries the calls of a room.
    ///
    /// # Errors
    /// As [`Self::place_call`].
    pub(crate) async fn place(
        &self,
        caller: &Caller,
        space: SpaceId,
        room: RoomId,
    ) -> Result<CallPlaced, Problem> {
        self.place_call(caller, &PlaceCall { space, room }).await
    }

    /// Servers that help `account` to find a way to a worker.
    pub(crate) fn ice_servers(&self, account: AccountId) -> Vec<IceServer> {
        ice_servers(&self.config.media, account, ambient::now().unix_timestamp())
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn who_relays_is_asked_with_a_name_that_ends() {
        let account = AccountId::new(Uuid::nil());
        let mut config = MediaConfig::default();
        assert_eq!(
            ice_servers(&config, account, 1_000),
            [],
            "none unless they are named"
        );
        config.stun_urls = vec!["stun:stun.example.org".into()];
        config.turn_urls = vec!["turn:turn.example.org?transport=udp".into()];
        assert_eq!(
            ice_servers(&config, account, 1_000).len(),
            1,
            "without a secret nobody relays"
        );
        config.turn_secret = veza_platform::config::Secret::new("north");
        config.turn_ttl_s = 600;
        let servers = ice_servers(&config, account, 1_000);
        let links: Vec<_> = servers.iter().flat_map(IceServer::links).collect();
        // As `printf 1600:0…0 | openssl dgst -sha1 -hmac north -binary | base64` has it.
        assert_eq!(
            links,
            [
                "<stun:stun.example.org>; rel=\"ice-server\"",
                "<turn:turn.example.org?transport=udp>; rel=\"ice-server\"; \
                 username=\"1600:00000000-0000-0000-0000-000000000000\"; \
                 credential=\"7R+rpo7pEQUtHQ1fSWyjYs4A8FY=\"; credential-type=\"password\"",
            ]
        );
    }
}

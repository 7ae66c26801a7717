//! What one account is told at once and never again: calls of slash commands, and answers to them. A gateway that
//! has a socket of the account says so to who asked.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use veza_events::AccountId;

use super::frames::Outgoing;
use super::hub::Hub;
use crate::calls::{Direct, PREFIX};

/// Pause before the subscription is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Passes on what comes, for as long as the process lives.
pub(super) async fn run(hub: Arc<Hub>) {
    loop {
        match hub.client.subscribe(format!("{PREFIX}*")).await {
            Ok(mut messages) => {
                while let Some(message) = messages.next().await {
                    if pass_on(&hub, &message).is_some_and(|sockets| sockets > 0)
                        && let Some(reply) = message.reply
                    {
                        // Who asked says that nobody was there if this is lost.
                        let _ = hub.client.publish(reply, bytes::Bytes::new()).await;
                    }
                }
            }
            Err(error) => tracing::debug!(error.message = %error, "calls cannot be heard yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// To how many sockets; `None` when it cannot be read.
fn pass_on(hub: &Hub, message: &async_nats::Message) -> Option<usize> {
    let account: AccountId = message.subject.strip_prefix(PREFIX)?.parse().ok()?;
    if !hub.sockets.has(account) {
        return Some(0);
    }
    let direct: Direct = serde_json::from_slice(&message.payload).ok()?;
    Some(
        hub.sockets
            .tell_directly(account, direct.scope(), &frame(&direct).frame()),
    )
}

fn frame(direct: &Direct) -> Outgoing<'_> {
    match direct {
        Direct::Invoke {
            invocation,
            space,
            room,
            by,
            name,
            text,
            token,
            expires_at,
        } => Outgoing::Invoke {
            invocation: *invocation,
            space: *space,
            room: *room,
            by: *by,
            name,
            text,
            token,
            expires_at: *expires_at,
        },
        Direct::Whisper {
            invocation,
            room,
            by,
            body,
        } => Outgoing::Whisper {
            invocation: *invocation,
            room: *room,
            by: *by,
            body,
        },
    }
}

//! Who is typing: passed on between gateways as plain messages, shown to those who see the room, never stored.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use veza_events::{AccountId, Permission, RoomId};

use super::commands::Session;
use super::frames::Outgoing;
use super::hub::Hub;

const SUBJECT: &str = "live.typing.*";
const PREFIX: &str = "live.typing.";
/// Pause before the subscription is tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Serialize, Deserialize)]
struct Typing {
    by: AccountId,
}

impl Session {
    /// Says that somebody is typing, if it may post there and sees the room. Nothing is answered.
    pub(super) async fn typing(&self, id: RoomId) {
        let Some(room) = self.peer.watched(id).filter(|room| room.sees(self.peer.key)) else {
            return;
        };
        let account = self.peer.identity.account;
        let Ok(access) = self.hub.services.access(room.space, account).await else {
            return;
        };
        let mut rooms = access.rooms.iter();
        if !access.joined || !rooms.any(|(known, may)| *known == id && may.has(Permission::Post)) {
            return;
        }
        let body = serde_json::to_vec(&Typing { by: account }).expect("messages are plain data");
        // Who misses it misses nothing that lasts.
        let _ = self
            .hub
            .client
            .publish(format!("{PREFIX}{id}"), body.into())
            .await;
    }
}

/// Tells those who see a room that somebody is typing there, for as long as the process lives.
pub(super) async fn run(hub: Arc<Hub>, ttl: Duration) {
    let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    loop {
        match hub.client.subscribe(SUBJECT).await {
            Ok(mut messages) => {
                while let Some(message) = messages.next().await {
                    let _ = show(&hub, &message, ttl_ms);
                }
            }
            Err(error) => tracing::debug!(error.message = %error, "typing cannot be heard yet"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// `None` when nobody here watches the room.
fn show(hub: &Hub, message: &async_nats::Message, ttl_ms: u64) -> Option<()> {
    let room = hub.room(message.subject.strip_prefix(PREFIX)?.parse().ok()?)?;
    let Typing { by } = serde_json::from_slice(&message.payload).ok()?;
    let frame = Outgoing::Typing {
        room: room.id,
        by,
        ttl_ms,
    };
    let (passed, left_out) = room.pass(by, frame.frame().bytes());
    hub.metrics.typing.inc_by(passed as u64);
    hub.metrics.typing_left_out.inc_by(left_out as u64);
    Some(())
}

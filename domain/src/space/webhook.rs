//! Ways into one room for programs that only post: whoever has the secret speaks there as the webhook's own account,
//! which may nothing anywhere else.

use veza_events::{
    AccountId, Permission, Permissions, RoomId,
    space::{SpaceEvent, WebhookCreated, WebhookRemoved, WebhookSecretChanged},
};

use super::{SpaceContext, SpaceRejection, SpaceState};

#[cfg(test)]
mod tests;

/// Most webhooks of one space.
pub const MAX_WEBHOOKS: usize = 200;

/// What a webhook may in its room.
const ALLOWED: Permissions = Permissions::only(Permission::View).union(Permissions::only(Permission::Post));

/// A webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where it posts.
    pub room: RoomId,
    /// SHA-256 of its secret, hex.
    pub digest: String,
}

impl From<&WebhookCreated> for Webhook {
    fn from(event: &WebhookCreated) -> Self {
        Self {
            room: event.room,
            digest: event.digest.clone(),
        }
    }
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookCommand {
    /// Make one.
    Create {
        /// Its account.
        webhook: AccountId,
        /// Where it posts.
        room: RoomId,
        /// SHA-256 of its secret, hex.
        digest: String,
    },
    /// Give it another secret.
    ChangeSecret {
        /// Which one.
        webhook: AccountId,
        /// Where it posts.
        room: RoomId,
        /// SHA-256 of the new secret, hex.
        digest: String,
    },
    /// Take it away.
    Remove {
        /// Which one.
        webhook: AccountId,
        /// Where it posts.
        room: RoomId,
    },
}

impl WebhookCommand {
    /// Which one it is about.
    pub fn webhook(&self) -> AccountId {
        match self {
            Self::Create { webhook, .. }
            | Self::ChangeSecret { webhook, .. }
            | Self::Remove { webhook, .. } => *webhook,
        }
    }

    fn room(&self) -> RoomId {
        match self {
            Self::Create { room, .. } | Self::ChangeSecret { room, .. } | Self::Remove { room, .. } => *room,
        }
    }
}

impl SpaceState {
    /// Whether who knows this secret posts in a room as a webhook.
    ///
    /// # Errors
    /// `webhook.not_found`.
    pub fn opens_webhook(
        &self,
        webhook: AccountId,
        room: RoomId,
        digest: &str,
    ) -> Result<(), SpaceRejection> {
        let known = self.webhooks.get(&webhook);
        if known.is_some_and(|known| known.room == room && known.digest == digest) {
            return Ok(());
        }
        Err(SpaceRejection::WebhookNotFound)
    }

    fn posts_in(&self, webhook: AccountId, room: RoomId) -> bool {
        self.webhooks
            .get(&webhook)
            .is_some_and(|known| known.room == room)
    }

    /// What a webhook may in a room; `None` for who is none.
    pub(super) fn webhook_permissions(&self, account: AccountId, room: RoomId) -> Option<Permissions> {
        let webhook = self.webhooks.get(&account)?;
        Some(if webhook.room == room {
            ALLOWED
        } else {
            Permissions::NONE
        })
    }
}

/// Who makes integrations in the room may make, change and remove its webhooks.
pub(super) fn may(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    command: &WebhookCommand,
) -> Result<(), SpaceRejection> {
    let (membership, actor) = (context.membership, context.actor);
    state.requires_in_room(command.room(), membership, actor, Permission::ManageIntegrations)
}

pub(super) fn decide(
    state: &SpaceState,
    context: &SpaceContext<'_>,
    command: WebhookCommand,
) -> Result<Vec<SpaceEvent>, SpaceRejection> {
    match command {
        WebhookCommand::Create { webhook, .. } if state.webhooks.contains_key(&webhook) => Ok(vec![]),
        WebhookCommand::Create { room, .. } if state.rooms.get(&room).is_none_or(|room| room.archived) => {
            Err(SpaceRejection::RoomArchived)
        }
        WebhookCommand::Create { .. } if state.webhooks.len() >= MAX_WEBHOOKS => {
            Err(SpaceRejection::TooManyWebhooks)
        }
        WebhookCommand::Create {
            webhook,
            room,
            digest,
        } => {
            let by = context.actor;
            Ok(vec![
                WebhookCreated {
                    webhook,
                    room,
                    digest,
                    by,
                }
                .into(),
            ])
        }
        WebhookCommand::ChangeSecret { webhook, room, .. } | WebhookCommand::Remove { webhook, room }
            if !state.posts_in(webhook, room) =>
        {
            Err(SpaceRejection::WebhookNotFound)
        }
        WebhookCommand::ChangeSecret { webhook, digest, .. } => {
            let known = state.webhooks.get(&webhook);
            if known.is_some_and(|known| known.digest == digest) {
                return Ok(vec![]);
            }
            Ok(vec![WebhookSecretChanged { webhook, digest }.into()])
        }
        WebhookCommand::Remove { webhook, .. } => Ok(vec![WebhookRemoved { webhook }.into()]),
    }
}

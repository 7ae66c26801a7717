//! Webhooks and slash commands.

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, RoomId, SpaceId, room::Mentions, space::SlashOption};

use crate::event_log::Position;

/// Let programs post into a room by an address. The account that they speak as is there already.
#[derive(Debug, Serialize, Deserialize)]
pub struct CreateWebhook {
    /// Where the room is.
    pub space: SpaceId,
    /// Which room.
    pub room: RoomId,
    /// Its account.
    pub webhook: AccountId,
}

/// Give a webhook another address.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChangeWebhookSecret {
    /// Where.
    pub space: SpaceId,
    /// The room that it posts in.
    pub room: RoomId,
    /// Which one.
    pub webhook: AccountId,
}

/// A webhook's address, which is shown once.
#[derive(Debug, Serialize, Deserialize)]
pub struct WebhookAddress {
    /// What stands at its end: see [`crate::webhook_code`].
    pub code: String,
    /// Where it was written.
    pub position: Position,
}

/// Take a webhook away.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveWebhook {
    /// Where.
    pub space: SpaceId,
    /// The room that it posts in.
    pub room: RoomId,
    /// Which one.
    pub webhook: AccountId,
}

/// Say something by a webhook.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PostByWebhook {
    /// Where the room is.
    pub space: SpaceId,
    /// The room that the code names.
    pub room: RoomId,
    /// Which one.
    pub webhook: AccountId,
    /// SHA-256 of the code's secret part, hex.
    pub digest: String,
    /// What.
    pub body: String,
    /// The name to go by this once.
    pub shown_as: Option<String>,
    /// Of whom and what it speaks, as the door has read it.
    #[serde(default)]
    pub mentions: Mentions,
}

/// Offer a slash command, as a bot.
#[derive(Debug, Serialize, Deserialize)]
pub struct DefineSlash {
    /// Where.
    pub space: SpaceId,
    /// What it is called, without the `/`.
    pub name: String,
    /// What it does.
    pub description: String,
    /// What can stand behind its name.
    pub options: Vec<SlashOption>,
}

/// Offer a slash command no more.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemoveSlash {
    /// Where.
    pub space: SpaceId,
    /// Which one.
    pub name: String,
}

/// Ask who takes a slash command; writes nothing.
#[derive(Debug, Serialize, Deserialize)]
pub struct CallSlash {
    /// Where the room is.
    pub space: SpaceId,
    /// The room whose rights count.
    pub room: RoomId,
    /// Which command.
    pub name: String,
    /// What stands behind its name.
    pub text: String,
}

/// Who takes it.
#[derive(Debug, Serialize, Deserialize)]
pub struct SlashTaker {
    /// The bot.
    pub bot: AccountId,
}

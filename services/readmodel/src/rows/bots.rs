//! Bots, webhooks and slash commands.

use veza_events::{AccountId, Scopes, SessionId, Timestamp, space::SlashOption};

use super::Account;

/// A bot, for who answers for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bot {
    /// What anybody may know.
    pub account: Account,
    /// Who answers for it.
    pub owner: AccountId,
    /// Whether others may bring it into their spaces.
    pub public: bool,
    /// Last change.
    pub seq: u64,
}

/// A key that a bot signs in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotKey {
    /// The key.
    pub id: SessionId,
    /// What it is called.
    pub name: Option<String>,
    /// What its tokens are good for.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Option<Timestamp>,
    /// Last change.
    pub seq: u64,
}

/// A webhook, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// The account that it posts as.
    pub id: AccountId,
    /// The name shown with what it posts.
    pub name: Option<String>,
    /// Who made it.
    pub by: AccountId,
    /// When.
    pub created_at: Timestamp,
    /// Its creation.
    pub seq: u64,
}

/// What a bot offers in a space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlashCommand {
    /// What it is called, without the `/`.
    pub name: String,
    /// Who takes it.
    pub bot: AccountId,
    /// What it does.
    pub description: String,
    /// What can stand behind its name.
    pub options: Vec<SlashOption>,
    /// Last change.
    pub seq: u64,
}

//! Why something is not done to an account.

use super::{MAX_BLOCKED, MAX_KEYS};
use crate::{Reject, RejectionKind, names::NameFault};

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountRejection {
    /// The id is in use.
    #[error("this account exists already")]
    Exists,
    /// There is no such account.
    #[error("there is no such account")]
    NotFound,
    /// The handle cannot be one.
    #[error("the handle {0}")]
    Handle(NameFault),
    /// The address cannot be one.
    #[error("the e-mail address {0}")]
    Email(NameFault),
    /// There is no address left to confirm.
    #[error("the address is confirmed already")]
    EmailConfirmed,
    /// Nobody has said that they read there.
    #[error("the address was never confirmed, so nothing secret is sent to it")]
    EmailNotConfirmed,
    /// A link came a moment ago.
    #[error("a mail was sent a moment ago; look there, or ask again later")]
    LinkTooSoon {
        /// How long to wait, milliseconds.
        wait_ms: u64,
    },
    /// A link that something has ended since.
    #[error("the link is not good, or not any more; ask for another")]
    LinkOver,
    /// The display name cannot be one.
    #[error("the display name {0}")]
    DisplayName(NameFault),
    /// The account has no such session, or not any more.
    #[error("there is no such session")]
    SessionNotFound,
    /// One hears oneself.
    #[error("nobody blocks themselves")]
    BlocksItself,
    /// As many as anybody can block.
    #[error("you have blocked as many accounts as you can ({MAX_BLOCKED})")]
    TooManyBlocked,
    /// A bot cannot do that.
    #[error("bots sign in by keys, and have no password, no role in the installation and no bots")]
    IsBot,
    /// There is no such bot, or somebody else answers for it.
    #[error("there is no such bot of yours")]
    BotNotFound,
    /// As many as one answers for.
    #[error("you answer for as many bots as you can; retire one first")]
    TooManyBots,
    /// The bot has no such key, or not any more.
    #[error("the bot has no such key")]
    KeyNotFound,
    /// As many as a bot has.
    #[error("a bot has at most {MAX_KEYS} keys; revoke one first")]
    TooManyKeys,
    /// A key that is good for nothing.
    #[error("name at least one scope that the key is good for")]
    NoScopes,
    /// A key that is over before it begins.
    #[error("the end of the key has passed already; name a time to come, or none")]
    KeyExpiry,
}

impl Reject for AccountRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists => "account.exists",
            Self::NotFound => "account.not_found",
            Self::Handle(_) => "account.handle_invalid",
            Self::Email(_) => "account.email_invalid",
            Self::EmailConfirmed => "account.email_confirmed",
            Self::EmailNotConfirmed => "account.email_not_confirmed",
            Self::LinkTooSoon { .. } => "account.link_too_soon",
            Self::LinkOver => "account.link_over",
            Self::DisplayName(_) => "account.display_name_invalid",
            Self::SessionNotFound => "session.not_found",
            Self::BlocksItself => "account.blocks_itself",
            Self::TooManyBlocked => "account.too_many_blocked",
            Self::IsBot => "account.is_bot",
            Self::BotNotFound => "bot.not_found",
            Self::TooManyBots => "bot.too_many",
            Self::KeyNotFound => "bot.key_not_found",
            Self::TooManyKeys => "bot.too_many_keys",
            Self::NoScopes => "bot.no_scopes",
            Self::KeyExpiry => "bot.key_expiry",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::Exists | Self::EmailConfirmed | Self::EmailNotConfirmed => RejectionKind::Conflict,
            Self::LinkOver => RejectionKind::Gone,
            Self::NotFound | Self::SessionNotFound | Self::BotNotFound | Self::KeyNotFound => {
                RejectionKind::NotFound
            }
            Self::Handle(_)
            | Self::Email(_)
            | Self::DisplayName(_)
            | Self::BlocksItself
            | Self::NoScopes
            | Self::KeyExpiry => RejectionKind::Invalid,
            Self::IsBot => RejectionKind::Forbidden,
            Self::TooManyBlocked | Self::TooManyBots | Self::TooManyKeys | Self::LinkTooSoon { .. } => {
                RejectionKind::Limit
            }
        }
    }

    fn retry_after_ms(&self) -> Option<u64> {
        match self {
            Self::LinkTooSoon { wait_ms } => Some(*wait_ms),
            Self::Exists
            | Self::NotFound
            | Self::Handle(_)
            | Self::Email(_)
            | Self::EmailConfirmed
            | Self::EmailNotConfirmed
            | Self::LinkOver
            | Self::DisplayName(_)
            | Self::SessionNotFound
            | Self::BlocksItself
            | Self::TooManyBlocked
            | Self::IsBot
            | Self::BotNotFound
            | Self::TooManyBots
            | Self::KeyNotFound
            | Self::TooManyKeys
            | Self::NoScopes
            | Self::KeyExpiry => None,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Handle(_) => Some("handle"),
            Self::Email(_) => Some("email"),
            Self::DisplayName(_) => Some("display_name"),
            Self::NoScopes => Some("scopes"),
            Self::KeyExpiry => Some("expires_at"),
            Self::Exists
            | Self::NotFound
            | Self::EmailConfirmed
            | Self::EmailNotConfirmed
            | Self::LinkTooSoon { .. }
            | Self::LinkOver
            | Self::SessionNotFound
            | Self::BlocksItself
            | Self::TooManyBlocked
            | Self::IsBot
            | Self::BotNotFound
            | Self::TooManyBots
            | Self::KeyNotFound
            | Self::TooManyKeys => None,
        }
    }
}

//! Facts about one account: who it is, how it signs in, where it is signed in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, Scopes, Sealed, SessionId, SpaceId, Timestamp, catalogue::events};

events! {
    /// What can happen to an account.
    pub enum AccountEvent {
        "account.registered.v1" => Registered seals [handle, email, display_name, password],
        "account.profile_changed.v1" => ProfileChanged seals [display_name],
        "account.password_changed.v1" => PasswordChanged seals [password],
        "account.email_confirmed.v1" => EmailConfirmed,
        "account.email_link_asked.v1" => EmailLinkAsked,
        "account.email_change_asked.v1" => EmailChangeAsked seals [email],
        "account.email_changed.v1" => EmailChanged seals [email],
        "account.password_reset_asked.v1" => PasswordResetAsked,
        "account.role_granted.v1" => RoleGranted,
        "account.blocked.v1" => Blocked,
        "account.unblocked.v1" => Unblocked,
        "account.session_started.v1" => SessionStarted seals [device],
        "account.session_ended.v1" => SessionEnded,
        "account.bot_taken_on.v1" => BotTakenOn,
        "account.bot_let_go.v1" => BotLetGo,
        "account.bot_registered.v1" => BotRegistered seals [handle, display_name],
        "account.bot_changed.v1" => BotChanged seals [display_name],
        "account.bot_retired.v1" => BotRetired,
        "account.bot_key_created.v1" => BotKeyCreated seals [name],
        "account.bot_key_revoked.v1" => BotKeyRevoked,
    }
}

/// An account came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registered {
    /// The new account.
    pub account: AccountId,
    /// The name others call it by, as typed; unique by its normalised form.
    pub handle: Sealed<String>,
    /// Where it gets mail, as typed; unique by its normalised form.
    pub email: Sealed<String>,
    /// The name shown.
    pub display_name: Sealed<String>,
    /// argon2id hash in PHC form; absent while the account can only sign in by a link.
    pub password: Option<Sealed<String>>,
}

/// The account shows itself differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileChanged {
    /// The new name shown.
    pub display_name: Option<Sealed<String>>,
}

/// The account signs in with another password from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PasswordChanged {
    /// argon2id hash in PHC form.
    pub password: Sealed<String>,
}

/// Whoever reads the mail of its address has said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmailConfirmed {
    /// Which of its addresses: 0 is the one it registered with, and each that it asks for counts one more.
    pub number: u32,
}

/// The account wants another link to confirm an address with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmailLinkAsked {
    /// Which of its addresses.
    pub number: u32,
    /// How long the link is good.
    pub expires_at: Timestamp,
}

/// The account wants to get its mail elsewhere, which counts once that address is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmailChangeAsked {
    /// Which of its addresses this is.
    pub number: u32,
    /// As typed.
    pub email: Sealed<String>,
    /// How long the link that confirms it is good.
    pub expires_at: Timestamp,
}

/// The account gets its mail elsewhere; the address is confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EmailChanged {
    /// Which of its addresses this is.
    pub number: u32,
    /// As typed; unique by its normalised form.
    pub email: Sealed<String>,
}

/// Somebody who cannot sign in wants a link to set another password with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PasswordResetAsked {
    /// How many passwords the account has had: the link is over with the next one.
    pub number: u32,
    /// How long the link is good.
    pub expires_at: Timestamp,
}

/// A role in the whole installation, apart from any space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InstallationRole {
    /// Runs the installation.
    Administrator,
}

/// The account got a role in the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleGranted {
    /// Which one.
    pub role: InstallationRole,
}

/// The account does not want to hear from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blocked {
    /// From whom.
    pub account: AccountId,
}

/// The account hears from another again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unblocked {
    /// From whom.
    pub account: AccountId,
}

/// Someone signed in on a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionStarted {
    /// The new session.
    pub session: SessionId,
    /// How the device called itself, cut to a sane length.
    pub device: Option<Sealed<String>>,
    /// When the session ends by itself.
    pub expires_at: Timestamp,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// Its owner signed out.
    SignedOut,
    /// Its owner ended it from another device.
    Revoked,
    /// A used refresh token came back: somebody has a copy.
    TokenReused,
    /// The password was changed elsewhere.
    PasswordChanged,
    /// It was the oldest of too many.
    Displaced,
}

/// A session is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionEnded {
    /// Which one.
    pub session: SessionId,
    /// Why.
    pub reason: SessionEnd,
}

/// The account answers for a bot from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotTakenOn {
    /// For which one.
    pub bot: AccountId,
}

/// The account answers for a bot no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotLetGo {
    /// For which one.
    pub bot: AccountId,
}

/// An account came to be that a program acts for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotRegistered {
    /// The new account.
    pub account: AccountId,
    /// Who answers for it.
    pub owner: AccountId,
    /// The name others call it by, as typed; unique by its normalised form.
    pub handle: Sealed<String>,
    /// The name shown.
    pub display_name: Sealed<String>,
    /// Whether others than its owner may bring it into their spaces.
    pub public: bool,
    /// Of which space it is a webhook, and therefore no bot that signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_of: Option<SpaceId>,
}

/// A bot is another in what it shows, or in who may bring it in; absent fields stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotChanged {
    /// The bot.
    pub account: AccountId,
    /// The new name shown.
    pub display_name: Option<Sealed<String>>,
    /// Whether others than its owner may bring it into their spaces.
    pub public: Option<bool>,
}

/// A bot acts no more. What it said stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotRetired {
    /// The bot.
    pub account: AccountId,
}

/// A bot got a key to sign in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotKeyCreated {
    /// The key; also the session of all tokens that come of it.
    pub key: SessionId,
    /// What its owner calls it.
    pub name: Option<Sealed<String>>,
    /// SHA-256 of its secret, hex.
    pub digest: String,
    /// What its tokens are good for.
    pub scopes: Scopes,
    /// Until when it is good; for ever when absent.
    pub expires_at: Option<Timestamp>,
}

/// A key of a bot is good no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BotKeyRevoked {
    /// Which one.
    pub key: SessionId,
}

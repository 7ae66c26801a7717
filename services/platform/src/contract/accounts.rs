//! What the accounts workers take, on `cmd.accounts`.

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, Scopes, SessionId, SpaceId, Timestamp};

use super::{Sensitive, commands};
use crate::event_log::Position;

/// Make an account.
#[derive(Serialize, Deserialize)]
pub struct Register {
    /// The name others call it by, as typed.
    pub handle: String,
    /// Where it gets mail, as typed.
    pub email: String,
    /// At least 12 characters.
    pub password: Sensitive,
    /// The name shown; the handle when absent.
    pub display_name: Option<String>,
}

/// An account exists.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registered {
    /// The account.
    pub account: AccountId,
    /// Where it was written.
    pub position: Position,
}

/// Sign in by name or e-mail address, and password.
#[derive(Serialize, Deserialize)]
pub struct SignIn {
    /// Handle or e-mail address.
    pub login: String,
    /// The password.
    pub password: Sensitive,
    /// How the device calls itself.
    pub device: Option<String>,
}

/// Sign in by a one-time link.
#[derive(Serialize, Deserialize)]
pub struct SignInByLink {
    /// What the link carries.
    pub token: Sensitive,
    /// How the device calls itself.
    pub device: Option<String>,
}

/// Trade a refresh token for a fresh pair.
#[derive(Serialize, Deserialize)]
pub struct Refresh {
    /// The newest refresh token of the session.
    pub refresh_token: Sensitive,
}

/// A session and its tokens.
#[derive(Serialize, Deserialize)]
pub struct SignedIn {
    /// The account.
    pub account: AccountId,
    /// The session.
    pub session: SessionId,
    /// JWT for the requests to come.
    pub access_token: Sensitive,
    /// For the next pair; works once.
    pub refresh_token: Sensitive,
    /// Life of the access token, seconds.
    pub expires_in: u64,
    /// Where the session was written; `None` when it only went on.
    pub position: Option<Position>,
}

/// End a session: the caller's own, or another of the same account.
#[derive(Serialize, Deserialize)]
pub struct EndSession {
    /// Which one.
    pub session: SessionId,
}

/// Show oneself differently.
#[derive(Serialize, Deserialize)]
pub struct ChangeProfile {
    /// The new name shown.
    pub display_name: Option<String>,
}

/// Show that one knows the account's password, before something that others must not do with a session left open;
/// writes nothing. An account without one has nothing to show.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConfirmPassword {
    /// The password.
    pub password: Option<Sensitive>,
}

/// Use another password; ends all other sessions.
#[derive(Serialize, Deserialize)]
pub struct ChangePassword {
    /// The present one; not needed while the account has none.
    pub current: Option<Sensitive>,
    /// The new one.
    pub new: Sensitive,
}

/// Get another link for the address that is still to be confirmed.
#[derive(Debug, Serialize, Deserialize)]
pub struct AskEmailLink {}

/// Get mail elsewhere, once that address is confirmed.
#[derive(Serialize, Deserialize)]
pub struct ChangeEmail {
    /// As typed.
    pub email: String,
    /// The present password; not needed while the account has none.
    pub current: Option<Sensitive>,
}

/// Say that one reads the mail of an address.
#[derive(Serialize, Deserialize)]
pub struct ConfirmEmail {
    /// What the link carries.
    pub token: Sensitive,
}

/// Get a link to set another password with, if there is such an account with a confirmed address.
#[derive(Serialize, Deserialize)]
pub struct AskPasswordReset {
    /// Handle or e-mail address.
    pub login: String,
}

/// Set another password by a link; ends all sessions.
#[derive(Serialize, Deserialize)]
pub struct ResetPassword {
    /// What the link carries.
    pub token: Sensitive,
    /// The new one.
    pub new: Sensitive,
}

/// Hear from an account no more.
#[derive(Debug, Serialize, Deserialize)]
pub struct Block {
    /// From whom.
    pub account: AccountId,
}

/// Hear from an account again.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unblock {
    /// From whom.
    pub account: AccountId,
}

/// Make an account that a program acts for.
#[derive(Serialize, Deserialize)]
pub struct RegisterBot {
    /// The name others call it by, as typed.
    pub handle: String,
    /// The name shown; the handle when absent.
    pub display_name: Option<String>,
    /// Whether others may bring it into their spaces.
    pub public: bool,
}

/// Make the account that a webhook posts as. Whether there may be one is decided with the webhook itself.
#[derive(Serialize, Deserialize)]
pub struct RegisterWebhook {
    /// Of which space.
    pub space: SpaceId,
    /// The name shown with what it posts.
    pub name: String,
}

/// A webhook can be made.
#[derive(Serialize, Deserialize)]
pub struct WebhookRegistered {
    /// Its account.
    pub account: AccountId,
}

/// Change a bot of one's own; absent fields stay.
#[derive(Serialize, Deserialize)]
pub struct ChangeBot {
    /// Which one.
    pub bot: AccountId,
    /// The new name shown.
    pub display_name: Option<String>,
    /// Whether others may bring it into their spaces.
    pub public: Option<bool>,
}

/// Let a bot of one's own act no more.
#[derive(Serialize, Deserialize)]
pub struct RetireBot {
    /// Which one.
    pub bot: AccountId,
}

/// Give a bot of one's own a key.
#[derive(Serialize, Deserialize)]
pub struct CreateBotKey {
    /// Which one.
    pub bot: AccountId,
    /// What the key is called.
    pub name: Option<String>,
    /// What its tokens are good for.
    pub scopes: Scopes,
    /// Until when it is good; for ever when absent.
    pub expires_at: Option<Timestamp>,
}

/// A key exists.
#[derive(Serialize, Deserialize)]
pub struct BotKeyCreated {
    /// The key.
    pub key: SessionId,
    /// What the program shows: see [`crate::bot_secret`]. Not told again.
    pub secret: Sensitive,
    /// Where it was written.
    pub position: Option<Position>,
}

/// Take a key away.
#[derive(Serialize, Deserialize)]
pub struct RevokeBotKey {
    /// From which bot.
    pub bot: AccountId,
    /// Which one.
    pub key: SessionId,
}

/// Trade the secret of a key for an access token.
#[derive(Serialize, Deserialize)]
pub struct IssueBotToken {
    /// The bot.
    pub bot: AccountId,
    /// The whole secret, as it was shown.
    pub secret: Sensitive,
    /// What the token is to be good for; all that the key is when absent.
    pub scopes: Option<Scopes>,
}

/// An access token of a bot.
#[derive(Serialize, Deserialize)]
pub struct BotToken {
    /// JWT for the requests to come.
    pub access_token: Sensitive,
    /// Its life, seconds.
    pub expires_in: u64,
    /// What it is good for.
    pub scopes: Scopes,
}

/// Make sure that there is an administrator, and a link to sign in with while nobody ever has.
/// Only `veza up` and `veza setup` ask for it.
#[derive(Serialize, Deserialize)]
pub struct InviteAdministrator {}

/// How the first administrator gets in.
#[derive(Serialize, Deserialize)]
pub struct AdministratorInvited {
    /// What the link carries; `None` once an administrator has signed in.
    pub token: Option<Sensitive>,
}

/// Done; where it was written, `None` when there was nothing to write.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    /// The last event.
    pub position: Option<Position>,
}

commands! {
    "register": Register => Registered,
    "sign_in": SignIn => SignedIn,
    "sign_in_by_link": SignInByLink => SignedIn,
    "refresh": Refresh => SignedIn,
    "end_session": EndSession => Done,
    "change_profile": ChangeProfile => Done,
    "change_password": ChangePassword => Done,
    "confirm_password": ConfirmPassword => Done,
    "ask_email_link": AskEmailLink => Done,
    "change_email": ChangeEmail => Done,
    "confirm_email": ConfirmEmail => Done,
    "ask_password_reset": AskPasswordReset => Done,
    "reset_password": ResetPassword => Done,
    "block": Block => Done,
    "unblock": Unblock => Done,
    "register_bot": RegisterBot => Registered,
    "register_webhook": RegisterWebhook => WebhookRegistered,
    "change_bot": ChangeBot => Done,
    "retire_bot": RetireBot => Done,
    "create_bot_key": CreateBotKey => BotKeyCreated,
    "revoke_bot_key": RevokeBotKey => Done,
    "issue_bot_token": IssueBotToken => BotToken,
    "invite_administrator": InviteAdministrator => AdministratorInvited,
}

//! Accounts that programs act for. Somebody answers for each, and it signs in by keys.

use veza_events::{
    AccountId, Scopes, Sealed, SessionId, SpaceId, Timestamp,
    account::{
        AccountEvent, BotChanged, BotKeyCreated, BotKeyRevoked, BotLetGo, BotRegistered, BotRetired,
        BotTakenOn,
    },
};

use super::{AccountContext, AccountRejection, AccountState};
use crate::names;

#[cfg(test)]
mod tests;

/// Most keys of one bot at once.
pub const MAX_KEYS: usize = 20;

/// What an account is, if it is a bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bot {
    /// Who answers for it.
    pub owner: AccountId,
    /// Whether others may bring it into their spaces.
    pub public: bool,
    /// It acts no more.
    pub retired: bool,
}

/// A key of a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotKey {
    /// SHA-256 of its secret, hex.
    pub digest: String,
    /// What its tokens are good for.
    pub scopes: Scopes,
    /// Until when it is good; for ever when absent.
    pub expires_at: Option<Timestamp>,
}

impl BotKey {
    /// Whether it is good at a moment.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| end > now)
    }
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BotCommand {
    /// Of its owner: answer for one more bot.
    TakeOn {
        /// Which one.
        bot: AccountId,
    },
    /// Of its owner: answer for it no more.
    LetGo {
        /// For which one.
        bot: AccountId,
    },
    /// Make the bot.
    Register {
        /// Its id.
        account: AccountId,
        /// Who answers for it.
        owner: AccountId,
        /// As typed.
        handle: String,
        /// As typed; the handle when absent.
        display_name: Option<String>,
        /// Whether others may bring it into their spaces.
        public: bool,
    },
    /// Make the account of a webhook: nobody signs in as it.
    RegisterWebhook {
        /// Its id.
        account: AccountId,
        /// Who makes it.
        owner: AccountId,
        /// Of which space.
        space: SpaceId,
        /// A name that no person has.
        handle: String,
        /// As typed.
        display_name: String,
    },
    /// Show it differently, or let others bring it in; absent fields stay.
    Change {
        /// Who asks.
        by: AccountId,
        /// As typed.
        display_name: Option<String>,
        /// Whether others may bring it into their spaces.
        public: Option<bool>,
    },
    /// Let it act no more, for good.
    Retire {
        /// Who asks.
        by: AccountId,
    },
    /// Give it a key.
    CreateKey {
        /// Who asks.
        by: AccountId,
        /// Its id.
        key: SessionId,
        /// What it is called.
        name: Option<String>,
        /// SHA-256 of its secret, hex.
        digest: String,
        /// What its tokens are good for.
        scopes: Scopes,
        /// Until when it is good.
        expires_at: Option<Timestamp>,
        /// The time.
        now: Timestamp,
    },
    /// Take a key away.
    RevokeKey {
        /// Who asks.
        by: AccountId,
        /// Which one.
        key: SessionId,
    },
}

type Decision = Result<Vec<AccountEvent>, AccountRejection>;

pub(super) fn decide(state: &AccountState, context: &AccountContext, command: BotCommand) -> Decision {
    match command {
        BotCommand::TakeOn { bot } => take_on(state, context, bot),
        BotCommand::LetGo { bot } if !state.bots.contains(&bot) => Ok(vec![]),
        BotCommand::LetGo { bot } => Ok(vec![BotLetGo { bot }.into()]),
        BotCommand::Register { .. } if state.account.is_some() => Err(AccountRejection::Exists),
        BotCommand::Register {
            account,
            owner,
            handle,
            display_name,
            public,
        } => {
            names::handle(&handle).map_err(AccountRejection::Handle)?;
            let shown = names::shown(display_name.as_deref().unwrap_or(&handle));
            let registered = BotRegistered {
                account,
                owner,
                handle: handle.trim().into(),
                display_name: shown.map_err(AccountRejection::DisplayName)?.into(),
                public,
                webhook_of: None,
            };
            Ok(vec![registered.into()])
        }
        BotCommand::RegisterWebhook { .. } if state.account.is_some() => Ok(vec![]),
        BotCommand::RegisterWebhook {
            account,
            owner,
            space,
            handle,
            display_name,
        } => {
            let registered = BotRegistered {
                account,
                owner,
                handle: handle.into(),
                display_name: names::shown(&display_name)
                    .map_err(AccountRejection::DisplayName)?
                    .into(),
                public: false,
                webhook_of: Some(space),
            };
            Ok(vec![registered.into()])
        }
        BotCommand::Change {
            by,
            display_name,
            public,
        } => change(state, by, display_name.as_deref(), public),
        BotCommand::Retire { by } => {
            let account = own(state, by)?;
            let keys = state.keys.keys().map(|&key| BotKeyRevoked { key }.into());
            Ok(keys.chain([BotRetired { account }.into()]).collect())
        }
        BotCommand::CreateKey { .. } => create_key(state, command),
        BotCommand::RevokeKey { by, key } => {
            own(state, by)?;
            if !state.keys.contains_key(&key) {
                return Err(AccountRejection::KeyNotFound);
            }
            Ok(vec![BotKeyRevoked { key }.into()])
        }
    }
}

fn take_on(state: &AccountState, context: &AccountContext, bot: AccountId) -> Decision {
    if state.account.is_none() {
        return Err(AccountRejection::NotFound);
    }
    if state.bot.is_some() {
        return Err(AccountRejection::IsBot);
    }
    if state.bots.contains(&bot) {
        return Ok(vec![]);
    }
    if state.bots.len() >= context.max_bots {
        return Err(AccountRejection::TooManyBots);
    }
    Ok(vec![BotTakenOn { bot }.into()])
}

fn change(state: &AccountState, by: AccountId, display_name: Option<&str>, public: Option<bool>) -> Decision {
    let account = own(state, by)?;
    let name = display_name
        .map(names::shown)
        .transpose()
        .map_err(AccountRejection::DisplayName)?;
    let public = public.filter(|public| state.bot.is_none_or(|bot| bot.public != *public));
    if name.is_none() && public.is_none() {
        return Ok(vec![]);
    }
    let changed = BotChanged {
        account,
        display_name: name.map(Sealed::from),
        public,
    };
    Ok(vec![changed.into()])
}

fn create_key(state: &AccountState, command: BotCommand) -> Decision {
    let BotCommand::CreateKey {
        by,
        key,
        name,
        digest,
        scopes,
        expires_at,
        now,
    } = command
    else {
        return Ok(vec![]);
    };
    own(state, by)?;
    if state.keys.contains_key(&key) {
        return Ok(vec![]);
    }
    if scopes == Scopes::NONE {
        return Err(AccountRejection::NoScopes);
    }
    if expires_at.is_some_and(|end| end <= now) {
        return Err(AccountRejection::KeyExpiry);
    }
    if state.keys.len() >= MAX_KEYS {
        return Err(AccountRejection::TooManyKeys);
    }
    let created = BotKeyCreated {
        key,
        name: name.as_deref().and_then(names::device).map(Sealed::from),
        digest,
        scopes,
        expires_at,
    };
    Ok(vec![created.into()])
}

/// The bot, if it acts and `by` answers for it; to anybody else it is no bot of theirs.
fn own(state: &AccountState, by: AccountId) -> Result<AccountId, AccountRejection> {
    let answers = state.bot.is_some_and(|bot| bot.owner == by && !bot.retired);
    state
        .account
        .filter(|_| answers)
        .ok_or(AccountRejection::BotNotFound)
}

pub(super) fn evolve(state: &mut AccountState, event: &AccountEvent) {
    match event {
        AccountEvent::BotTakenOn(event) => {
            state.bots.insert(event.bot);
        }
        AccountEvent::BotLetGo(event) => {
            state.bots.remove(&event.bot);
        }
        AccountEvent::BotRegistered(event) => {
            state.account = Some(event.account);
            state.bot = Some(Bot {
                owner: event.owner,
                public: event.public,
                // A webhook has no keys and is brought in by nobody.
                retired: event.webhook_of.is_some(),
            });
        }
        AccountEvent::BotChanged(event) => {
            if let (Some(bot), Some(public)) = (&mut state.bot, event.public) {
                bot.public = public;
            }
        }
        AccountEvent::BotRetired(_) => {
            if let Some(bot) = &mut state.bot {
                bot.retired = true;
            }
        }
        AccountEvent::BotKeyCreated(event) => {
            let key = BotKey {
                digest: event.digest.clone(),
                scopes: event.scopes,
                expires_at: event.expires_at,
            };
            state.keys.insert(event.key, key);
        }
        AccountEvent::BotKeyRevoked(event) => {
            state.keys.remove(&event.key);
        }
        AccountEvent::Registered(_)
        | AccountEvent::ProfileChanged(_)
        | AccountEvent::PasswordChanged(_)
        | AccountEvent::EmailConfirmed(_)
        | AccountEvent::EmailLinkAsked(_)
        | AccountEvent::EmailChangeAsked(_)
        | AccountEvent::EmailChanged(_)
        | AccountEvent::PasswordResetAsked(_)
        | AccountEvent::RoleGranted(_)
        | AccountEvent::Blocked(_)
        | AccountEvent::Unblocked(_)
        | AccountEvent::SessionStarted(_)
        | AccountEvent::SessionEnded(_) => {}
    }
}

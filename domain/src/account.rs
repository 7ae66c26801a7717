//! An account: who it is to the outside, how it signs in, where it is signed in.

use std::collections::{BTreeMap, BTreeSet};

use veza_events::{
    AccountId, Sealed, SessionId, Timestamp,
    account::{
        AccountEvent, Blocked, InstallationRole, PasswordChanged, ProfileChanged, Registered, RoleGranted,
        SessionEnd, SessionEnded, SessionStarted, Unblocked,
    },
};

use crate::{Decider, names};

mod bot;
mod email;
mod rejection;
#[cfg(test)]
mod tests;

pub use bot::{Bot, BotCommand, BotKey, MAX_KEYS};
pub use email::{Addresses, Email, EmailCommand, LinkRules};
pub use rejection::AccountRejection;

/// Most accounts that one account blocks.
pub const MAX_BLOCKED: usize = 1_000;

/// Decides about one account.
pub struct Account;

/// What decisions look at. Names are not kept: nothing hangs on them, and they would lie open in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountState {
    /// The account, once there is one.
    pub account: Option<AccountId>,
    /// The hash of its password; `None` while it signs in by links only.
    pub password: Option<Sealed<String>>,
    /// How many passwords it has had since it was made.
    pub passwords: u32,
    /// Where it gets mail.
    pub email: Email,
    /// What it is in the whole installation.
    pub roles: BTreeSet<InstallationRole>,
    /// Where it is signed in, and when each session ends by itself.
    pub sessions: BTreeMap<SessionId, Timestamp>,
    /// From whom it does not want to hear.
    pub blocked: BTreeSet<AccountId>,
    /// What it is, if a program acts for it.
    pub bot: Option<Bot>,
    /// The keys that a bot signs in with.
    pub keys: BTreeMap<SessionId, BotKey>,
    /// The bots that it answers for.
    pub bots: BTreeSet<AccountId>,
}

/// What else a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct AccountContext {
    /// Most sessions at once; the one that would end first gives way.
    pub max_sessions: usize,
    /// Most bots that one account answers for.
    pub max_bots: usize,
    /// Links by mail.
    pub links: LinkRules,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountCommand {
    /// Make the account.
    Register {
        /// Its id.
        account: AccountId,
        /// As typed.
        handle: String,
        /// As typed.
        email: String,
        /// As typed; the handle when absent.
        display_name: Option<String>,
        /// Hash in PHC form.
        password: Option<Sealed<String>>,
    },
    /// Show itself differently; absent fields stay.
    ChangeProfile {
        /// As typed.
        display_name: Option<String>,
    },
    /// Sign in with another password. All sessions but one end.
    ChangePassword {
        /// Hash in PHC form.
        password: Sealed<String>,
        /// The session that goes on: the one that asked.
        keep: Option<SessionId>,
    },
    /// Make it something in the whole installation.
    GrantRole {
        /// What.
        role: InstallationRole,
    },
    /// Hear from somebody no more.
    Block {
        /// From whom.
        account: AccountId,
        /// Whether there is such an account.
        exists: bool,
    },
    /// Hear from somebody again.
    Unblock {
        /// From whom.
        account: AccountId,
    },
    /// Sign in on a device.
    StartSession {
        /// The new session.
        session: SessionId,
        /// How the device calls itself.
        device: Option<String>,
        /// When the session ends by itself.
        expires_at: Timestamp,
    },
    /// Sign out on a device.
    EndSession {
        /// Which session.
        session: SessionId,
        /// Why.
        reason: SessionEnd,
    },
    /// Something about bots.
    Bot(BotCommand),
    /// Something about its address.
    Email(EmailCommand),
}

impl Decider for Account {
    type State = AccountState;
    type Command = AccountCommand;
    type Context<'a> = AccountContext;
    type Event = AccountEvent;
    type Rejection = AccountRejection;

    fn decide(
        state: &AccountState,
        context: &AccountContext,
        command: AccountCommand,
    ) -> Result<Vec<AccountEvent>, AccountRejection> {
        match (command, state.account) {
            (AccountCommand::Bot(command), _) => bot::decide(state, context, command),
            (AccountCommand::Email(command), _) => email::decide(state, context, command),
            (
                AccountCommand::ChangePassword { .. }
                | AccountCommand::GrantRole { .. }
                | AccountCommand::StartSession { .. },
                Some(_),
            ) if state.bot.is_some() => Err(AccountRejection::IsBot),
            (AccountCommand::Register { .. }, Some(_)) => Err(AccountRejection::Exists),
            (
                AccountCommand::Register {
                    account,
                    handle,
                    email,
                    display_name,
                    password,
                },
                None,
            ) => {
                let registered = register(account, &handle, &email, display_name.as_deref(), password)?;
                Ok(vec![registered.into()])
            }
            (
                AccountCommand::ChangeProfile { .. }
                | AccountCommand::ChangePassword { .. }
                | AccountCommand::GrantRole { .. }
                | AccountCommand::Block { .. }
                | AccountCommand::Unblock { .. }
                | AccountCommand::StartSession { .. }
                | AccountCommand::EndSession { .. },
                None,
            ) => Err(AccountRejection::NotFound),
            (AccountCommand::ChangeProfile { display_name: None }, _) => Ok(vec![]),
            (
                AccountCommand::ChangeProfile {
                    display_name: Some(name),
                },
                _,
            ) => show_as(&name),
            (AccountCommand::ChangePassword { password, keep }, _) => {
                Ok(change_password(state, password, keep))
            }
            (AccountCommand::GrantRole { role }, _) if state.roles.contains(&role) => Ok(vec![]),
            (AccountCommand::GrantRole { role }, _) => Ok(vec![RoleGranted { role }.into()]),
            (AccountCommand::Block { account, exists }, Some(me)) => block(state, me, account, exists),
            (AccountCommand::Unblock { account }, _) if !state.blocked.contains(&account) => Ok(vec![]),
            (AccountCommand::Unblock { account }, _) => Ok(vec![Unblocked { account }.into()]),
            (
                AccountCommand::StartSession {
                    session,
                    device,
                    expires_at,
                },
                _,
            ) => Ok(start_session(
                state,
                context.max_sessions,
                session,
                device.as_deref(),
                expires_at,
            )),
            (AccountCommand::EndSession { session, .. }, _) if !state.sessions.contains_key(&session) => {
                Err(AccountRejection::SessionNotFound)
            }
            (AccountCommand::EndSession { session, reason }, _) => Ok(vec![end(session, reason)]),
        }
    }

    fn evolve(state: &mut AccountState, event: &AccountEvent) {
        match event {
            AccountEvent::Registered(event) => {
                state.account = Some(event.account);
                state.password.clone_from(&event.password);
            }
            AccountEvent::ProfileChanged(_) => {}
            AccountEvent::PasswordChanged(event) => {
                state.password = Some(event.password.clone());
                state.passwords = state.passwords.saturating_add(1);
            }
            AccountEvent::RoleGranted(event) => {
                state.roles.insert(event.role);
            }
            AccountEvent::Blocked(event) => {
                state.blocked.insert(event.account);
            }
            AccountEvent::Unblocked(event) => {
                state.blocked.remove(&event.account);
            }
            AccountEvent::SessionStarted(event) => {
                state.sessions.insert(event.session, event.expires_at);
            }
            AccountEvent::SessionEnded(event) => {
                state.sessions.remove(&event.session);
            }
            AccountEvent::BotTakenOn(_)
            | AccountEvent::BotLetGo(_)
            | AccountEvent::BotRegistered(_)
            | AccountEvent::BotChanged(_)
            | AccountEvent::BotRetired(_)
            | AccountEvent::BotKeyCreated(_)
            | AccountEvent::BotKeyRevoked(_) => bot::evolve(state, event),
            AccountEvent::EmailConfirmed(_)
            | AccountEvent::EmailLinkAsked(_)
            | AccountEvent::EmailChangeAsked(_)
            | AccountEvent::EmailChanged(_)
            | AccountEvent::PasswordResetAsked(_) => {
                state.email.evolve(event);
            }
        }
    }
}

fn block(
    state: &AccountState,
    me: AccountId,
    account: AccountId,
    exists: bool,
) -> Result<Vec<AccountEvent>, AccountRejection> {
    if account == me {
        return Err(AccountRejection::BlocksItself);
    }
    if !exists {
        return Err(AccountRejection::NotFound);
    }
    if state.blocked.contains(&account) {
        return Ok(vec![]);
    }
    if state.blocked.len() >= MAX_BLOCKED {
        return Err(AccountRejection::TooManyBlocked);
    }
    Ok(vec![Blocked { account }.into()])
}

fn register(
    account: AccountId,
    handle: &str,
    email: &str,
    display_name: Option<&str>,
    password: Option<Sealed<String>>,
) -> Result<Registered, AccountRejection> {
    names::handle(handle).map_err(AccountRejection::Handle)?;
    names::email(email).map_err(AccountRejection::Email)?;
    let display_name = names::shown(display_name.unwrap_or(handle)).map_err(AccountRejection::DisplayName)?;
    Ok(Registered {
        account,
        handle: handle.trim().into(),
        email: email.trim().into(),
        display_name: display_name.into(),
        password,
    })
}

fn show_as(name: &str) -> Result<Vec<AccountEvent>, AccountRejection> {
    let name = names::shown(name).map_err(AccountRejection::DisplayName)?;
    let display_name = Some(name.into());
    Ok(vec![ProfileChanged { display_name }.into()])
}

fn change_password(
    state: &AccountState,
    password: Sealed<String>,
    keep: Option<SessionId>,
) -> Vec<AccountEvent> {
    let others = state.sessions.keys().filter(|&&session| Some(session) != keep);
    let ends = others.map(|&session| end(session, SessionEnd::PasswordChanged));
    let changed = PasswordChanged { password };
    std::iter::once(changed.into()).chain(ends).collect()
}

fn start_session(
    state: &AccountState,
    max_sessions: usize,
    session: SessionId,
    device: Option<&str>,
    expires_at: Timestamp,
) -> Vec<AccountEvent> {
    let device = device.and_then(names::device).map(Sealed::from);
    let started = SessionStarted {
        session,
        device,
        expires_at,
    };
    let room_made = displaced(state, max_sessions).map(|old| end(old, SessionEnd::Displaced));
    room_made.chain([started.into()]).collect()
}

/// The sessions that make room for one more: those that would end first, overdue ones among them.
fn displaced(state: &AccountState, max: usize) -> impl Iterator<Item = SessionId> {
    let mut by_end: Vec<_> = state
        .sessions
        .iter()
        .map(|(&session, &end)| (end, session))
        .collect();
    by_end.sort_unstable();
    let surplus = (by_end.len() + 1).saturating_sub(max.max(1));
    by_end.into_iter().take(surplus).map(|(_, session)| session)
}

fn end(session: SessionId, reason: SessionEnd) -> AccountEvent {
    SessionEnded { session, reason }.into()
}

/// Whether an event changed what the account shows of itself.
pub fn changes_profile(event: &AccountEvent) -> bool {
    match event {
        AccountEvent::Registered(_)
        | AccountEvent::ProfileChanged(_)
        | AccountEvent::RoleGranted(_)
        | AccountEvent::BotRegistered(_)
        | AccountEvent::BotChanged(_)
        | AccountEvent::BotRetired(_) => true,
        AccountEvent::PasswordChanged(_)
        | AccountEvent::EmailConfirmed(_)
        | AccountEvent::EmailLinkAsked(_)
        | AccountEvent::EmailChangeAsked(_)
        | AccountEvent::EmailChanged(_)
        | AccountEvent::PasswordResetAsked(_)
        | AccountEvent::Blocked(_)
        | AccountEvent::Unblocked(_)
        | AccountEvent::SessionStarted(_)
        | AccountEvent::SessionEnded(_)
        | AccountEvent::BotTakenOn(_)
        | AccountEvent::BotLetGo(_)
        | AccountEvent::BotKeyCreated(_)
        | AccountEvent::BotKeyRevoked(_) => false,
    }
}

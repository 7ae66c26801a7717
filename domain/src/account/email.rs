//! The address that an account gets mail at: whether somebody reads there, how it becomes another, and the links that
//! are sent to it. A link names what it was made for by a number, so that what has happened since ends it.

use std::collections::BTreeMap;
use std::time::Duration;

use veza_events::account::{
    AccountEvent, EmailChangeAsked, EmailChanged, EmailConfirmed, EmailLinkAsked, PasswordResetAsked,
};
use veza_events::{Event, Sealed, SessionId, Timestamp};

use super::{AccountContext, AccountRejection, AccountState, change_password};
use crate::names;

/// What is known of an account's address. The address itself is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Email {
    /// Which of its addresses is the present one.
    pub number: u32,
    /// Whether somebody has said that they read there.
    pub confirmed: bool,
    /// The one that it wants to be mailed at instead, until then.
    pub wanted: Option<(u32, Timestamp)>,
    /// How long the last link to confirm an address is good.
    pub link_until: Option<Timestamp>,
    /// How long the last link to set another password is good.
    pub reset_until: Option<Timestamp>,
}

impl Email {
    fn newest(&self) -> u32 {
        self.wanted.map_or(self.number, |(number, _)| number)
    }
}

/// How long links are good, and how often somebody gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRules {
    /// Life of a link that confirms an address.
    pub confirm: Duration,
    /// Life of a link that sets another password.
    pub reset: Duration,
    /// Least time between two links.
    pub pause: Duration,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailCommand {
    /// Get another link for the address that is still to be confirmed.
    AskLink {
        /// The time.
        now: Timestamp,
    },
    /// Get mail elsewhere.
    AskChange {
        /// As typed.
        email: String,
        /// The time.
        now: Timestamp,
    },
    /// Say that one reads the mail of an address.
    Confirm {
        /// Which of the account's addresses.
        number: u32,
        /// It, as typed, if it is one that was asked for.
        email: Option<String>,
    },
    /// Get a link to set another password with.
    AskReset {
        /// The time.
        now: Timestamp,
    },
    /// Set another password by such a link. All sessions end.
    Reset {
        /// How many passwords the account had when the link was made.
        number: u32,
        /// Hash in PHC form.
        password: Sealed<String>,
    },
}

type Decision = Result<Vec<AccountEvent>, AccountRejection>;

pub(super) fn decide(state: &AccountState, context: &AccountContext, command: EmailCommand) -> Decision {
    if state.account.is_none() {
        return Err(AccountRejection::NotFound);
    }
    if state.bot.is_some() {
        return Err(AccountRejection::IsBot);
    }
    let (email, rules) = (&state.email, &context.links);
    match command {
        EmailCommand::AskLink { .. } if email.confirmed && email.wanted.is_none() => {
            Err(AccountRejection::EmailConfirmed)
        }
        EmailCommand::AskLink { now } => {
            let asked = EmailLinkAsked {
                number: email.newest(),
                expires_at: next(email.link_until, rules.confirm, rules.pause, now)?,
            };
            Ok(vec![asked.into()])
        }
        EmailCommand::AskChange { email: typed, now } => {
            names::email(&typed).map_err(AccountRejection::Email)?;
            let asked = EmailChangeAsked {
                number: email.newest().saturating_add(1),
                email: typed.trim().into(),
                expires_at: next(email.link_until, rules.confirm, rules.pause, now)?,
            };
            Ok(vec![asked.into()])
        }
        EmailCommand::Confirm { number, email: typed } => confirm(email, number, typed),
        EmailCommand::AskReset { .. } if !email.confirmed => Err(AccountRejection::EmailNotConfirmed),
        EmailCommand::AskReset { now } => {
            let asked = PasswordResetAsked {
                number: state.passwords,
                expires_at: next(email.reset_until, rules.reset, rules.pause, now)?,
            };
            Ok(vec![asked.into()])
        }
        EmailCommand::Reset { number, .. } if number != state.passwords => Err(AccountRejection::LinkOver),
        EmailCommand::Reset { password, .. } => Ok(change_password(state, password, None::<SessionId>)),
    }
}

fn confirm(email: &Email, number: u32, typed: Option<String>) -> Decision {
    match (email.wanted, typed) {
        (Some((wanted, _)), Some(typed)) if wanted == number => {
            let email = typed.into();
            Ok(vec![EmailChanged { number, email }.into()])
        }
        _ if number != email.number => Err(AccountRejection::LinkOver),
        // Somebody clicks twice.
        _ if email.confirmed => Ok(vec![]),
        _ => Ok(vec![EmailConfirmed { number }.into()]),
    }
}

/// The end of a link that is made now, `pause` behind the one before at the earliest.
fn next(
    last: Option<Timestamp>,
    life: Duration,
    pause: Duration,
    now: Timestamp,
) -> Result<Timestamp, AccountRejection> {
    if let Some(last) = last {
        let wait = last.time() - life + pause - now.time();
        if wait.is_positive() {
            let wait_ms = u64::try_from(wait.whole_milliseconds())
                .unwrap_or(u64::MAX)
                .max(1);
            return Err(AccountRejection::LinkTooSoon { wait_ms });
        }
    }
    Ok((now.time() + life).into())
}

/// The addresses of an account by their numbers, for who writes to them: as much of its history as is taken in.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    email: Email,
    all: BTreeMap<u32, String>,
}

impl Addresses {
    /// Those that these facts name, as far as they can be opened.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut known = Self::default();
        for event in events {
            if let Event::Account(event) = event
                && let Some((number, address)) = known.email.evolve(event)
                && let Some(address) = address.clear()
            {
                known.all.insert(number, address.clone());
            }
        }
        known
    }

    /// What is known besides the addresses.
    pub fn email(&self) -> Email {
        self.email
    }

    /// The address of that number.
    pub fn get(&self, number: u32) -> Option<&String> {
        self.all.get(&number)
    }

    /// Where the account gets mail.
    pub fn present(&self) -> Option<&String> {
        self.get(self.email.number)
    }
}

impl Email {
    /// Takes in what has happened. Gives the address that the event names, and its number.
    pub(super) fn evolve<'a>(&mut self, event: &'a AccountEvent) -> Option<(u32, &'a Sealed<String>)> {
        match event {
            AccountEvent::Registered(event) => return Some((0, &event.email)),
            AccountEvent::EmailConfirmed(_) => self.confirmed = true,
            AccountEvent::EmailLinkAsked(event) => self.link_until = Some(event.expires_at),
            AccountEvent::EmailChangeAsked(event) => {
                self.wanted = Some((event.number, event.expires_at));
                self.link_until = Some(event.expires_at);
                return Some((event.number, &event.email));
            }
            AccountEvent::EmailChanged(event) => {
                self.number = event.number;
                self.confirmed = true;
                self.wanted = None;
                return Some((event.number, &event.email));
            }
            AccountEvent::PasswordResetAsked(event) => self.reset_until = Some(event.expires_at),
            AccountEvent::ProfileChanged(_)
            | AccountEvent::PasswordChanged(_)
            | AccountEvent::RoleGranted(_)
            | AccountEvent::Blocked(_)
            | AccountEvent::Unblocked(_)
            | AccountEvent::SessionStarted(_)
            | AccountEvent::SessionEnded(_)
            | AccountEvent::BotTakenOn(_)
            | AccountEvent::BotLetGo(_)
            | AccountEvent::BotRegistered(_)
            | AccountEvent::BotChanged(_)
            | AccountEvent::BotRetired(_)
            | AccountEvent::BotKeyCreated(_)
            | AccountEvent::BotKeyRevoked(_) => {}
        }
        None
    }
}

#[cfg(test)]
mod tests;

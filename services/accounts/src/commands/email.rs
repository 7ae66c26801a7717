//! The address of an account: confirming it, getting mail elsewhere, and another password by a link that goes there.

use serde_json::json;
use veza_domain::account::{Account, AccountCommand, AccountRejection, Addresses, EmailCommand};
use veza_domain::handle::{Handle, HandleCommand, NameKind};
use veza_domain::{Decider, names};
use veza_events::account::AccountEvent;
use veza_events::{AccountId, Sealed, Subject};
use veza_platform::ambient;
use veza_platform::contract::accounts::{
    AskEmailLink, AskPasswordReset, ChangeEmail, ConfirmEmail, Done, ResetPassword,
};
use veza_platform::contract::{Caller, Command, Problem};
use veza_platform::event_log::Expect;
use veza_platform::ledger::{Write, Written};
use veza_platform::links::{Link, Purpose};

use super::Remembered;
use super::password::{fault_of_current, hash_of};
use super::register::claimed;
use crate::account::{Known, writes};
use crate::worker::Worker;

/// Takes [`AskEmailLink`].
pub(super) async fn ask_link(
    worker: &Worker,
    caller: &Caller,
    command: AskEmailLink,
) -> Result<Done, Problem> {
    let account = caller.account()?;
    let ask = EmailCommand::AskLink {
        now: ambient::now().into(),
    };
    done(decided(worker, caller, &command, account, ask).await)
}

/// Takes [`ChangeEmail`]: the present password is asked for.
pub(super) async fn change(worker: &Worker, caller: &Caller, command: ChangeEmail) -> Result<Done, Problem> {
    let account = caller.account()?;
    let seen = worker.accounts.known_exactly(account).await?;
    if let Some(fault) = fault_of_current(worker, &seen, command.current.as_ref(), "current").await? {
        return Err(fault);
    }
    // Refused now, although only the link decides: nobody waits for a mail that cannot help.
    let name = names::email(&command.email).map_err(AccountRejection::Email)?;
    let subject = worker.names.subject(NameKind::Email, &name).await?;
    let claim = worker.names.claim(subject, true).await?;
    claimed(&claim, NameKind::Email, account)?;
    let ask = EmailCommand::AskChange {
        email: command.email.clone(),
        now: ambient::now().into(),
    };
    let remembered = Remembered::<ChangeEmail>::new(json!([command.email]));
    done(decided(worker, caller, &remembered, account, ask).await)
}

/// Takes [`ConfirmEmail`]. Whoever has the link reads the mail; they need not be signed in where they read it.
pub(super) async fn confirm(
    worker: &Worker,
    caller: &Caller,
    command: ConfirmEmail,
) -> Result<Done, Problem> {
    let link = read(worker, Purpose::Confirm, command.token.expose()).await?;
    let (account, number) = (link.account, link.number);
    let remembered = Remembered::<ConfirmEmail>::new(json!([account, number]));
    let decide = async |race| {
        let known = worker.accounts.known_after(account, race).await?;
        let change = Change::of(worker, account, &known, number).await?;
        let confirm = EmailCommand::Confirm {
            number,
            email: change.wanted.clone(),
        };
        let events = Account::decide(
            &known.state,
            &worker.settings.context,
            AccountCommand::Email(confirm),
        )?;
        let moves = events
            .iter()
            .any(|event| matches!(event, AccountEvent::EmailChanged(_)));
        let mut all = writes(account, known.seq, events);
        if moves {
            all.extend(change.moved(worker, account).await?);
        }
        Ok(all)
    };
    let subject = Subject::Account(account);
    done(
        worker
            .ledger
            .execute(&by_link(caller, account), &remembered, &subject, decide)
            .await,
    )
}

/// Takes [`AskPasswordReset`]. Whoever asks learns nothing of it: refusals stay here.
pub(super) async fn ask_reset(
    worker: &Worker,
    caller: &Caller,
    command: AskPasswordReset,
) -> Result<Done, Problem> {
    let Some(account) = worker.names.holder(&command.login).await? else {
        return Ok(Done { position: None });
    };
    let ask = EmailCommand::AskReset {
        now: ambient::now().into(),
    };
    let remembered = Remembered::<AskPasswordReset>::new(json!([account]));
    match decided(worker, &as_nobody(caller), &remembered, account, ask).await {
        Err(problem) if problem.code.starts_with("account.") => Ok(Done { position: None }),
        written => done(written),
    }
}

/// Takes [`ResetPassword`]: all sessions end.
pub(super) async fn reset(worker: &Worker, caller: &Caller, command: ResetPassword) -> Result<Done, Problem> {
    let link = read(worker, Purpose::Reset, command.token.expose()).await?;
    let hash = hash_of(worker, link.account, &command.new, "new").await?;
    let reset = EmailCommand::Reset {
        number: link.number,
        password: Sealed::from(hash),
    };
    let remembered = Remembered::<ResetPassword>::new(json!([link.account, link.number]));
    let caller = by_link(caller, link.account);
    done(decided(worker, &caller, &remembered, link.account, reset).await)
}

fn done(written: Result<Written, Problem>) -> Result<Done, Problem> {
    written.map(|written| Done {
        position: written.last().cloned(),
    })
}

/// Whoever has a link acts as the account that it was made for, and under its key.
fn by_link(caller: &Caller, account: AccountId) -> Caller {
    Caller {
        account: Some(account),
        session: None,
        ..*caller
    }
}

fn as_nobody(caller: &Caller) -> Caller {
    Caller {
        account: None,
        session: None,
        ..*caller
    }
}

async fn read(worker: &Worker, purpose: Purpose, token: &str) -> Result<Link, Problem> {
    let key = worker.ledger.keys().installation_key().await?;
    let link = Link::read(&key, purpose, token, ambient::now());
    link.ok_or_else(|| AccountRejection::LinkOver.into())
}

async fn decided<C: Command>(
    worker: &Worker,
    caller: &Caller,
    command: &C,
    account: AccountId,
    change: EmailCommand,
) -> Result<Written, Problem> {
    let decide = async |race| -> Result<Vec<Write>, Problem> {
        let known = worker.accounts.known_after(account, race).await?;
        let change = AccountCommand::Email(change.clone());
        let events = Account::decide(&known.state, &worker.settings.context, change)?;
        worker.sessions.end_those_of(&events).await?;
        Ok(writes(account, known.seq, events))
    };
    let subject = Subject::Account(account);
    worker.ledger.execute(caller, command, &subject, decide).await
}

/// The addresses that a change is about, from the account's history.
#[derive(Default)]
struct Change {
    present: Option<String>,
    wanted: Option<String>,
}

impl Change {
    async fn of(worker: &Worker, account: AccountId, known: &Known, number: u32) -> Result<Self, Problem> {
        // Only a change has an address to look for.
        let wanted = known.state.email.wanted;
        if wanted.is_none_or(|(wanted, _)| wanted != number) {
            return Ok(Self::default());
        }
        let history = worker.ledger.load(&Subject::Account(account), 0).await?;
        let addresses = Addresses::of(history.iter().map(|recorded| &recorded.event));
        Ok(Self {
            present: addresses.present().cloned(),
            wanted: addresses.get(number).cloned(),
        })
    }

    /// The claim on the one address, and the end of that on the other.
    async fn moved(&self, worker: &Worker, account: AccountId) -> Result<Vec<Write>, Problem> {
        let mut all = Vec::new();
        let normal = |typed: &Option<String>| typed.as_deref().and_then(|typed| names::email(typed).ok());
        let (old, new) = (normal(&self.present), normal(&self.wanted));
        if old == new {
            return Ok(all);
        }
        if let Some(new) = new {
            let subject = worker.names.subject(NameKind::Email, &new).await?;
            let claim = worker.names.claim(subject, true).await?;
            all.extend(claimed(&claim, NameKind::Email, account)?);
        }
        if let Some(old) = old {
            let subject = worker.names.subject(NameKind::Email, &old).await?;
            let claim = worker.names.claim(subject, true).await?;
            let events = Handle::decide(&claim.state, &NameKind::Email, HandleCommand::Release { account })?;
            all.extend(events.into_iter().map(|event| Write {
                subject: claim.subject.clone(),
                expect: Expect::Last(claim.seq),
                event: event.into(),
            }));
        }
        Ok(all)
    }
}

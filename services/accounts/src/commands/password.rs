//! Another password.

use serde_json::json;
use veza_domain::Decider;
use veza_domain::account::{Account, AccountCommand};
use veza_events::{AccountId, Sealed, Subject};
use veza_platform::contract::accounts::{ChangePassword, ConfirmPassword, Done};
use veza_platform::contract::{Caller, Problem, ProblemKind, Sensitive};

use super::Remembered;
use crate::account::{Known, writes};
use crate::password;
use crate::worker::Worker;

/// Takes [`ChangePassword`]: the present one is asked for, and all other sessions end.
pub(super) async fn change(
    worker: &Worker,
    caller: &Caller,
    command: ChangePassword,
) -> Result<Done, Problem> {
    let account = caller.account()?;
    let min_chars = worker.settings.min_password_chars;
    let handle = worker.accounts.handle(account).await?.unwrap_or_default();
    password::check(command.new.expose(), min_chars, &[&handle], "new")?;

    let seen = worker.accounts.known_exactly(account).await?;
    // Not refused at once: repeated after a lost answer, the command meets its own new password.
    let fault = fault_of_current(worker, &seen, command.current.as_ref(), "current").await?;
    let hash = match fault {
        None => Sealed::from(worker.passwords.hash(&command.new).await?),
        Some(_) => Sealed::from(String::new()),
    };
    let decide = async |race| {
        let known = worker.accounts.known_after(account, race).await?;
        if let Some(fault) = &fault {
            return Err(fault.clone());
        }
        if known.state.password != seen.state.password {
            return Err(Problem::new(
                ProblemKind::Conflict,
                "account.password_changed",
                "the password was changed elsewhere at the same time",
            ));
        }
        let change = AccountCommand::ChangePassword {
            password: hash.clone(),
            keep: caller.session,
        };
        let events = Account::decide(&known.state, &worker.settings.context, change)?;
        worker.sessions.end_those_of(&events).await?;
        Ok(writes(account, known.seq, events))
    };
    let remembered = Remembered::<ChangePassword>::new(json!([]));
    let subject = Subject::Account(account);
    let written = worker
        .ledger
        .execute(caller, &remembered, &subject, decide)
        .await?;
    Ok(Done {
        position: written.last().cloned(),
    })
}

/// Takes [`ConfirmPassword`]: who is signed in shows that they are who signed in.
pub(super) async fn confirm(
    worker: &Worker,
    caller: &Caller,
    command: &ConfirmPassword,
) -> Result<Done, Problem> {
    let seen = worker.accounts.known_exactly(caller.account()?).await?;
    match fault_of_current(worker, &seen, command.password.as_ref(), "password").await? {
        Some(fault) => Err(fault),
        None => Ok(Done { position: None }),
    }
}

/// The hash of a password that `account` may sign in with from now on.
pub(super) async fn hash_of(
    worker: &Worker,
    account: AccountId,
    new: &Sensitive,
    field: &str,
) -> Result<String, Problem> {
    let min_chars = worker.settings.min_password_chars;
    let handle = worker.accounts.handle(account).await?.unwrap_or_default();
    password::check(new.expose(), min_chars, &[&handle], field)?;
    worker.passwords.hash(new).await
}

/// What is wrong with the password given as the present one. An account without one has nothing to give.
pub(super) async fn fault_of_current(
    worker: &Worker,
    seen: &Known,
    current: Option<&Sensitive>,
    field: &str,
) -> Result<Option<Problem>, Problem> {
    let Some(sealed) = &seen.state.password else {
        return Ok(None);
    };
    let Some(current) = current else {
        let detail = "give the present password as well";
        return Ok(Some(Problem::field("account.password_required", field, detail)));
    };
    let hash = sealed.clear().map(String::as_str);
    if worker.passwords.verify(current, hash).await? {
        return Ok(None);
    }
    let detail = "this is not the present password";
    Ok(Some(Problem::field("account.password_wrong", field, detail)))
}

//! Whom an account does not want to hear from.

use veza_domain::Decider;
use veza_domain::account::{Account, AccountCommand};
use veza_events::{AccountId, Subject};
use veza_platform::contract::accounts::{Block, Done, Unblock};
use veza_platform::contract::{Caller, Command, Problem};

use crate::account::writes;
use crate::worker::Worker;

/// Takes [`Block`].
pub(super) async fn block(worker: &Worker, caller: &Caller, command: Block) -> Result<Done, Problem> {
    let exists = worker
        .accounts
        .known(command.account)
        .await?
        .state
        .account
        .is_some();
    let change = |account| AccountCommand::Block { account, exists };
    decided(worker, caller, &command, change(command.account)).await
}

/// Takes [`Unblock`].
pub(super) async fn unblock(worker: &Worker, caller: &Caller, command: Unblock) -> Result<Done, Problem> {
    let change = |account: AccountId| AccountCommand::Unblock { account };
    decided(worker, caller, &command, change(command.account)).await
}

async fn decided<C: Command>(
    worker: &Worker,
    caller: &Caller,
    command: &C,
    change: AccountCommand,
) -> Result<Done, Problem> {
    let account = caller.account()?;
    let decide = async |race| {
        let known = worker.accounts.known_after(account, race).await?;
        let events = Account::decide(&known.state, &worker.settings.context, change.clone())?;
        Ok(writes(account, known.seq, events))
    };
    let subject = Subject::Account(account);
    let written = worker.ledger.execute(caller, command, &subject, decide).await?;
    Ok(Done {
        position: written.last().cloned(),
    })
}

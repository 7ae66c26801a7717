//! Ending sessions.

use veza_domain::Decider;
use veza_domain::account::{Account, AccountCommand, AccountRejection};
use veza_events::account::SessionEnd;
use veza_events::{AccountId, SessionId, Subject};
use veza_platform::contract::accounts::{Done, EndSession};
use veza_platform::contract::{Caller, Problem};
use veza_platform::ledger::Written;

use crate::account::writes;
use crate::worker::Worker;

/// Takes [`EndSession`]: gateways refuse its tokens within a second, and it cannot be refreshed.
pub(super) async fn end_session(
    worker: &Worker,
    caller: &Caller,
    command: EndSession,
) -> Result<Done, Problem> {
    let account = caller.account()?;
    let reason = if caller.session == Some(command.session) {
        SessionEnd::SignedOut
    } else {
        SessionEnd::Revoked
    };
    let written = end_if_open(worker, caller, account, &command, reason).await?;
    Ok(Done {
        position: written.last().cloned(),
    })
}

/// Ends a session that may be over already.
pub(super) async fn end(
    worker: &Worker,
    caller: &Caller,
    account: AccountId,
    session: SessionId,
    reason: SessionEnd,
) -> Result<(), Problem> {
    let ended = end_if_open(worker, caller, account, &EndSession { session }, reason).await;
    let over_already = Problem::from(AccountRejection::SessionNotFound);
    match ended {
        Ok(_) => Ok(()),
        // Its history says so; what is left of it goes as well.
        Err(problem) if problem.code == over_already.code => worker.sessions.end(session).await,
        Err(problem) => Err(problem),
    }
}

async fn end_if_open(
    worker: &Worker,
    caller: &Caller,
    account: AccountId,
    command: &EndSession,
    reason: SessionEnd,
) -> Result<Written, Problem> {
    let session = command.session;
    let decide = async |race| {
        let known = worker.accounts.known_after(account, race).await?;
        let end = AccountCommand::EndSession { session, reason };
        let events = Account::decide(&known.state, &worker.settings.context, end)?;
        worker.sessions.end_those_of(&events).await?;
        Ok(writes(account, known.seq, events))
    };
    let subject = Subject::Account(account);
    worker.ledger.execute(caller, command, &subject, decide).await
}

//! Changing what an account shows of itself.

use veza_domain::Decider;
use veza_domain::account::{Account, AccountCommand, changes_profile};
use veza_events::{Event, Subject};
use veza_platform::contract::accounts::{ChangeProfile, Done};
use veza_platform::contract::{Caller, Problem};
use veza_platform::ledger::About;

use crate::account::writes;
use crate::worker::Worker;

/// Takes [`ChangeProfile`].
pub(super) async fn change(
    worker: &Worker,
    caller: &Caller,
    command: ChangeProfile,
) -> Result<Done, Problem> {
    let account = caller.account()?;
    let decide = async |race| {
        let known = worker.accounts.known_after(account, race).await?;
        let change = AccountCommand::ChangeProfile {
            display_name: command.display_name.clone(),
        };
        let events = Account::decide(&known.state, &worker.settings.context, change)?;
        Ok(writes(account, known.seq, events))
    };
    let subject = Subject::Account(account);
    let about = About {
        primary: &subject,
        or: None,
        concerns: &|event| !matches!(event, Event::Account(event) if !changes_profile(event)),
    };
    let written = worker.ledger.execute(caller, &command, about, decide).await?;
    Ok(Done {
        position: written.last().cloned(),
    })
}

//! Changing what an account shows of itself.

use veza_domain::Decider;
use veza_domain::account::{Account, AccountCommand};
use veza_events::Subject;
use veza_platform::contract::accounts::{ChangeProfile, Done};
use veza_platform::contract::{Caller, Problem};

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
    let written = worker.ledger.execute(caller, &command, &subject, decide).await?;
    Ok(Done {
        position: written.last().cloned(),
    })
}

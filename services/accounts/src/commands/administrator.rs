//! The first administrator: an account without a password, and a link to sign in with until somebody has.

use serde_json::json;
use uuid::Uuid;
use veza_domain::account::{Account, AccountCommand};
use veza_domain::decide_all;
use veza_domain::handle::{HandleRejection, NameKind};
use veza_events::account::InstallationRole;
use veza_events::{AccountId, Subject};
use veza_platform::contract::accounts::{AdministratorInvited, InviteAdministrator};
use veza_platform::contract::{Caller, Problem};

use super::Remembered;
use super::register::{NewNames, together};
use crate::names::ADMINISTRATOR;
use crate::worker::Worker;

/// Takes [`InviteAdministrator`]. Only a process on the machine itself gives this command.
pub(super) async fn invite(worker: &Worker, caller: &Caller) -> Result<AdministratorInvited, Problem> {
    let account = match find(worker).await? {
        Some(account) => account,
        None => make(worker, caller).await?,
    };
    let known = worker.accounts.known_exactly(account).await?;
    if !known.state.roles.contains(&InstallationRole::Administrator) {
        return Err(Problem::internal(&format!(
            "the account {ADMINISTRATOR} is no administrator"
        )));
    }
    let token = if known.ever_signed_in {
        None
    } else {
        Some(worker.links.make(account).await?)
    };
    Ok(AdministratorInvited { token })
}

async fn find(worker: &Worker) -> Result<Option<AccountId>, Problem> {
    let subject = worker.names.subject(NameKind::Handle, ADMINISTRATOR).await?;
    Ok(worker.names.claim(subject, true).await?.state.holder)
}

/// Makes the account; if another invitation was faster, takes what it made.
async fn make(worker: &Worker, caller: &Caller) -> Result<AccountId, Problem> {
    let account: AccountId = caller.command.derive(Uuid::nil(), "administrator");
    // No mail goes there (RFC 2606), and nobody else can have chosen it.
    let email = format!("{ADMINISTRATOR}@{account}.invalid");
    let names = NewNames::find(worker, ADMINISTRATOR, &email).await?;
    worker.ledger.keys().ensure(account).await?;
    let commands = [
        AccountCommand::Register {
            account,
            handle: ADMINISTRATOR.to_owned(),
            email,
            display_name: Some("Administrator".to_owned()),
            password: None,
        },
        AccountCommand::GrantRole {
            role: InstallationRole::Administrator,
        },
    ];
    let decide = async |race| {
        let known = worker.accounts.known_after(account, race).await?;
        let context = &worker.settings.context;
        let events = decide_all::<Account>(&known.state, context, commands.clone())?;
        let claims = names.claim_for(worker, account, race > 0).await?;
        Ok(together(account, &known, events, claims))
    };
    let anonymous = Caller {
        account: None,
        session: None,
        ..*caller
    };
    let remembered = Remembered::<InviteAdministrator>::new(json!([]));
    let subject = Subject::Account(account);
    let written = worker
        .ledger
        .execute(&anonymous, &remembered, &subject, decide)
        .await;
    match written {
        Ok(_) => Ok(account),
        Err(problem) if problem.code == Problem::from(HandleRejection::HandleTaken).code => {
            let found = find(worker).await?;
            found.ok_or(problem)
        }
        Err(problem) => Err(problem),
    }
}

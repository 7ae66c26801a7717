//! Making an account: both names are claimed and the account is written in one batch, or nothing is.

use serde_json::json;
use uuid::Uuid;
use veza_domain::account::{Account, AccountCommand, AccountRejection};
use veza_domain::handle::{Handle, HandleCommand, HandleRejection, NameKind};
use veza_domain::{Decider, names};
use veza_events::account::AccountEvent;
use veza_events::{AccountId, Sealed, Subject};
use veza_platform::contract::accounts::{Register, Registered};
use veza_platform::contract::{Caller, Problem};
use veza_platform::event_log::Expect;
use veza_platform::ledger::Write;

use super::Remembered;
use crate::account::{Known, writes};
use crate::names::{Claim, is_reserved};
use crate::password;
use crate::worker::Worker;

/// Takes [`Register`].
pub(super) async fn register(
    worker: &Worker,
    caller: &Caller,
    command: Register,
) -> Result<Registered, Problem> {
    let Register {
        handle,
        email,
        password,
        display_name,
    } = command;
    let names = NewNames::read(worker, &handle, &email).await?;
    let min_chars = worker.settings.min_password_chars;
    let local_part = email.split('@').next().unwrap_or_default();
    password::check(password.expose(), min_chars, &[&handle, local_part], "password")?;

    let account: AccountId = caller.command.derive(Uuid::nil(), "account");
    // Seen before the slow hash, and decided again before the write.
    names.claim_for(worker, account, false).await?;
    let hash = worker.passwords.hash(&password).await?;
    let remembered = Remembered::<Register>::new(json!([handle, email, display_name]));
    let command = AccountCommand::Register {
        account,
        handle,
        email,
        display_name,
        password: Some(Sealed::from(hash)),
    };
    worker.ledger.keys().ensure(account).await?;
    let anonymous = Caller {
        account: None,
        session: None,
        ..*caller
    };
    let subject = Subject::Account(account);
    let decide = async |race| {
        let known = worker.accounts.known_after(account, race).await?;
        let events = Account::decide(&known.state, &worker.settings.context, command.clone())?;
        let claims = names.claim_for(worker, account, race > 0).await?;
        Ok(together(account, &known, events, claims))
    };
    let written = worker
        .ledger
        .execute(&anonymous, &remembered, &subject, decide)
        .await?;
    let position = written.last().cloned();
    let position = position.ok_or_else(|| Problem::internal(&"an account was made without an event"))?;
    Ok(Registered { account, position })
}

/// The events of the account, then the claims, as one batch.
pub(super) fn together(
    account: AccountId,
    known: &Known,
    events: Vec<AccountEvent>,
    claims: Vec<Write>,
) -> Vec<Write> {
    let mut batch = writes(account, known.seq, events);
    batch.extend(claims);
    batch
}

/// The names of an account to be made, and where claims on them lie.
pub(super) struct NewNames {
    handle: Subject,
    email: Subject,
}

impl NewNames {
    /// Refuses what cannot be a name, and handles that are kept back.
    async fn read(worker: &Worker, handle: &str, email: &str) -> Result<Self, Problem> {
        let handle = names::handle(handle).map_err(AccountRejection::Handle)?;
        let email = names::email(email).map_err(AccountRejection::Email)?;
        if is_reserved(&handle) {
            return Err(HandleRejection::HandleTaken.into());
        }
        Self::find(worker, &handle, &email).await
    }

    /// Where claims on names in their normal form lie.
    pub(super) async fn find(worker: &Worker, handle: &str, email: &str) -> Result<Self, Problem> {
        Ok(Self {
            handle: worker.names.subject(NameKind::Handle, handle).await?,
            email: worker.names.subject(NameKind::Email, email).await?,
        })
    }

    /// The events that claim both for `account`.
    pub(super) async fn claim_for(
        &self,
        worker: &Worker,
        account: AccountId,
        consistent: bool,
    ) -> Result<Vec<Write>, Problem> {
        let handle = worker.names.claim(self.handle.clone(), consistent).await?;
        let email = worker.names.claim(self.email.clone(), consistent).await?;
        let mut claims = claimed(&handle, NameKind::Handle, account)?;
        claims.extend(claimed(&email, NameKind::Email, account)?);
        Ok(claims)
    }
}

pub(super) fn claimed(claim: &Claim, kind: NameKind, account: AccountId) -> Result<Vec<Write>, Problem> {
    let events = Handle::decide(&claim.state, &kind, HandleCommand::Claim { account })?;
    let write = |event: veza_events::handle::HandleEvent| Write {
        subject: claim.subject.clone(),
        expect: Expect::Last(claim.seq),
        event: event.into(),
    };
    Ok(events.into_iter().map(write).collect())
}

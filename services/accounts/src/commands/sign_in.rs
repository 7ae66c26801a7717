//! Starting a session, by password or by a one-time link.

use serde_json::json;
use veza_domain::Decider;
use veza_domain::account::{Account, AccountCommand};
use veza_events::{AccountId, Sealed, SessionId, Subject, Timestamp};
use veza_platform::ambient;
use veza_platform::contract::accounts::{SignIn, SignInByLink, SignedIn};
use veza_platform::contract::{Caller, Command, Problem, ProblemKind, Sensitive};
use veza_platform::event_log::Position;
use veza_platform::tokens::{ACR_ONE_FACTOR, Claims};

use super::{Remembered, session_ended};
use crate::account::writes;
use crate::sessions::Issued;
use crate::worker::Worker;

/// Takes [`SignIn`]. An unknown name, a name without a password and a wrong password give the same answer
/// in the same time: all take the same way.
pub(super) async fn by_password(
    worker: &Worker,
    caller: &Caller,
    command: SignIn,
) -> Result<SignedIn, Problem> {
    let nobody = AccountId::new(caller.command.uuid());
    let account = worker.names.holder(&command.login).await?.unwrap_or(nobody);
    let known = worker.accounts.known_exactly(account).await?;
    let hash = known.state.password.as_ref().and_then(Sealed::clear);
    if !worker
        .passwords
        .verify(&command.password, hash.map(String::as_str))
        .await?
    {
        return Err(Problem::new(
            ProblemKind::Unauthenticated,
            "session.credentials",
            "name or password is wrong",
        ));
    }
    let remembered = Remembered::<SignIn>::new(json!([command.login, command.device]));
    start(worker, caller, account, &remembered, command.device).await
}

/// Takes [`SignInByLink`]. The only links are those of the first administrator, and they are over once
/// anybody signed in with one.
pub(super) async fn by_link(
    worker: &Worker,
    caller: &Caller,
    command: SignInByLink,
) -> Result<SignedIn, Problem> {
    let refused = || {
        Problem::new(
            ProblemKind::Unauthenticated,
            "session.link",
            "the link is not good, or not any more",
        )
    };
    let account = worker.links.take(&command.token, caller.command).await?;
    let account = account.ok_or_else(refused)?;
    let known = worker.accounts.known_exactly(account).await?;
    let repeated = known.state.sessions.contains_key(&session_of(caller, account));
    if known.ever_signed_in && !repeated {
        return Err(refused());
    }
    let remembered = Remembered::<SignInByLink>::new(json!([command.device]));
    start(worker, caller, account, &remembered, command.device).await
}

/// Starts the session of this command and gives its first tokens. Repeating the command gives the same
/// session, with fresh tokens as long as the first ones were not used.
async fn start<C: Command>(
    worker: &Worker,
    caller: &Caller,
    account: AccountId,
    remembered: &Remembered<C>,
    device: Option<String>,
) -> Result<SignedIn, Problem> {
    let caller = Caller {
        account: Some(account),
        ..*caller
    };
    let session = session_of(&caller, account);
    let expires_at: Timestamp = (ambient::now() + worker.settings.session_life).into();
    let subject = Subject::Account(account);
    let decide = async |race| {
        let known = worker.accounts.known_after(account, race).await?;
        let start = AccountCommand::StartSession {
            session,
            device: device.clone(),
            expires_at,
        };
        let events = Account::decide(&known.state, &worker.settings.context, start)?;
        worker.sessions.end_those_of(&events).await?;
        Ok(writes(account, known.seq, events))
    };
    let written = worker
        .ledger
        .execute(&caller, remembered, &subject, decide)
        .await?;
    let expires_at = if written.duplicate {
        let known = worker.accounts.known_exactly(account).await?;
        *known.state.sessions.get(&session).ok_or_else(session_ended)?
    } else {
        expires_at
    };
    let issued = worker.sessions.begin(session, account, expires_at).await?;
    tokens(worker, session, &issued, written.last().cloned()).await
}

/// The session that this command starts, the same each time.
fn session_of(caller: &Caller, account: AccountId) -> SessionId {
    caller.command.derive(account.uuid(), "session")
}

/// The answer: an access token beside the refresh token. It never outlives the session.
pub(super) async fn tokens(
    worker: &Worker,
    id: SessionId,
    issued: &Issued,
    position: Option<Position>,
) -> Result<SignedIn, Problem> {
    let now = ambient::now();
    let expires = (now + worker.settings.access_life).min(issued.session.expires_at.time());
    let claims = Claims {
        iss: String::new(),
        aud: String::new(),
        exp: expires.unix_timestamp(),
        nbf: now.unix_timestamp(),
        iat: now.unix_timestamp(),
        sub: issued.session.account,
        sid: id,
        ver: issued.session.generation,
        acr: ACR_ONE_FACTOR.to_owned(),
        jti: ambient::new_uuid(),
        scope: None,
    };
    let life = claims.exp - claims.iat;
    Ok(SignedIn {
        account: issued.session.account,
        session: id,
        access_token: Sensitive::new(worker.signing.issue(claims).await?),
        refresh_token: Sensitive::new(&issued.token),
        expires_in: u64::try_from(life).unwrap_or(0),
        position,
    })
}

//! A fresh pair of tokens for the newest refresh token.

use veza_events::account::SessionEnd;
use veza_platform::ambient;
use veza_platform::contract::accounts::{Refresh, SignedIn};
use veza_platform::contract::{Caller, Problem, ProblemKind};

use super::sign_in::tokens;
use super::{session_ended, sign_out};
use crate::refresh_token::Outcome;
use crate::sessions::Issued;
use crate::worker::Worker;

/// How often another use of the same token may be faster.
const MAX_RACES: usize = 5;

/// Takes [`Refresh`]. Nothing is written to the log unless a copied token ends the session.
pub(super) async fn refresh(worker: &Worker, caller: &Caller, command: Refresh) -> Result<SignedIn, Problem> {
    let presented = worker.sessions.read_token(command.refresh_token.expose()).await?;
    let (id, presented) = presented.ok_or_else(|| {
        Problem::new(
            ProblemKind::Unauthenticated,
            "session.refresh_token",
            "this is no refresh token of this installation",
        )
    })?;
    for _ in 0..MAX_RACES {
        let entry = worker.sessions.get(id).await?.ok_or_else(session_ended)?;
        let (token, digest) = worker.sessions.fresh_token(id).await?;
        match entry.value.refreshed(&presented, digest, ambient::now()) {
            Outcome::Continues(session) => {
                let issued = Issued { token, session };
                // Made first: a token must not be used up for an answer that could not be given.
                let answer = tokens(worker, id, &issued, None).await?;
                if worker
                    .sessions
                    .replace(id, &issued.session, entry.revision)
                    .await?
                {
                    return Ok(answer);
                }
            }
            Outcome::Expired => return Err(session_ended()),
            Outcome::Reused => {
                worker.reused.inc();
                tracing::warn!(session.id = %id, "a used refresh token came back; its session is ended");
                // At once, whether or not its history can be written just now.
                worker.sessions.end(id).await?;
                let owner = Caller {
                    account: Some(entry.value.account),
                    session: Some(id),
                    ..*caller
                };
                sign_out::end(worker, &owner, entry.value.account, id, SessionEnd::TokenReused).await?;
                return Err(Problem::new(
                    ProblemKind::Unauthenticated,
                    "session.token_reused",
                    "this refresh token was used before; the session is ended, sign in again",
                ));
            }
        }
    }
    Err(Problem::unavailable(
        "the session is being refreshed elsewhere",
        200,
    ))
}

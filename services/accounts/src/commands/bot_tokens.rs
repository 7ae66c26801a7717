//! Access tokens for programs (RFC 6749, 4.4). Nothing is written: a token is worth what its key is.

use time::OffsetDateTime;
use veza_domain::account::BotKey;
use veza_events::{AccountId, Scopes, SessionId};
use veza_platform::contract::accounts::{BotToken, IssueBotToken};
use veza_platform::contract::{Caller, Problem, ProblemKind, Sensitive};
use veza_platform::tokens::{ACR_ONE_FACTOR, Claims};
use veza_platform::{ambient, bot_secret};

use crate::worker::Worker;

/// Takes [`IssueBotToken`]. An unknown bot, a wrong secret and a key that is over give the same answer.
pub(super) async fn issue(worker: &Worker, _: &Caller, command: IssueBotToken) -> Result<BotToken, Problem> {
    let shown = bot_secret::read(command.secret.expose()).ok_or_else(refused)?;
    let known = worker.accounts.known_exactly(command.bot).await?;
    let now = ambient::now();
    let acts = known.state.bot.is_some_and(|bot| !bot.retired);
    let key = known.state.keys.get(&shown.key).filter(|_| acts);
    let key = key.filter(|key| key.is_good(now.into()) && shown.is(&key.digest));
    let key = key.ok_or_else(refused)?;
    let scopes = command.scopes.unwrap_or(key.scopes);
    if scopes == Scopes::NONE || !key.scopes.includes(scopes) {
        let detail = format!("the key is not good for that; ask for some of: {}", key.scopes);
        return Err(Problem::new(ProblemKind::Invalid, "bot.scope", detail));
    }
    let claims = claims(worker, command.bot, (shown.key, key), scopes, now);
    let life = claims.exp - claims.iat;
    Ok(BotToken {
        access_token: Sensitive::new(worker.signing.issue(claims).await?),
        expires_in: u64::try_from(life).unwrap_or(0),
        scopes,
    })
}

/// The token never outlives its key.
fn claims(
    worker: &Worker,
    bot: AccountId,
    (id, key): (SessionId, &BotKey),
    scopes: Scopes,
    now: OffsetDateTime,
) -> Claims {
    let end = now + worker.settings.access_life;
    let end = key.expires_at.map_or(end, |over| over.time().min(end));
    Claims {
        iss: String::new(),
        aud: String::new(),
        exp: end.unix_timestamp(),
        nbf: now.unix_timestamp(),
        iat: now.unix_timestamp(),
        sub: bot,
        sid: id,
        ver: 0,
        acr: ACR_ONE_FACTOR.to_owned(),
        jti: ambient::new_uuid(),
        scope: Some(scopes.to_string()),
    }
}

fn refused() -> Problem {
    let detail = "the bot or its secret is wrong, or the key is over";
    Problem::new(ProblemKind::Unauthenticated, "bot.credentials", detail)
}

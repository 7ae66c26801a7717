//! Who asks: the session behind the access token, and the command that a request becomes.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use poem::Request;
use poem_openapi::SecurityScheme;
use poem_openapi::auth::Bearer;
use uuid::Uuid;
use veza_events::{AccountId, CommandId, Scopes, SessionId};
use veza_platform::ambient;
use veza_platform::contract::chat::InSpace;
use veza_platform::contract::{self, Caller, Command, Problem};

use super::header::{Header, header_parameter};
use super::limits::Limits;
use super::problem::Failure;
use super::reply::Changed;
use super::seen::Seen;
use super::visit::Visit;
use crate::scopes;
use crate::state::Gateway;

/// Header that makes a repeated POST harmless.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest such key, in characters.
const MAX_KEY_CHARS: usize = 200;

/// An access token of `POST /v1/sessions` or `POST /v1/oauth/token`, as `Authorization: Bearer …`.
#[derive(SecurityScheme)]
#[oai(
    rename = "session",
    ty = "bearer",
    bearer_format = "JWT",
    checker = "verified"
)]
pub(super) struct Session(Identity);

/// Who is signed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Identity {
    account: AccountId,
    session: SessionId,
    /// What the token of a bot is good for; `None` for people.
    scopes: Option<Scopes>,
}

impl Identity {
    /// The account.
    pub(crate) fn account(self) -> AccountId {
        self.account
    }

    /// What the token of a bot is good for; `None` for people.
    pub(crate) fn scopes(self) -> Option<Scopes> {
        self.scopes
    }

    /// Its session.
    pub(crate) fn session(self) -> SessionId {
        self.session
    }
}

impl Session {
    /// The account.
    pub(super) fn account(&self) -> AccountId {
        self.0.account
    }

    /// What the token of a bot is good for; `None` for people.
    pub(super) fn scopes(&self) -> Option<Scopes> {
        self.0.scopes
    }

    /// Its session.
    pub(super) fn id(&self) -> SessionId {
        self.0.session
    }
}

#[expect(clippy::unused_async, reason = "poem-openapi waits for it")]
async fn verified(request: &Request, bearer: Bearer) -> poem::Result<Identity> {
    Ok(identify(request, &bearer.token)?)
}

/// Checks the token that a request carries, and whether it is good for the operation. A good one is charged to its account, any other to the address it
/// came from.
///
/// # Errors
/// `session.token_invalid`, `session.token_expired`, `session.ended`, `session.scope`; `request.rate`.
pub(crate) fn identify(request: &Request, token: &str) -> Result<Identity, Failure> {
    let gateway = request
        .data::<Arc<Gateway>>()
        .expect("every route has the gateway");
    let limits = request
        .data::<Arc<Limits>>()
        .expect("every request comes through the door");
    let visit = Visit::of(request);
    match gateway.verifier.verify(token, ambient::now()) {
        Ok(claims) => {
            visit.charged(limits.account(claims.sub))?;
            let scopes = claims.scope.as_deref().map(Scopes::parse_known);
            let needs = scopes::of_operation(request.method(), request.original_uri().path());
            scopes::admit(scopes, needs)?;
            Ok(Identity {
                account: claims.sub,
                session: claims.sid,
                scopes,
            })
        }
        Err(error) => {
            visit.charged(limits.address(visit.client()))?;
            Err(Problem::from(error).into())
        }
    }
}

/// What makes a write happen once: the `Idempotency-Key`, bound to the operation it came with.
pub(super) struct Once {
    key: Option<String>,
    operation: String,
    client: IpAddr,
}

impl Once {
    /// The command of a signed-in account.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub(super) async fn caller(&self, gateway: &Gateway, session: &Session) -> Result<Caller, Failure> {
        let command = self
            .command(gateway, &format!("account {}", session.account()))
            .await?;
        Ok(Caller {
            command,
            account: Some(session.account()),
            session: Some(session.id()),
            seen: None,
        })
    }

    /// The command of a signed-in account, whose id stands in the body; else as [`Self::caller`].
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub(super) async fn caller_as(
        &self,
        gateway: &Gateway,
        session: &Session,
        command: Option<Uuid>,
    ) -> Result<Caller, Failure> {
        match command {
            None => self.caller(gateway, session).await,
            Some(command) => Ok(Caller {
                command: command.into(),
                account: Some(session.account()),
                session: Some(session.id()),
                seen: None,
            }),
        }
    }

    /// Gives a command that changes something. Answers where that was written.
    ///
    /// # Errors
    /// The worker's refusal; `platform.unavailable`.
    pub(super) async fn change<C>(
        &self,
        gateway: &Gateway,
        session: &Session,
        command: &C,
    ) -> Result<Changed, Failure>
    where
        C: Command<Reply = contract::chat::Changed> + InSpace,
    {
        self.change_seen(gateway, session, Seen::default(), command).await
    }

    /// The same, by somebody who may have said what they saw.
    ///
    /// # Errors
    /// As [`Self::change`]; `request.precondition_failed`.
    pub(super) async fn change_seen<C>(
        &self,
        gateway: &Gateway,
        session: &Session,
        seen: Seen,
        command: &C,
    ) -> Result<Changed, Failure>
    where
        C: Command<Reply = contract::chat::Changed> + InSpace,
    {
        let caller = seen.by(self.caller(gateway, session).await?);
        Ok(Changed::at(gateway.chat(&caller, command).await?.position))
    }

    /// The command of somebody who is not signed in.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub(super) async fn stranger(&self, gateway: &Gateway) -> Result<Caller, Failure> {
        let command = self.command(gateway, &format!("address {}", self.client)).await?;
        Ok(Caller {
            command,
            account: None,
            session: None,
            seen: None,
        })
    }

    /// The command of a program that posts by a webhook.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub(super) async fn webhook(&self, gateway: &Gateway, webhook: AccountId) -> Result<Caller, Failure> {
        let command = self.command(gateway, &format!("webhook {webhook}")).await?;
        Ok(Caller {
            command,
            account: Some(webhook),
            session: None,
            seen: None,
        })
    }

    async fn command(&self, gateway: &Gateway, scope: &str) -> Result<CommandId, Failure> {
        match &self.key {
            Some(key) => Ok(gateway.command_of(scope, &self.operation, key).await?),
            None => Ok(ambient::new_uuid().into()),
        }
    }
}

impl Header for Once {
    async fn read(request: &Request) -> Result<Self, Failure> {
        let key = request.headers().get(IDEMPOTENCY_KEY).map(readable).transpose()?;
        Ok(Self {
            key,
            operation: format!("{} {}", request.method(), request.original_uri().path()),
            client: Visit::of(request).client(),
        })
    }
}
header_parameter!(Once);

fn readable(value: &HeaderValue) -> Result<String, Failure> {
    let text = value.to_str().ok().map(str::trim);
    let text = text.filter(|text| (1..=MAX_KEY_CHARS).contains(&text.len()));
    text.map(str::to_owned).ok_or_else(|| {
        let detail = format!("an idempotency key has 1 to {MAX_KEY_CHARS} ASCII characters");
        Failure::unreadable("request.idempotency_key", "Idempotency-Key", detail)
    })
}

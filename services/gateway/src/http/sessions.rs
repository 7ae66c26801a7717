//! `/v1/sessions`

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::SessionId;
use veza_platform::contract::accounts::{EndSession, Refresh, SignIn, SignInByLink, SignedIn};
use veza_platform::contract::{Caller, Sensitive};

use super::body::Json;
use super::fresh::Fresh;
use super::page::Items;
use super::problem::Failure;
use super::rates::Rates;
use super::reply::{Changed, Created, Found};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on sessions.
pub(super) struct Sessions(pub(super) Arc<Gateway>);

/// Name and password.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct Credentials {
    /// Handle or e-mail address.
    login: String,
    /// The password.
    password: String,
    /// How the device calls itself.
    device: Option<String>,
}

/// A one-time link.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct Link {
    /// What stands behind the `#` of the link.
    token: String,
    /// How the device calls itself.
    device: Option<String>,
}

/// The newest refresh token of a session.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct RefreshToken {
    /// It works once.
    refresh_token: String,
}

/// A session and its tokens.
#[derive(Object)]
struct Tokens {
    /// For `Authorization: Bearer …`.
    access_token: String,
    /// For `POST /v1/sessions/refresh`; works once.
    refresh_token: String,
    /// Life of the access token, in seconds.
    expires_in: u64,
    /// The account.
    account: Uuid,
    /// The session.
    session: Uuid,
}

/// A signed-in device.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct OpenSession {
    /// The session.
    id: Uuid,
    /// How the device called itself.
    device: Option<String>,
    /// When it signed in.
    started_at: OffsetDateTime,
    /// When it ends by itself.
    expires_at: OffsetDateTime,
    /// Whether it is the one that asks.
    current: bool,
}

#[OpenApi(tag = "Chapter::Sessions")]
impl Sessions {
    /// Sign in by name and password.
    #[oai(path = "/v1/sessions", method = "post", operation_id = "sign_in")]
    async fn sign_in(
        &self,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<Credentials>,
    ) -> Result<Created<Tokens>, Failure> {
        rates.sign_in(&body.login)?;
        let command = SignIn {
            login: body.login,
            password: Sensitive::new(body.password),
            device: body.device,
        };
        Ok(begun(
            self.0.accounts(&once.stranger(&self.0).await?, &command).await?,
        ))
    }

    /// Sign in by a one-time link.
    #[oai(path = "/v1/sessions/link", method = "post", operation_id = "sign_in_by_link")]
    async fn sign_in_by_link(
        &self,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<Link>,
    ) -> Result<Created<Tokens>, Failure> {
        rates.token()?;
        let command = SignInByLink {
            token: Sensitive::new(body.token),
            device: body.device,
        };
        Ok(begun(
            self.0.accounts(&once.stranger(&self.0).await?, &command).await?,
        ))
    }

    /// Trade a refresh token for a fresh pair. A token that comes twice ends the session: somebody has a copy.
    #[oai(path = "/v1/sessions/refresh", method = "post", operation_id = "refresh")]
    async fn refresh(
        &self,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<RefreshToken>,
    ) -> Result<Found<Tokens>, Failure> {
        rates.token()?;
        let refresh_token = Sensitive::new(body.refresh_token);
        let caller = once.stranger(&self.0).await?;
        let signed_in = self.0.accounts(&caller, &Refresh { refresh_token }).await?;
        Ok(Found::new(signed_in.into()))
    }

    /// One's open sessions.
    #[oai(path = "/v1/sessions", method = "get", operation_id = "list_sessions")]
    async fn list(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
    ) -> Result<Found<Items<OpenSession>>, Failure> {
        let rows = self
            .0
            .read
            .sessions(session.account())
            .await
            .map_err(of_read_model)?;
        let show = |row: veza_readmodel::rows::Session| OpenSession {
            id: row.id.uuid(),
            device: row.device,
            started_at: row.started_at.time(),
            expires_at: row.expires_at.time(),
            current: row.id == session.id(),
        };
        Ok(Found::new(Items::all(rows, show)))
    }

    /// Sign out.
    #[oai(path = "/v1/sessions/current", method = "delete", operation_id = "sign_out")]
    async fn sign_out(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
    ) -> Result<Changed, Failure> {
        self.end(&once.caller(&self.0, &session).await?, session.id())
            .await
    }

    /// End a session of one's own on another device.
    #[oai(
        path = "/v1/sessions/:session_id",
        method = "delete",
        operation_id = "end_session"
    )]
    async fn end_session(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        session_id: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        self.end(&once.caller(&self.0, &session).await?, (*session_id).into())
            .await
    }
}

impl Sessions {
    async fn end(&self, caller: &Caller, session: SessionId) -> Result<Changed, Failure> {
        let done = self.0.accounts(caller, &EndSession { session }).await?;
        Ok(Changed::at(done.position))
    }
}

impl From<SignedIn> for Tokens {
    fn from(signed_in: SignedIn) -> Self {
        Self {
            access_token: signed_in.access_token.expose().to_owned(),
            refresh_token: signed_in.refresh_token.expose().to_owned(),
            expires_in: signed_in.expires_in,
            account: signed_in.account.uuid(),
            session: signed_in.session.uuid(),
        }
    }
}

/// A session has begun.
fn begun(mut signed_in: SignedIn) -> Created<Tokens> {
    match signed_in.position.take() {
        Some(position) => Created::written(signed_in.into(), position),
        None => Created::new(signed_in.into()),
    }
}

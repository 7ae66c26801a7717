//! `/v1/accounts`

use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::{Enum, Object, OpenApi};
use serde::Deserialize;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::account::InstallationRole;
use veza_platform::contract::accounts::{ChangePassword, ChangeProfile, Register};
use veza_platform::contract::{Problem, ProblemKind, Sensitive};
use veza_readmodel::rows;

use super::body::Json;
use super::fresh::Fresh;
use super::problem::Failure;
use super::rates::Rates;
use super::reply::{Changed, Created, Found};
use super::seen::Seen;
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::problems::of_read_model;
use crate::state::Gateway;

/// Operations on accounts.
pub(super) struct Accounts(pub(super) Arc<Gateway>);

/// A new account.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct NewAccount {
    /// The name others call it by; unique.
    handle: String,
    /// Where it gets mail; unique.
    email: String,
    /// At least 12 characters.
    password: String,
    /// The name shown; the handle when absent.
    display_name: Option<String>,
}

/// An account exists.
#[derive(Object)]
struct AccountMade {
    /// Its id.
    account: Uuid,
    /// Where it was written.
    seq: u64,
}

/// What is to change; absent fields stay.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct AccountChange {
    /// The new name shown.
    display_name: Option<String>,
}

/// Another password.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct PasswordChange {
    /// The present one; not needed while the account has none.
    current: Option<String>,
    /// The new one, at least 12 characters.
    new: String,
}

/// A role in the whole installation.
#[derive(Enum)]
#[oai(
    remote = "InstallationRole",
    rename = "InstallationRole",
    rename_all = "snake_case"
)]
enum Role {
    /// Runs the installation.
    Administrator,
}

/// What anybody may know of an account.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct Profile {
    /// Its id.
    id: Uuid,
    /// The name others call it by; absent for an erased account.
    handle: Option<String>,
    /// The name shown; absent for an erased account.
    display_name: Option<String>,
    /// Whether a program acts for it.
    bot: bool,
}

/// What its owner knows of an account.
#[derive(Object)]
#[oai(skip_serializing_if_is_none)]
struct Me {
    /// Its id.
    id: Uuid,
    /// The name others call it by.
    handle: Option<String>,
    /// The name shown.
    display_name: Option<String>,
    /// Where it gets mail.
    email: Option<String>,
    /// Whether somebody has said that they read there.
    email_confirmed: bool,
    /// Whether a program acts for it.
    bot: bool,
    /// Roles in the installation.
    roles: Vec<Role>,
    /// When it was made.
    registered_at: OffsetDateTime,
    /// Last change.
    seq: u64,
}

impl From<rows::Account> for Profile {
    fn from(row: rows::Account) -> Self {
        Self {
            id: row.id.uuid(),
            handle: row.handle,
            display_name: row.display_name,
            bot: row.bot,
        }
    }
}

impl From<rows::PrivateAccount> for Me {
    fn from(row: rows::PrivateAccount) -> Self {
        Self {
            id: row.account.id.uuid(),
            handle: row.account.handle,
            display_name: row.account.display_name,
            email: row.email,
            email_confirmed: row.email_confirmed,
            bot: row.account.bot,
            roles: row.roles.into_iter().map(Into::into).collect(),
            registered_at: row.registered_at.time(),
            seq: row.account.seq,
        }
    }
}

#[OpenApi(tag = "Chapter::Accounts")]
impl Accounts {
    /// Make an account.
    #[oai(path = "/v1/accounts", method = "post", operation_id = "register")]
    async fn register(
        &self,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<NewAccount>,
    ) -> Result<Created<AccountMade>, Failure> {
        rates.registration()?;
        let command = Register {
            handle: body.handle,
            email: body.email,
            password: Sensitive::new(body.password),
            display_name: body.display_name,
        };
        let made = self.0.accounts(&once.stranger(&self.0).await?, &command).await?;
        let (account, seq) = (made.account.uuid(), made.position.seq);
        Ok(Created::written(AccountMade { account, seq }, made.position))
    }

    /// One's own account.
    #[oai(path = "/v1/accounts/me", method = "get", operation_id = "get_me")]
    async fn me(
        &self,
        session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
    ) -> Result<Found<Me>, Failure> {
        let row = self
            .0
            .read
            .account_private(session.account())
            .await
            .map_err(of_read_model)?;
        // Whoever has a token has an account.
        let row = row.ok_or_else(|| of_read_model(veza_readmodel::ReadError::Behind { at: 0, wanted: 1 }))?;
        let seq = row.account.seq;
        Ok(Found::tagged(row.into(), seq))
    }

    /// Show oneself differently.
    #[oai(path = "/v1/accounts/me", method = "patch", operation_id = "change_me")]
    async fn change(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        #[oai(name = "If-Match")] seen: Seen,
        Json(body): Json<AccountChange>,
    ) -> Result<Changed, Failure> {
        let caller = seen.by(once.caller(&self.0, &session).await?);
        let display_name = body.display_name;
        let done = self.0.accounts(&caller, &ChangeProfile { display_name }).await?;
        Ok(Changed::at(done.position))
    }

    /// Use another password. All other sessions end.
    #[oai(
        path = "/v1/accounts/me/password",
        method = "put",
        operation_id = "change_password"
    )]
    async fn change_password(
        &self,
        session: Session,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<PasswordChange>,
    ) -> Result<Changed, Failure> {
        rates.sign_in(&session.account().to_string())?;
        let command = ChangePassword {
            current: body.current.map(Sensitive::new),
            new: Sensitive::new(body.new),
        };
        let done = self
            .0
            .accounts(&once.caller(&self.0, &session).await?, &command)
            .await?;
        Ok(Changed::at(done.position))
    }

    /// What anybody who is signed in may know of an account.
    #[oai(path = "/v1/accounts/:account", method = "get", operation_id = "get_account")]
    async fn get(
        &self,
        _session: Session,
        #[oai(name = "Veza-Min-Seq")] _fresh: Fresh,
        account: Path<Uuid>,
    ) -> Result<Found<Profile>, Failure> {
        let row = self
            .0
            .read
            .account((*account).into())
            .await
            .map_err(of_read_model)?;
        let row = row.ok_or_else(|| {
            Problem::new(
                ProblemKind::NotFound,
                "account.not_found",
                "there is no such account",
            )
        })?;
        let seq = row.seq;
        Ok(Found::tagged(row.into(), seq))
    }
}

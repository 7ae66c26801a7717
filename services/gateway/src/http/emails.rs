//! `/v1/accounts/me/email` and `/v1/passwords`: where one gets mail, and what is done by links that go there.

use std::sync::Arc;

use poem_openapi::{Object, OpenApi};
use serde::Deserialize;
use veza_platform::contract::accounts::{
    AskEmailLink, AskPasswordReset, ChangeEmail, ConfirmEmail, ResetPassword,
};
use veza_platform::contract::{Problem, ProblemKind, Sensitive};

use super::body::Json;
use super::problem::Failure;
use super::rates::Rates;
use super::reply::Changed;
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::state::Gateway;

/// Operations on addresses.
pub(super) struct Emails(pub(super) Arc<Gateway>);

/// Another address.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct EmailChange {
    /// Where to get mail; unique.
    email: String,
    /// The present password; not needed while the account has none.
    current: Option<String>,
}

/// What a link carries.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct MailLink {
    /// What stands behind `#` in the link.
    token: String,
}

/// Who cannot sign in.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct Forgotten {
    /// Handle or e-mail address.
    login: String,
}

/// Another password, by a link.
#[derive(Object, Deserialize)]
#[serde(deny_unknown_fields)]
#[oai(deny_unknown_fields)]
struct PasswordReset {
    /// What stands behind `#` in the link.
    token: String,
    /// The new one, at least 12 characters.
    new: String,
}

#[OpenApi(tag = "Chapter::Accounts")]
impl Emails {
    /// Get mail elsewhere. A link goes there, and the address counts once it is confirmed; then the one before is told.
    #[oai(path = "/v1/accounts/me/email", method = "put", operation_id = "change_email")]
    async fn change(
        &self,
        session: Session,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<EmailChange>,
    ) -> Result<Changed, Failure> {
        self.mails()?;
        rates.sign_in(&session.account().to_string())?;
        let command = ChangeEmail {
            email: body.email,
            current: body.current.map(Sensitive::new),
        };
        let caller = once.caller(&self.0, &session).await?;
        Ok(Changed::at(self.0.accounts(&caller, &command).await?.position))
    }

    /// Get another link for the address that is still to be confirmed.
    #[oai(
        path = "/v1/accounts/me/email/link",
        method = "post",
        operation_id = "ask_email_link"
    )]
    async fn ask_link(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
    ) -> Result<Changed, Failure> {
        self.mails()?;
        let caller = once.caller(&self.0, &session).await?;
        Ok(Changed::at(
            self.0.accounts(&caller, &AskEmailLink {}).await?.position,
        ))
    }

    /// Confirm an address by the link that went there. Whoever has it need not be signed in.
    #[oai(
        path = "/v1/accounts/me/email/confirm",
        method = "post",
        operation_id = "confirm_email"
    )]
    async fn confirm(
        &self,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<MailLink>,
    ) -> Result<Changed, Failure> {
        rates.token()?;
        let token = Sensitive::new(body.token);
        let caller = once.stranger(&self.0).await?;
        Ok(Changed::at(
            self.0.accounts(&caller, &ConfirmEmail { token }).await?.position,
        ))
    }

    /// Get a link to set another password with. The answer is the same whether there is such an account or not; the
    /// link goes to its address if that is confirmed.
    #[oai(
        path = "/v1/passwords/link",
        method = "post",
        operation_id = "ask_password_reset"
    )]
    async fn ask_reset(
        &self,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<Forgotten>,
    ) -> Result<Changed, Failure> {
        self.mails()?;
        rates.sign_in(&body.login)?;
        let caller = once.stranger(&self.0).await?;
        let gateway = Arc::clone(&self.0);
        // Not waited for: how long it takes would tell whether there is such an account.
        self.0.lifecycle.spawn("password-link", async move {
            let command = AskPasswordReset { login: body.login };
            if let Err(problem) = gateway.accounts(&caller, &command).await {
                tracing::debug!(%problem, "a link for a password could not be asked for");
            }
        });
        Ok(Changed::at(None))
    }

    /// Set another password by a link. All sessions end.
    #[oai(path = "/v1/passwords", method = "post", operation_id = "reset_password")]
    async fn reset(
        &self,
        rates: Rates,
        #[oai(name = "Idempotency-Key")] once: Once,
        Json(body): Json<PasswordReset>,
    ) -> Result<Changed, Failure> {
        rates.token()?;
        let command = ResetPassword {
            token: Sensitive::new(body.token),
            new: Sensitive::new(body.new),
        };
        let caller = once.stranger(&self.0).await?;
        Ok(Changed::at(self.0.accounts(&caller, &command).await?.position))
    }
}

impl Emails {
    /// Whether this installation sends mail.
    fn mails(&self) -> Result<(), Problem> {
        if self.0.config.mail.is_on() {
            return Ok(());
        }
        Err(Problem::new(
            ProblemKind::NotFound,
            "account.mail_off",
            "this installation sends no mail; turn to who runs it",
        ))
    }
}

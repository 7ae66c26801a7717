//! The stricter rates of operations that others pay for: password hashes, new accounts, pages looked at.

use std::sync::Arc;

use poem::{FromRequest, Request, RequestBody, Result};
use veza_events::AccountId;

use super::limits::Limits;
use super::problem::Failure;
use super::visit::Visit;

/// Charges the caller of one request.
pub(super) struct Rates {
    visit: Visit,
    limits: Arc<Limits>,
}

impl Rates {
    /// A try to sign in as `login`.
    ///
    /// # Errors
    /// `session.rate`
    pub(super) fn sign_in(&self, login: &str) -> Result<(), Failure> {
        self.visit
            .charged(self.limits.sign_in_from(self.visit.client()))?;
        self.visit.charged(self.limits.sign_in_as(login))
    }

    /// A try with a refresh token or a link: there is no name that it could be counted on.
    ///
    /// # Errors
    /// `session.rate`
    pub(super) fn token(&self) -> Result<(), Failure> {
        self.visit.charged(self.limits.sign_in_from(self.visit.client()))
    }

    /// A report of a message.
    ///
    /// # Errors
    /// `report.rate`
    pub(super) fn report(&self, account: AccountId) -> Result<(), Failure> {
        self.visit.charged(self.limits.report(account))
    }

    /// A message by the webhook whose secret has this digest: who does not know it uses nothing up.
    ///
    /// # Errors
    /// `webhook.rate`
    pub(super) fn webhook(&self, digest: &str) -> Result<(), Failure> {
        self.visit.charged(self.limits.webhook(digest))
    }

    /// A new account.
    ///
    /// # Errors
    /// `account.rate`
    pub(super) fn registration(&self) -> Result<(), Failure> {
        self.visit.charged(self.limits.registration(self.visit.client()))
    }

    /// A page of somebody else's that is looked at for `account`.
    ///
    /// # Errors
    /// `message.preview_rate`
    pub(super) fn preview(&self, account: AccountId) -> Result<(), Failure> {
        self.visit.charged(self.limits.preview(account))
    }
}

impl<'a> FromRequest<'a> for Rates {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> Result<Self> {
        let limits = request
            .data::<Arc<Limits>>()
            .expect("every request comes through the door");
        Ok(Self {
            visit: Visit::of(request).clone(),
            limits: Arc::clone(limits),
        })
    }
}

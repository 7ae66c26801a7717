//! What every command needs at hand.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use veza_domain::account::{AccountContext, LinkRules};
use veza_platform::config::{AccountsConfig, MailConfig};
use veza_platform::ledger::Ledger;
use veza_platform::runtime::Runtime;
use veza_platform::tokens::SigningKeys;

use crate::account::Accounts;
use crate::links::Links;
use crate::names::Names;
use crate::password::Passwords;
use crate::sessions::Sessions;

/// An accounts worker.
pub(crate) struct Worker {
    /// The log.
    pub(crate) ledger: Ledger,
    /// Claims on names.
    pub(crate) names: Names,
    /// Accounts in memory.
    pub(crate) accounts: Accounts,
    /// Password hashes.
    pub(crate) passwords: Passwords,
    /// Open sessions.
    pub(crate) sessions: Sessions,
    /// Links to sign in with.
    pub(crate) links: Links,
    /// Keys of access tokens.
    pub(crate) signing: SigningKeys,
    /// Lives and limits.
    pub(crate) settings: Settings,
    /// Sessions that ended because a used refresh token came back.
    pub(crate) reused: Counter,
}

/// What is configured of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Life of an access token.
    pub(crate) access_life: Duration,
    /// Life of a session.
    pub(crate) session_life: Duration,
    /// Characters of the shortest password.
    pub(crate) min_password_chars: usize,
    /// What decisions look at.
    pub(crate) context: AccountContext,
}

impl Settings {
    fn of(config: &AccountsConfig, mail: &MailConfig) -> Self {
        Self {
            access_life: Duration::from_secs(config.access_token_ttl_s),
            session_life: Duration::from_secs(config.refresh_token_ttl_s),
            min_password_chars: config.min_password_chars,
            context: AccountContext {
                max_sessions: config.max_sessions_per_account,
                max_bots: config.max_bots_per_account,
                links: LinkRules {
                    confirm: Duration::from_secs(mail.confirm_ttl_s),
                    reset: Duration::from_secs(mail.reset_ttl_s),
                    pause: Duration::from_secs(mail.link_pause_s),
                },
            },
        }
    }
}

impl Worker {
    /// A worker that writes to `ledger`.
    ///
    /// # Errors
    /// When the cost of password hashes cannot be used.
    pub(crate) async fn new(rt: &Runtime, ledger: Ledger, signing: SigningKeys) -> anyhow::Result<Self> {
        let config = &rt.config.accounts;
        let reused = Counter::default();
        rt.metrics.register(|registry| {
            let help = "Sessions ended because a used refresh token came back";
            registry.register("accounts_refresh_tokens_reused", help, reused.clone());
        });
        Ok(Self {
            names: Names::new(ledger.clone()),
            accounts: Accounts::new(ledger.clone(), config.cached_accounts),
            passwords: Passwords::new(config, &rt.metrics, &rt.lifecycle).await?,
            sessions: Sessions::open(ledger.log(), ledger.keys().clone()),
            links: Links::open(ledger.log()),
            signing,
            settings: Settings::of(config, &rt.config.mail),
            reused,
            ledger,
        })
    }
}

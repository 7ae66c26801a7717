//! From what people type to the subject under which a claim on it lies.
//!
//! The subject carries a keyed digest: whoever reads the log alone cannot try out addresses.

use veza_domain::handle::{Handle, HandleState, NameKind};
use veza_domain::{fold, names};
use veza_events::{AccountId, Event, Subject};
use veza_platform::contract::Problem;
use veza_platform::ledger::Ledger;

/// The handle of the first administrator.
pub(crate) const ADMINISTRATOR: &str = "admin";

/// Handles that would pass for the installation itself. Nobody can register them.
const RESERVED: [&str; 22] = [
    ADMINISTRATOR,
    "abuse",
    "administrator",
    "all",
    "channel",
    "everyone",
    "help",
    "here",
    "hostmaster",
    "info",
    "mailer-daemon",
    "me",
    "moderator",
    "nobody",
    "noreply",
    "no-reply",
    "postmaster",
    "root",
    "security",
    "support",
    "system",
    "veza",
];

/// Whether a normalised handle is kept back.
pub(crate) fn is_reserved(handle: &str) -> bool {
    RESERVED.contains(&handle)
}

/// A claim as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// Where it lies.
    pub(crate) subject: Subject,
    /// Who holds it.
    pub(crate) state: HandleState,
    /// The last sequence of the subject, 0 when nobody ever held it.
    pub(crate) seq: u64,
}

/// Finds claims.
#[derive(Clone)]
pub(crate) struct Names {
    ledger: Ledger,
}

impl Names {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// Where a claim on `name`, in its normal form, lies.
    pub(crate) async fn subject(&self, kind: NameKind, name: &str) -> Result<Subject, Problem> {
        let key = self.ledger.keys().installation_key().await?;
        let kind = match kind {
            NameKind::Handle => "handle",
            NameKind::Email => "email",
        };
        Ok(Subject::Handle(key.digest(format!("{kind}\0{name}").as_bytes())))
    }

    /// The claim at `subject`: a moment old perhaps, unless `consistent`.
    pub(crate) async fn claim(&self, subject: Subject, consistent: bool) -> Result<Claim, Problem> {
        let last = if consistent {
            self.ledger.last_consistent(&subject).await?
        } else {
            self.ledger.last(&subject).await?
        };
        let Some(last) = last else {
            return Ok(Claim {
                subject,
                state: HandleState::default(),
                seq: 0,
            });
        };
        // Each event of a name says all of its state, so the last one is enough.
        let Event::Handle(event) = &last.event else {
            return Err(Problem::internal(&format!(
                "no event of a name lies at {subject}"
            )));
        };
        Ok(Claim {
            subject,
            state: fold::<Handle>([event]),
            seq: last.position.seq,
        })
    }

    /// Who is meant by `login`, a handle or an address; nobody when it is neither.
    pub(crate) async fn holder(&self, login: &str) -> Result<Option<AccountId>, Problem> {
        let (kind, name) = if login.contains('@') {
            (NameKind::Email, names::email(login))
        } else {
            (NameKind::Handle, names::handle(login))
        };
        // What cannot be a name is looked up all the same, so that it takes as long.
        let name = name.unwrap_or_default();
        let claim = self.claim(self.subject(kind, &name).await?, true).await?;
        Ok(claim.state.holder)
    }
}

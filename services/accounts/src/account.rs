//! Accounts in memory. Before each use the tail of the account is read from the log, so what another
//! worker wrote is seen; the memory only saves reading the whole history.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use veza_domain::Decider;
use veza_domain::account::{Account, AccountState};
use veza_events::account::AccountEvent;
use veza_events::{AccountId, Event, Subject};
use veza_platform::contract::Problem;
use veza_platform::event_log::Expect;
use veza_platform::ledger::{Ledger, Write, read_problem};

/// How often a replica that is behind is asked again, and after which pause.
const CATCH_UP: (u32, Duration) = (20, Duration::from_millis(10));

/// What is known of an account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Its state.
    pub(crate) state: AccountState,
    /// Its last sequence, 0 when there is no such account.
    pub(crate) seq: u64,
    /// Whether anybody ever signed in.
    pub(crate) ever_signed_in: bool,
}

impl Known {
    fn see(&mut self, seq: u64, event: &AccountEvent) {
        Account::evolve(&mut self.state, event);
        self.ever_signed_in |= matches!(event, AccountEvent::SessionStarted(_));
        self.seq = seq;
    }
}

/// Finds accounts.
#[derive(Clone)]
pub(crate) struct Accounts {
    ledger: Ledger,
    memory: Cache<AccountId, Arc<Known>>,
}

impl Accounts {
    /// Keeps at most `most` in memory.
    pub(crate) fn new(ledger: Ledger, most: u64) -> Self {
        Self {
            ledger,
            memory: Cache::new(most),
        }
    }

    /// The account as the log has it, possibly a moment old. An append on its sequence tells.
    pub(crate) async fn known(&self, account: AccountId) -> Result<Arc<Known>, Problem> {
        let held = self.memory.get(&account);
        let after = held.as_ref().map_or(0, |known| known.seq);
        let tail = self.ledger.load(&Subject::Account(account), after).await?;
        if let (true, Some(held)) = (tail.is_empty(), &held) {
            return Ok(Arc::clone(held));
        }
        let mut known = held.map_or_else(Known::default, |held| (*held).clone());
        for recorded in &tail {
            if let Event::Account(event) = &recorded.event {
                known.see(recorded.position.seq, event);
            }
        }
        let known = Arc::new(known);
        if known.seq > 0 {
            self.memory.insert(account, Arc::clone(&known));
        }
        Ok(known)
    }

    /// The account when the decision before was made on old facts: `race` counts those.
    pub(crate) async fn known_after(&self, account: AccountId, race: u32) -> Result<Arc<Known>, Problem> {
        if race > 0 {
            self.memory.invalidate(&account);
        }
        self.known(account).await
    }

    /// The account with everything that was acked before this call, whichever replica answers: for what no
    /// append checks afterwards, such as whether a password is right.
    pub(crate) async fn known_exactly(&self, account: AccountId) -> Result<Arc<Known>, Problem> {
        let subject = Subject::Account(account).to_string();
        let last = self
            .ledger
            .log()
            .last_consistent(&subject)
            .await
            .map_err(read_problem)?;
        let last = last.map_or(0, |record| record.position.seq);
        let (tries, pause) = CATCH_UP;
        for _ in 0..tries {
            let known = self.known(account).await?;
            if known.seq >= last {
                return Ok(known);
            }
            tokio::time::sleep(pause).await;
        }
        Err(Problem::unavailable("the event log has not caught up yet", 500))
    }

    /// The handle as typed when the account was made.
    pub(crate) async fn handle(&self, account: AccountId) -> Result<Option<String>, Problem> {
        let history = self.ledger.load(&Subject::Account(account), 0).await?;
        Ok(history.into_iter().find_map(|recorded| match recorded.event {
            Event::Account(AccountEvent::Registered(event)) => event.handle.into_clear(),
            _ => None,
        }))
    }
}

/// Events of an account, to be stored if `seq` is still its last sequence.
pub(crate) fn writes(
    account: AccountId,
    seq: u64,
    events: impl IntoIterator<Item = AccountEvent>,
) -> Vec<Write> {
    let expects = std::iter::once(Expect::Last(seq)).chain(std::iter::repeat(Expect::Any));
    let events = events.into_iter().zip(expects);
    events
        .map(|(event, expect)| Write {
            subject: Subject::Account(account),
            expect,
            event: event.into(),
        })
        .collect()
}

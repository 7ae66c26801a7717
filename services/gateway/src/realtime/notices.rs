//! What concerns an account and not a room: every socket of the account hears it. One reader for all accounts;
//! notices are few.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use tokio::sync::watch;
use veza_events::AccountId;
use veza_platform::contract::Problem;
use veza_platform::ledger::read_problem;
use veza_platform::notices::{About, Missed, Notices};

use super::account::Notice;
use super::hub::Hub;

/// Pause before the reading is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// Longest wait for the reading to begin.
const BEGIN: Duration = Duration::from_secs(5);

/// The chains, and whether they are followed.
#[derive(Debug)]
pub(super) struct NoticeFeed {
    notices: Notices,
    begun: watch::Sender<bool>,
}

impl NoticeFeed {
    /// Nothing is followed yet.
    pub(super) fn new(notices: Notices) -> Self {
        Self {
            notices,
            begun: watch::Sender::new(false),
        }
    }

    /// From where a socket goes on, and what it has missed until there.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub(super) async fn place(&self, account: AccountId, from: Option<u64>) -> Result<Missed, Problem> {
        let mut begun = self.begun.subscribe();
        if !matches!(
            tokio::time::timeout(BEGIN, begun.wait_for(|begun| *begun)).await,
            Ok(Ok(_))
        ) {
            return Err(Problem::unavailable(
                "notices cannot be heard yet; connect again",
                1_000,
            ));
        }
        let missed = match from {
            Some(from) => self.notices.missed(account, from).await,
            None => self.notices.head(account).await.map(|head| Missed::All {
                notices: Vec::new(),
                head,
            }),
        };
        missed.map_err(read_problem)
    }
}

/// Passes notices on, for as long as the process lives.
pub(super) async fn run(hub: Arc<Hub>) {
    loop {
        match hub.notices.notices.follow().await {
            Ok(mut told) => {
                hub.notices.begun.send_replace(true);
                while let Some(next) = told.next().await {
                    match next {
                        Ok(told) => match told.about {
                            About::Account(account, body) => pass_on(&hub, account, told.seq, &body),
                            About::Floor => hub.sockets.break_chains(told.seq),
                        },
                        Err(error) => {
                            tracing::warn!(error.message = %error, "notices cannot be heard; trying again");
                            tokio::time::sleep(RETRY).await;
                        }
                    }
                }
            }
            Err(error) => tracing::debug!(error.message = %error, "the feed of notices waits"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn pass_on(hub: &Hub, account: AccountId, seq: u64, body: &Bytes) {
    if !hub.sockets.has(account) {
        return;
    }
    match serde_json::from_slice(body) {
        Ok(notice) => hub.sockets.tell(account, &Arc::new(Notice { seq, notice })),
        Err(error) => {
            tracing::warn!(error.message = %error, "a notice cannot be read");
            hub.sockets.break_chain(account, seq);
        }
    }
}

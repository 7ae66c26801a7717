//! Who is in front of a screen right now. Gateways know; they are asked, and whoever has somebody answers.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use veza_events::AccountId;

/// Where gateways are asked.
const ASKED: &str = "live.presence.asked";
/// How long is waited for those that have somebody.
const WITHIN: Duration = Duration::from_millis(300);

/// Asks gateways. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Presence {
    client: async_nats::Client,
}

#[derive(Serialize)]
struct Asked<'a> {
    gateway: Uuid,
    accounts: &'a [AccountId],
}

#[derive(Deserialize)]
struct Said {
    states: BTreeMap<AccountId, String>,
}

impl Presence {
    pub(crate) fn new(client: async_nats::Client) -> Self {
        Self { client }
    }

    /// Which of the accounts have a device in use. Of whom nobody says so, it is not so.
    pub(crate) async fn here(&self, accounts: &[AccountId]) -> HashSet<AccountId> {
        let mut here = HashSet::new();
        // What was heard until then counts.
        let _ = tokio::time::timeout(WITHIN, self.ask(accounts, &mut here)).await;
        here
    }

    /// Ends early when all are here.
    async fn ask(&self, accounts: &[AccountId], here: &mut HashSet<AccountId>) -> Option<()> {
        if accounts.is_empty() {
            return None;
        }
        let asked = Asked {
            // No gateway's id, so each takes it for another's question.
            gateway: Uuid::nil(),
            accounts,
        };
        let body = serde_json::to_vec(&asked).ok()?;
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.ok()?;
        let asked = self.client.publish_with_reply(ASKED, inbox, body.into());
        asked.await.ok()?;
        while here.len() < accounts.len() {
            let answer = answers.next().await?;
            let Ok(said) = serde_json::from_slice::<Said>(&answer.payload) else {
                continue;
            };
            let online = said.states.into_iter().filter(|(_, state)| state == "online");
            here.extend(online.map(|(account, _)| account));
        }
        Some(())
    }
}

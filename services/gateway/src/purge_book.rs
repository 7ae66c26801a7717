//! What of somebody who is banned is still to be taken back: bucket `PURGES`, so that any gateway goes on where one has
//! died, or something was away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, SpaceId, Timestamp};
use veza_platform::ambient;
use veza_platform::contract::{Caller, Problem};
use veza_platform::event_log::{EventLog, Position};
use veza_platform::exports::held_until;
use veza_platform::kv::{Change, Entry, Kv, KvError};

use crate::state::Gateway;

/// The bucket.
const BUCKET: &str = "PURGES";
/// How long whoever takes messages back may be silent.
const LEASE: Duration = Duration::from_mins(1);
/// Pause between two looks at what is left, and after something was away.
const LOOK: Duration = Duration::from_secs(3);

/// Messages that are to be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Purge {
    pub(crate) space: SpaceId,
    /// Whose.
    pub(crate) author: AccountId,
    /// Who wants it, by whose rights.
    pub(crate) by: AccountId,
    /// Those said since then.
    pub(crate) since: Timestamp,
    /// And before this.
    pub(crate) before: Position,
    /// Up to here everything is done.
    pub(crate) after: u64,
    /// Somebody does it until then.
    until: Timestamp,
}

/// The purges under way. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PurgeBook(Kv<Purge>);

/// One that this process does.
pub(crate) struct Lease {
    book: PurgeBook,
    pub(crate) purge: Purge,
    revision: u64,
}

fn key(purge: &Purge) -> String {
    format!("{}.{}", purge.space, purge.author)
}

fn in_a_lease() -> Timestamp {
    held_until(ambient::now().into(), LEASE)
}

impl PurgeBook {
    pub(crate) fn open(log: &EventLog) -> Self {
        Self(Kv::open(log, BUCKET))
    }

    /// Writes down what is to be done before it is begun; a ban in the place of an earlier one counts.
    pub(crate) async fn begin(
        &self,
        (space, author): (SpaceId, AccountId),
        by: AccountId,
        since: Timestamp,
        before: Position,
    ) -> Result<Lease, Problem> {
        let purge = Purge {
            space,
            author,
            by,
            since,
            before,
            after: 0,
            until: in_a_lease(),
        };
        let revision = self.0.put(&key(&purge), &purge).await?;
        Ok(Lease {
            book: self.clone(),
            purge,
            revision,
        })
    }

    /// Takes over what nobody does; `None` when somebody was faster.
    async fn take(&self, entry: Entry<Purge>) -> Result<Option<Lease>, Problem> {
        let mut lease = Lease {
            book: self.clone(),
            purge: entry.value,
            revision: entry.revision,
        };
        Ok(lease.keep().await?.then_some(lease))
    }
}

impl Lease {
    /// Says that it is still being done; `false` when somebody else does it by now.
    pub(crate) async fn keep(&mut self) -> Result<bool, Problem> {
        self.purge.until = in_a_lease();
        self.write().await
    }

    /// Leaves the rest to whoever comes.
    pub(crate) async fn leave(mut self) -> Result<(), Problem> {
        self.purge.until = ambient::now().into();
        self.write().await.map(drop)
    }

    /// Nothing is left.
    pub(crate) async fn end(self) -> Result<(), Problem> {
        match self.book.0.delete(&key(&self.purge), self.revision).await {
            Ok(()) | Err(KvError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&mut self) -> Result<bool, Problem> {
        match self
            .book
            .0
            .update(&key(&self.purge), &self.purge, self.revision)
            .await
        {
            Ok(revision) => {
                self.revision = revision;
                Ok(true)
            }
            Err(KvError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Goes on with what others have left, for as long as the gateway lives.
pub(crate) fn start(gateway: &Arc<Gateway>) {
    let gateway = Arc::clone(gateway);
    let life = gateway.lifecycle.clone();
    life.spawn("purges", async move {
        let soft = gateway.lifecycle.soft.clone();
        let mut changes = gateway.purges.0.watch();
        let mut known: BTreeMap<String, Entry<Purge>> = BTreeMap::new();
        loop {
            tokio::select! {
                () = soft.cancelled() => return,
                change = changes.next() => match change {
                    Ok(Change::Put { key, entry }) => drop(known.insert(key, entry)),
                    Ok(Change::Removed { key, .. }) => drop(known.remove(&key)),
                    Ok(Change::Current) => {}
                    Err(error) => {
                        tracing::warn!(%error, "what is to be taken back cannot be followed");
                        soft.run_until_cancelled(tokio::time::sleep(LOOK)).await;
                    }
                },
                () = tokio::time::sleep(LOOK) => {
                    let now: Timestamp = ambient::now().into();
                    let left = known.iter().find(|(_, entry)| entry.value.until < now);
                    let Some((key, entry)) = left.map(|(key, entry)| (key.clone(), entry.clone())) else {
                        continue;
                    };
                    // What comes of it is announced.
                    known.remove(&key);
                    tokio::select! {
                        () = soft.cancelled() => return,
                        done = go_on(&gateway, entry.clone()) => if let Err(problem) = done {
                            tracing::warn!(error.message = %problem, "messages are still to be taken back");
                            known.insert(key, entry);
                        }
                    }
                }
            }
        }
    });
}

async fn go_on(gateway: &Gateway, entry: Entry<Purge>) -> Result<(), Problem> {
    let Some(lease) = gateway.purges.take(entry).await? else {
        return Ok(());
    };
    let caller = Caller::asking(lease.purge.by);
    gateway.go_on(&caller, lease).await.map(drop)
}

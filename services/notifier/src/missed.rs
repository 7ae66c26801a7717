//! What accounts have missed and are still to be told of by mail: bucket `MISSED`, one entry per account, with ids
//! alone. An entry is replaced under the revision it was read at: of several instances one takes it.

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, MessageId, Timestamp};
use veza_platform::event_log::EventLog;
use veza_platform::kv::{Entry, Kv, KvError, Watch};

use crate::decide::Push;
use crate::who::Why;

/// The bucket.
const BUCKET: &str = "MISSED";
/// Messages that are named in one mail: of more, the newest.
pub(crate) const MAX_NAMED: usize = 50;
/// Times that a write is tried against others.
const TRIES: u32 = 8;

/// A message that somebody has missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Missed {
    pub(crate) message: MessageId,
    pub(crate) why: Why,
}

impl Missed {
    pub(crate) fn of(push: &Push) -> Self {
        Self {
            message: push.message,
            why: push.why,
        }
    }
}

/// What one account has missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    /// Oldest first.
    pub(crate) messages: Vec<Missed>,
    /// Whether there were older ones.
    pub(crate) more: bool,
    /// When the first was missed; `None` while there is nothing to tell.
    pub(crate) since: Option<Timestamp>,
    /// When the account was told last.
    pub(crate) told: Option<Timestamp>,
}

impl Waiting {
    fn add(&mut self, missed: Missed, now: Timestamp) -> bool {
        if self.messages.iter().any(|known| known.message == missed.message) {
            return false;
        }
        if self.messages.len() >= MAX_NAMED {
            self.messages.remove(0);
            self.more = true;
        }
        self.messages.push(missed);
        self.since.get_or_insert(now);
        true
    }

    /// The same without anything to tell.
    pub(crate) fn emptied(&self) -> Self {
        Self {
            told: self.told,
            ..Self::default()
        }
    }

    /// The same once it was told.
    pub(crate) fn taken(now: Timestamp) -> Self {
        Self {
            told: Some(now),
            ..Self::default()
        }
    }
}

/// The entries of all accounts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct MissedBook(Kv<Waiting>);

impl MissedBook {
    pub(crate) fn open(log: &EventLog) -> Self {
        Self(Kv::open(log, BUCKET))
    }

    pub(crate) fn watch(&self) -> Watch<Waiting> {
        self.0.watch()
    }

    pub(crate) async fn of(&self, account: AccountId) -> Result<Option<Entry<Waiting>>, KvError> {
        self.0.get_consistent(&account.to_string()).await
    }

    /// Notes a message.
    pub(crate) async fn add(
        &self,
        account: AccountId,
        missed: Missed,
        now: Timestamp,
    ) -> Result<(), KvError> {
        for _ in 0..TRIES {
            let stored = self.of(account).await?;
            let (mut waiting, revision) = stored.map_or_else(
                || (Waiting::default(), None),
                |entry| (entry.value, Some(entry.revision)),
            );
            if !waiting.add(missed, now) {
                return Ok(());
            }
            match self.replace(account, &waiting, revision).await {
                Err(KvError::Conflict) => {}
                outcome => return outcome,
            }
        }
        Err(KvError::Conflict)
    }

    /// Replaces what was read at `revision`.
    pub(crate) async fn replace(
        &self,
        account: AccountId,
        waiting: &Waiting,
        revision: Option<u64>,
    ) -> Result<(), KvError> {
        let name = account.to_string();
        match revision {
            Some(revision) => self.0.update(&name, waiting, revision).await.map(drop),
            None => self.0.create(&name, waiting).await.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn missed(n: u128) -> Missed {
        Missed {
            message: Uuid::from_u128(n).into(),
            why: Why::Mention,
        }
    }

    #[test]
    fn each_message_counts_once_and_the_newest_are_kept() {
        let (early, late) = (at("2026-01-01T00:00:00Z"), at("2026-01-01T01:00:00Z"));
        let mut waiting = Waiting::taken(early);
        assert!(waiting.add(missed(1), early));
        assert!(!waiting.add(missed(1), late), "it is there already");
        for n in 2..=60 {
            waiting.add(missed(n), late);
        }
        let kept: Vec<Missed> = (11..=60).map(missed).collect();
        assert_eq!((&waiting.messages, waiting.more), (&kept, true));
        assert_eq!((waiting.since, waiting.told), (Some(early), Some(early)));
        assert_eq!(waiting.emptied(), Waiting::taken(early));
    }
}

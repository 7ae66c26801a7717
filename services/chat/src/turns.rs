//! One after the other, where two at once could only get in each other's way.
//!
//! Not for correctness, which is the log's: with three replicas only one append per expected subject may
//! be in flight, so taking turns within a worker saves lost races.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Queues by key. There are never more of them than commands under way.
pub(crate) struct Turns<K: Copy + Eq + Hash> {
    queues: Mutex<HashMap<K, Arc<Semaphore>>>,
}

/// The turn of one holder; ends when dropped.
pub(crate) struct Turn<'a, K: Copy + Eq + Hash> {
    turns: &'a Turns<K>,
    key: K,
    permit: Option<OwnedSemaphorePermit>,
}

impl<K: Copy + Eq + Hash> Default for Turns<K> {
    fn default() -> Self {
        Self {
            queues: Mutex::default(),
        }
    }
}

impl<K: Copy + Eq + Hash> Turns<K> {
    /// Waits until all who came before for the same key are done.
    pub(crate) async fn take(&self, key: K) -> Turn<'_, K> {
        let queue = Arc::clone(
            self.lock()
                .entry(key)
                .or_insert_with(|| Arc::new(Semaphore::new(1))),
        );
        // Made before waiting, so that giving up tidies too.
        let mut turn = Turn {
            turns: self,
            key,
            permit: None,
        };
        turn.permit = Some(queue.acquire_owned().await.expect("the queues are never closed"));
        turn
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Arc<Semaphore>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> Drop for Turn<'_, K> {
    fn drop(&mut self) {
        let mut queues = self.turns.lock();
        self.permit = None;
        // Newcomers take their share under the lock, so one share means that nobody waits.
        if queues
            .get(&self.key)
            .is_some_and(|queue| Arc::strong_count(queue) == 1)
        {
            queues.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_key_is_for_one_at_a_time_and_keys_do_not_meet() {
        let turns = Turns::default();
        let first = turns.take(1).await;
        assert!(turns.take(1).now_or_never().is_none());
        assert!(turns.take(2).now_or_never().is_some());
        drop(first);
        assert!(turns.take(1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn nothing_is_left_of_turns_that_are_over_or_were_given_up() {
        let turns = Turns::default();
        let first = turns.take(1).await;
        assert!(turns.take(1).now_or_never().is_none());
        drop(first);
        assert!(turns.lock().is_empty());
    }

    #[tokio::test]
    async fn they_come_in_the_order_in_which_they_asked() {
        let turns = Turns::default();
        let first = turns.take(1).await;
        let (mut second, mut third) = (Box::pin(turns.take(1)), Box::pin(turns.take(1)));
        assert!(second.as_mut().now_or_never().is_none() && third.as_mut().now_or_never().is_none());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_some());
    }
}

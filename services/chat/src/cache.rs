//! Aggregates held in memory: bounded, kept fresh by the live feed, read once however many ask.
//!
//! What is held may be a moment old. Whoever must not decide on that asks [`Cache::get_anew`], and the log
//! refuses what was decided on an old membership anyway.

use std::{
    future::Future,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use veza_events::Event;
use veza_platform::contract::Problem;

use crate::metrics::Lookups;

#[cfg(test)]
mod tests;

/// Reads for one question, while newer events keep coming; then the last answer will do.
const MAX_READS: usize = 8;

/// A state and the sequence of the last event in it; 0 when there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known<T> {
    pub(crate) state: T,
    pub(crate) seq: u64,
}

/// Where one kind of aggregate comes from.
pub(crate) trait Source: Send + Sync + 'static {
    type Key: Copy + Eq + Hash + Send + Sync + 'static;
    type State: Clone + Send + Sync + 'static;
    /// Whether one event tells the whole state, so that a missed one does not matter.
    const WHOLE: bool;

    /// The state with every event that was acked before this was called; `known` is where to go on from.
    fn read(
        &self,
        key: Self::Key,
        known: Option<Reading<Self>>,
    ) -> impl Future<Output = ReadResult<Self>> + Send;

    /// The state after one more event, which has this sequence.
    fn apply(state: &mut Self::State, event: &Event, seq: u64);
}

pub(crate) type Reading<S> = Arc<Known<<S as Source>::State>>;
pub(crate) type ReadResult<S> = Result<Reading<S>, Problem>;
type Read<S> = Shared<BoxFuture<'static, ReadResult<S>>>;

/// Aggregates of one kind. Cheap to clone.
pub(crate) struct Cache<S: Source> {
    slots: moka::sync::Cache<S::Key, Arc<Slot<S>>>,
    source: Arc<S>,
    lookups: Lookups,
}

impl<S: Source> Clone for Cache<S> {
    fn clone(&self) -> Self {
        Self {
            slots: self.slots.clone(),
            source: Arc::clone(&self.source),
            lookups: self.lookups.clone(),
        }
    }
}

impl<S: Source> Cache<S> {
    /// Holds at most about `capacity` aggregates of `source`.
    pub(crate) fn new(source: S, capacity: u64, lookups: Lookups) -> Self {
        Self {
            slots: moka::sync::Cache::new(capacity),
            source: Arc::new(source),
            lookups,
        }
    }

    /// The aggregate as far as this process has heard of it.
    pub(crate) async fn get(&self, key: S::Key) -> ReadResult<S> {
        let slot = self.slots.get_with(key, Arc::default);
        if let Some(known) = slot.fresh() {
            self.lookups.hit();
            return Ok(known);
        }
        self.lookups.miss();
        self.read(key, &slot).await
    }

    /// The aggregate with every event that was acked before now, whoever wrote it.
    pub(crate) async fn get_anew(&self, key: S::Key) -> ReadResult<S> {
        let slot = self.slots.get_with(key, Arc::default);
        slot.doubt();
        self.lookups.miss();
        self.read(key, &slot).await
    }

    /// Something was written: what is in memory is not enough any more.
    pub(crate) fn doubt(&self, key: S::Key) {
        if let Some(slot) = self.slots.get(&key) {
            slot.doubt();
        }
    }

    /// Takes in a stored event, if its aggregate is held. `event` is `None` when it cannot be read here.
    pub(crate) fn hear(&self, key: S::Key, seq: u64, prev: u64, event: Option<&Event>) {
        if let Some(slot) = self.slots.get(&key) {
            slot.hear(seq, prev, event);
        }
    }

    /// Forgets everything: events may have been missed.
    pub(crate) fn clear(&self) {
        self.slots.invalidate_all();
    }

    /// How many are held, about.
    pub(crate) fn len(&self) -> u64 {
        // What was put in lately is counted only then.
        self.slots.run_pending_tasks();
        self.slots.entry_count()
    }

    async fn read(&self, key: S::Key, slot: &Arc<Slot<S>>) -> ReadResult<S> {
        let mut read = self.join_read(key, slot).await?;
        for _ in 1..MAX_READS {
            if let Some(fresh) = slot.fresh() {
                return Ok(fresh);
            }
            read = self.join_read(key, slot).await?;
        }
        Ok(read)
    }

    /// Waits for the read that is under way, or begins one.
    fn join_read(&self, key: S::Key, slot: &Arc<Slot<S>>) -> Read<S> {
        let mut held = slot.lock();
        if let Some(read) = &held.read {
            return read.clone();
        }
        held.begun += 1;
        let (number, known) = (held.begun, held.known.clone());
        // Weak, since the slot holds the read: one that nobody waits for any more must not hold itself.
        let (source, slot) = (Arc::clone(&self.source), Arc::downgrade(slot));
        let read = async move {
            let outcome = source.read(key, known).await;
            if let Some(slot) = Weak::upgrade(&slot) {
                slot.finish(number, outcome.as_ref().ok());
            }
            outcome
        };
        held.read.insert(read.boxed().shared()).clone()
    }
}

/// The place of one aggregate.
struct Slot<S: Source>(Mutex<Held<S>>);

struct Held<S: Source> {
    known: Option<Reading<S>>,
    /// The newest sequence heard of, whether it is in `known` or not.
    heard: u64,
    /// Number of the last read that was begun.
    begun: u64,
    /// Number of the last read that succeeded.
    done: u64,
    /// Number of the first read that is new enough.
    needed: u64,
    read: Option<Read<S>>,
}

impl<S: Source> Default for Slot<S> {
    fn default() -> Self {
        Self(Mutex::new(Held {
            known: None,
            heard: 0,
            begun: 0,
            done: 0,
            needed: 0,
            read: None,
        }))
    }
}

impl<S: Source> Slot<S> {
    fn fresh(&self) -> Option<Reading<S>> {
        let held = self.lock();
        let enough = held.done >= held.needed;
        held.known
            .clone()
            .filter(|known| enough && known.seq >= held.heard)
    }

    /// Only a read that begins after this will do.
    fn doubt(&self) {
        let mut held = self.lock();
        held.needed = held.begun + 1;
    }

    fn hear(&self, seq: u64, prev: u64, event: Option<&Event>) {
        let mut held = self.lock();
        if seq <= held.heard {
            return;
        }
        held.heard = seq;
        let (Some(known), Some(event)) = (&mut held.known, event) else {
            return;
        };
        if seq > known.seq && (S::WHOLE || prev == known.seq) {
            let known = Arc::make_mut(known);
            S::apply(&mut known.state, event, seq);
            known.seq = seq;
        }
    }

    fn finish(&self, number: u64, outcome: Option<&Reading<S>>) {
        let mut held = self.lock();
        held.read = None;
        let Some(new) = outcome else { return };
        held.done = number;
        // The feed may have been faster than the read.
        if held.known.as_ref().is_none_or(|known| known.seq < new.seq) {
            held.known = Some(Arc::clone(new));
        }
    }

    /// What is held stays whole when a holder panics, so poison says nothing.
    fn lock(&self) -> MutexGuard<'_, Held<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

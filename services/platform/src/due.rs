//! What is to be done when, in the order of its time. Pure.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use veza_events::Timestamp;

/// Things, each with the one time at which it is due.
#[derive(Debug)]
pub struct Due<K> {
    order: BTreeSet<(Timestamp, K)>,
    at: HashMap<K, Timestamp>,
}

impl<K> Default for Due<K> {
    fn default() -> Self {
        Self {
            order: BTreeSet::new(),
            at: HashMap::new(),
        }
    }
}

impl<K: Copy + Ord + Hash> Due<K> {
    /// Due at that time, whatever was said before.
    pub fn put(&mut self, what: K, at: Timestamp) {
        self.remove(&what);
        self.at.insert(what, at);
        self.order.insert((at, what));
    }

    /// Not at all any more.
    pub fn remove(&mut self, what: &K) {
        if let Some(at) = self.at.remove(what) {
            self.order.remove(&(at, *what));
        }
    }

    /// Whether it is due some time.
    pub fn contains(&self, what: &K) -> bool {
        self.at.contains_key(what)
    }

    /// How many are.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// When the first is.
    pub fn first(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// What is due by now, the longest due first.
    pub fn by(&self, now: Timestamp) -> impl Iterator<Item = K> + '_ {
        let due = self.order.iter().take_while(move |(at, _)| *at <= now);
        due.map(|(_, what)| *what)
    }

    /// Takes out the first that is due by now.
    pub fn pop(&mut self, now: Timestamp) -> Option<K> {
        let first = self.by(now).next()?;
        self.remove(&first);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        OffsetDateTime::from_unix_timestamp(seconds).unwrap().into()
    }

    #[test]
    fn what_is_due_comes_in_order_and_once() {
        let mut due = Due::default();
        due.put(1, at(20));
        due.put(2, at(10));
        due.put(3, at(30));
        // It was put off.
        due.put(2, at(25));
        due.remove(&3);
        assert_eq!(
            (due.first(), due.len(), due.contains(&3)),
            (Some(at(20)), 2, false)
        );
        assert_eq!(due.pop(at(19)), None);
        assert_eq!(due.by(at(25)).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            (due.pop(at(40)), due.pop(at(40)), due.pop(at(40))),
            (Some(1), Some(2), None)
        );
        assert!(due.is_empty() && due.order.is_empty());
    }
}

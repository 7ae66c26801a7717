//! The last events of one room, so that who comes back soon is filled in from memory.

use std::collections::VecDeque;

use veza_events::MessageId;

use super::frames::{Frame, deletion, redacted, without_hidden};

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its sequence.
    pub(super) seq: u64,
    /// As it goes to clients.
    pub(super) frame: Frame,
}

impl Entry {
    /// The frame for somebody who sees nothing of what stands up to `hidden`.
    pub(super) fn shown(&self, hidden: u64) -> Frame {
        without_hidden(&self.frame, hidden).unwrap_or_else(|| self.frame.clone())
    }
}

/// An unbroken stretch of a room's events: all those behind `base` up to `head`.
#[derive(Debug)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    bytes: usize,
    base: u64,
    head: u64,
}

/// How much a ring keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct RingLimits {
    /// Events.
    pub(super) events: usize,
    /// Bytes of their frames.
    pub(super) bytes: usize,
}

impl Ring {
    /// Nothing, as of `head`.
    pub(super) fn new(head: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            base: head,
            head,
        }
    }

    /// The last event's sequence.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Everything behind this sequence is kept.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Bytes that are kept.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the event that follows the head; older ones make room, but none behind `keep`.
    pub(super) fn push(&mut self, seq: u64, frame: Frame, limits: RingLimits, keep: u64) {
        debug_assert!(seq > self.head, "events come in order");
        self.head = seq;
        self.bytes += frame.len();
        self.entries.push_back(Entry { seq, frame });
        while (self.entries.len() > limits.events || self.bytes > limits.bytes)
            && let Some(oldest) = self.entries.front()
            && oldest.seq <= keep
        {
            self.base = oldest.seq;
            self.bytes -= oldest.frame.len();
            self.entries.pop_front();
        }
    }

    /// Puts events before the oldest, if they reach up to it without a gap: `events` are all those behind `from`
    /// up to the base.
    pub(super) fn extend_back(&mut self, from: u64, events: &[Entry], limits: RingLimits) {
        let bytes: usize = events.iter().map(|entry| entry.frame.len()).sum();
        let fits = self.entries.len() + events.len() <= limits.events && self.bytes + bytes <= limits.bytes;
        if !fits || events.last().is_none_or(|last| last.seq != self.base) {
            return;
        }
        for entry in events.iter().rev() {
            self.entries.push_front(entry.clone());
        }
        self.bytes += bytes;
        self.base = from;
        // What was read may have been taken back since.
        let deleted: Vec<_> = self
            .entries
            .iter()
            .filter_map(|entry| deletion(&entry.frame))
            .collect();
        for message in deleted {
            self.redact(message);
        }
    }

    /// Takes the text out of every event that tells one of `message`.
    pub(super) fn redact(&mut self, message: MessageId) {
        for entry in &mut self.entries {
            if let Some(frame) = redacted(&entry.frame, message) {
                self.bytes = self.bytes - entry.frame.len() + frame.len();
                entry.frame = frame;
            }
        }
    }

    /// Forgets everything and goes on from `head`.
    pub(super) fn jump(&mut self, head: u64) {
        *self = Self::new(head);
    }

    /// All events behind `after`, if none of them has made room yet.
    pub(super) fn behind(&self, after: u64) -> Option<impl ExactSizeIterator<Item = &Entry> + Clone> {
        if after < self.base {
            return None;
        }
        let from = self.entries.partition_point(|entry| entry.seq <= after);
        Some(self.entries.range(from..))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: RingLimits = RingLimits {
        events: 4,
        bytes: 1_000,
    };

    fn frame(seq: u64) -> Frame {
        Frame::text(seq.to_string().as_bytes())
    }

    fn seqs(ring: &Ring, after: u64) -> Option<Vec<u64>> {
        Some(ring.behind(after)?.map(|entry| entry.seq).collect())
    }

    #[test]
    fn a_ring_gives_what_follows_or_says_that_it_cannot() {
        let mut ring = Ring::new(10);
        for seq in [12, 15, 16, 20, 21] {
            ring.push(seq, frame(seq), LIMITS, u64::MAX);
        }
        assert_eq!(seqs(&ring, 15), Some(vec![16, 20, 21]));
        assert_eq!(seqs(&ring, 21), Some(vec![]));
        assert_eq!(seqs(&ring, 12), Some(vec![15, 16, 20, 21]));
        assert_eq!(seqs(&ring, 10), None, "12 has made room");
        ring.jump(30);
        assert_eq!((seqs(&ring, 21), seqs(&ring, 30)), (None, Some(vec![])));
    }

    #[test]
    fn events_that_are_still_needed_do_not_make_room() {
        let mut ring = Ring::new(0);
        for seq in 1..=9 {
            ring.push(seq, frame(seq), LIMITS, 2);
        }
        assert_eq!(seqs(&ring, 2), Some((3..=9).collect()));
    }

    #[test]
    fn older_events_are_put_in_front_only_without_a_gap() {
        let entries = |seqs: &[u64]| {
            seqs.iter()
                .map(|&seq| Entry {
                    seq,
                    frame: frame(seq),
                })
                .collect::<Vec<_>>()
        };
        let mut ring = Ring::new(10);
        ring.push(12, frame(12), LIMITS, u64::MAX);
        ring.extend_back(5, &entries(&[7, 9]), LIMITS);
        assert_eq!(seqs(&ring, 5), None, "10 would be missing");
        ring.extend_back(5, &entries(&[7, 10]), LIMITS);
        assert_eq!(seqs(&ring, 5), Some(vec![7, 10, 12]));
        ring.extend_back(1, &entries(&[2, 3, 5]), LIMITS);
        assert_eq!(seqs(&ring, 1), None, "too many");
    }

    proptest! {
        #[test]
        fn a_ring_never_leaves_one_out(gaps in proptest::collection::vec(1..5_u64, 0..40), after in 0..100_u64) {
            let mut ring = Ring::new(3);
            let mut all = Vec::new();
            for gap in gaps {
                let seq = ring.head() + gap;
                all.push(seq);
                ring.push(seq, frame(seq), LIMITS, u64::MAX);
            }
            if let Some(found) = seqs(&ring, after.max(3)) {
                let want: Vec<_> = all.into_iter().filter(|&seq| seq > after.max(3)).collect();
                prop_assert_eq!(found, want);
            }
        }
    }
}

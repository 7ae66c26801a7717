//! Events whose key is not at hand: those behind them wait, so that a room stays in order.

use veza_platform::event_log::Record;

use super::{MAX_WAITING, Room};

impl Room {
    /// Puts a record behind one whose key is being fetched; gives it back when there is none.
    pub(in crate::realtime) fn stall_behind(&self, record: Record) -> Option<Record> {
        let mut state = self.lock();
        let Some(stalled) = &mut state.stalled else {
            return Some(record);
        };
        if stalled.skipped_to > 0 || stalled.waiting.len() >= MAX_WAITING {
            stalled.waiting.clear();
            stalled.skipped_to = record.position.seq;
        } else {
            stalled.waiting.push_back(record);
        }
        None
    }

    /// From now on records of this room wait, until [`Self::next_stalled`] finds none.
    pub(in crate::realtime) fn stall(&self) {
        self.lock().stalled.get_or_insert_default();
    }

    /// The next record that waits; when there is none, records do not wait any more.
    pub(in crate::realtime) fn next_stalled(&self) -> Option<Record> {
        let mut state = self.lock();
        let stalled = state.stalled.as_mut()?;
        let next = stalled.waiting.pop_front();
        if next.is_none() {
            let skipped_to = stalled.skipped_to;
            state.stalled = None;
            state.jump(self.id, skipped_to);
        }
        next
    }
}

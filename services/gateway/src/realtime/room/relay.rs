//! Handing out in a very large room: part by part, so that neither the room nor the feed is held for long.

use std::ops::Range;

use tokio::time::Instant;

use super::Room;
use crate::realtime::frames::{Level, join};

/// Watchers that are served before others get their turn.
const PART: usize = 512;

/// What became of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::realtime) struct Part {
    /// Where the next part begins; `None` behind the last watcher.
    pub(in crate::realtime) next: Option<usize>,
    /// Watchers that got something.
    pub(in crate::realtime) recipients: usize,
}

impl Room {
    /// Whether so many watch that a relay hands out; at most one at a time does. `true` asks the caller to run it.
    pub(in crate::realtime) fn begins_relay(&self, from_watchers: usize) -> Option<bool> {
        let mut state = self.lock();
        if !state.relayed && state.watchers.len() < from_watchers {
            return None;
        }
        state.again = true;
        Some(!std::mem::replace(&mut state.relayed, true))
    }

    /// Begins a round over all watchers. `false` ends the relay: there is nothing new.
    pub(in crate::realtime) fn begins_round(&self, now: Instant) -> bool {
        let mut state = self.lock();
        if !std::mem::take(&mut state.again) {
            state.relayed = false;
            return false;
        }
        state.flushed = state.ring.head();
        state.last_flush = Some(now);
        true
    }

    /// Serves the watchers from place `at` on. One that is removed meanwhile may put another out of turn, which is
    /// why a round that served somebody is followed by another.
    pub(in crate::realtime) fn serve_part(&self, at: usize) -> Part {
        let mut guard = self.lock();
        let state = &mut *guard;
        let end = (at + PART).min(state.watchers.len());
        let places: Range<usize> = at.min(end)..end;
        let head = state.ring.head();
        // Most of them stand at the same place.
        let mut joined = None;
        let mut recipients = 0;
        for watcher in &mut state.watchers[places] {
            let waits = watcher.held || watcher.suspended || watcher.level == Level::Badge;
            if waits || watcher.sent >= head {
                continue;
            }
            recipients += 1;
            let key = (watcher.sent, watcher.outbox.deflates());
            if joined.as_ref().is_none_or(|(known, _)| *known != key) {
                let Some(missing) = state.ring.behind(watcher.sent) else {
                    watcher.catch_up(self.id, &state.ring);
                    continue;
                };
                joined = Some((key, join(missing.map(|entry| &entry.frame), key.1)));
            }
            if let Some((_, bytes)) = &joined {
                watcher.outbox.push_events(self.id, head, bytes);
                watcher.sent = head;
            }
        }
        state.again |= recipients > 0;
        Part {
            next: (end < state.watchers.len()).then_some(end),
            recipients,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;
    use veza_events::AccountId;

    use super::*;
    use crate::realtime::frames::Frame;
    use crate::realtime::outbox::{Outbox, OutboxLimits};
    use crate::realtime::ring::RingLimits;
    use crate::realtime::sockets::SocketKey;

    const LIMITS: RingLimits = RingLimits {
        events: 100,
        bytes: 100_000,
    };

    fn round(room: &Room, mut between: impl FnMut()) -> usize {
        let (mut at, mut served) = (0, 0);
        loop {
            let part = room.serve_part(at);
            served += part.recipients;
            between();
            match part.next {
                Some(next) => at = next,
                None => return served,
            }
        }
    }

    #[test]
    fn everybody_is_served_once_also_while_others_leave() {
        let now = Instant::now();
        let room = Room::new(Uuid::from_u128(1).into(), Uuid::from_u128(2).into(), now);
        room.begin(10, LIMITS);
        assert_eq!(room.begins_relay(1_300), None);
        let account: AccountId = Uuid::from_u128(3).into();
        let outboxes: Vec<_> = (0..1_300)
            .map(|n| {
                let outbox = Arc::new(Outbox::new(OutboxLimits {
                    lag_bytes: 100_000,
                    max_bytes: 200_000,
                }));
                room.watch(SocketKey::of(n), account, &outbox, Level::Full);
                room.release(SocketKey::of(n));
                outbox
            })
            .collect();
        let frame = Frame::text(b"{}");
        room.accept(11, 10, frame.clone(), LIMITS);
        assert_eq!(room.begins_relay(1_300), Some(true));
        assert_eq!(room.begins_relay(1_300), Some(false), "one at a time");
        let mut leaves = 0..40;
        let mut rounds = 0;
        while room.begins_round(now) {
            round(&room, || {
                for n in leaves.by_ref().take(10) {
                    room.unwatch(SocketKey::of(n * 3), now);
                }
                if rounds == 0 {
                    room.accept(12, 11, frame.clone(), LIMITS);
                }
            });
            rounds += 1;
            assert!(rounds < 10, "it comes to an end");
        }
        for (n, outbox) in (0_u64..).zip(&outboxes) {
            if n % 3 != 0 || n >= 120 {
                assert_eq!(outbox.bytes(), 2 * frame.len(), "socket {n} got both, once");
            }
        }
        assert_eq!(room.begins_relay(1_300), Some(true), "it can begin again");
    }
}

//! The gaps of one socket that are still to be filled. One that cannot be filled just now waits for another
//! try, behind those that nobody has tried yet, so that a watcher is never left without an answer.

use std::collections::VecDeque;
use std::time::Duration;

use veza_events::RoomId;
use veza_platform::ambient;

/// First and longest pause before a gap is tried again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// What a client has not seen of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) room: RoomId,
    /// Everything up to here was seen.
    pub(super) from: u64,
    /// It was tried before, without an answer to the client.
    pub(super) again: bool,
}

/// The queue. Its length is bounded by the rooms that a socket may watch.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    fresh: VecDeque<Gap>,
    again: VecDeque<Gap>,
    /// Failures since the last success: what fails for one room mostly fails for all.
    failures: u32,
}

impl Gaps {
    /// Adds a gap, or corrects the one of the same room; `false` when `max` wait already.
    pub(super) fn ask(&mut self, room: RoomId, from: u64, max: usize) -> bool {
        let mut waiting = self.fresh.iter_mut().chain(&mut self.again);
        if let Some(gap) = waiting.find(|gap| gap.room == room) {
            gap.from = from;
            return true;
        }
        if self.fresh.len() + self.again.len() >= max {
            return false;
        }
        let again = false;
        self.fresh.push_back(Gap { room, from, again });
        true
    }

    /// The client does not want the room any more.
    pub(super) fn drop_room(&mut self, room: RoomId) {
        self.fresh.retain(|gap| gap.room != room);
        self.again.retain(|gap| gap.room != room);
    }

    /// The next gap, and how long to wait before it is tried.
    pub(super) fn next(&mut self) -> Option<(Gap, Duration)> {
        if let Some(gap) = self.fresh.pop_front() {
            return Some((gap, Duration::ZERO));
        }
        Some((self.again.pop_front()?, pause(self.failures)))
    }

    /// A try is over; `left` is what could not be filled just now.
    pub(super) fn tried(&mut self, left: Option<Gap>) {
        let Some(left) = left else {
            self.failures = 0;
            return;
        };
        self.failures = self.failures.saturating_add(1);
        let mut waiting = self.fresh.iter().chain(&self.again);
        // What the client has said meanwhile is newer.
        if !waiting.any(|gap| gap.room == left.room) {
            self.again.push_back(Gap { again: true, ..left });
        }
    }
}

/// Half of the pause is random, so that the sockets of a gateway do not all come at once.
fn pause(failures: u32) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let pause = AGAIN.0.saturating_mul(1 << (failures - 1).min(10)).min(AGAIN.1);
    let share = f64::from(u32::from_be_bytes(ambient::random())) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn room(n: u128) -> RoomId {
        Uuid::from_u128(n).into()
    }

    fn gap(n: u128, from: u64, again: bool) -> Gap {
        let room = room(n);
        Gap { room, from, again }
    }

    #[test]
    fn what_failed_waits_behind_what_nobody_has_tried() {
        let mut gaps = Gaps::default();
        assert!(gaps.ask(room(1), 10, 3) && gaps.ask(room(2), 20, 3));
        assert_eq!(gaps.next(), Some((gap(1, 10, false), Duration::ZERO)));
        gaps.tried(Some(gap(1, 15, false)));
        assert_eq!(gaps.next(), Some((gap(2, 20, false), Duration::ZERO)));
        gaps.tried(Some(gap(2, 20, false)));
        let (next, pause) = gaps.next().unwrap();
        assert_eq!(next, gap(1, 15, true));
        assert!(pause >= AGAIN.0, "two failures in a row: {pause:?}");
        gaps.tried(None);
        assert_eq!(
            gaps.next(),
            Some((gap(2, 20, true), Duration::ZERO)),
            "it works again"
        );
        gaps.tried(None);
        assert_eq!(gaps.next(), None);
    }

    #[test]
    fn a_pause_grows_to_a_bound() {
        for failures in [1, 5, 30, u32::MAX] {
            assert!((AGAIN.0 / 2..=AGAIN.1).contains(&pause(failures)));
        }
        assert!(pause(u32::MAX) >= AGAIN.1 / 2);
    }

    #[test]
    fn a_room_waits_once_from_where_the_client_said_last() {
        let mut gaps = Gaps::default();
        assert!(gaps.ask(room(1), 10, 1) && gaps.ask(room(1), 12, 1));
        assert!(!gaps.ask(room(2), 1, 1), "no more than it may watch");
        let (first, _) = gaps.next().unwrap();
        assert_eq!(first, gap(1, 12, false));
        assert!(gaps.ask(room(1), 5, 1));
        gaps.tried(Some(first));
        assert_eq!(gaps.next().map(|(gap, _)| gap.from), Some(5));
        gaps.tried(Some(first));
        gaps.drop_room(room(1));
        assert_eq!(gaps.next(), None);
    }
}

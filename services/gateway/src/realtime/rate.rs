//! How many frames one client may send.

use std::time::Duration;

use tokio::time::Instant;

/// A bucket that refills at a steady rate (GCRA): one number, no timer.
#[derive(Debug)]
pub(super) struct Rate {
    /// Time that one frame takes of the allowance.
    each: Duration,
    /// How far the allowance may be used ahead.
    burst: Duration,
    /// Until when the allowance is used.
    used_until: Instant,
    /// Refused frames in a row.
    refused: u32,
}

/// Whether a frame may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// It may.
    Yes,
    /// Not now, but after this time.
    After(Duration),
    /// Not now, and the client does not listen: so many in a row were refused.
    Flood,
}

impl Rate {
    /// `per_minute` in the long run, `burst` at once.
    pub(super) fn new(per_minute: u32, burst: u32, now: Instant) -> Self {
        let each = Duration::from_mins(1) / per_minute.max(1);
        Self {
            each,
            burst: each * burst.max(1),
            used_until: now,
            refused: 0,
        }
    }

    /// Counts one frame.
    pub(super) fn pass(&mut self, now: Instant) -> Pass {
        let until = self.used_until.max(now) + self.each;
        let allowed = now + self.burst;
        if until <= allowed {
            self.used_until = until;
            self.refused = 0;
            return Pass::Yes;
        }
        self.refused += 1;
        if self.refused > MAX_REFUSED {
            Pass::Flood
        } else {
            Pass::After(until - allowed)
        }
    }
}

/// Frames in a row that are refused before the socket is closed.
const MAX_REFUSED: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_at_a_time() {
        let now = Instant::now();
        let mut rate = Rate::new(120, 40, now);
        for _ in 0..40 {
            assert_eq!(rate.pass(now), Pass::Yes);
        }
        assert_eq!(rate.pass(now), Pass::After(Duration::from_millis(500)));
        assert_eq!(rate.pass(now + Duration::from_millis(500)), Pass::Yes);
        assert_eq!(
            rate.pass(now + Duration::from_millis(500)),
            Pass::After(Duration::from_millis(500))
        );
    }

    #[test]
    fn who_goes_on_regardless_is_a_flood() {
        let now = Instant::now();
        let mut rate = Rate::new(60, 1, now);
        assert_eq!(rate.pass(now), Pass::Yes);
        for _ in 0..MAX_REFUSED {
            assert!(matches!(rate.pass(now), Pass::After(_)));
        }
        assert_eq!(rate.pass(now), Pass::Flood);
    }
}

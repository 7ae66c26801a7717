//! How much of a layer comes in, and whether it comes at all.

use std::time::{Duration, Instant};

/// Bits are counted over windows of this length.
const WINDOW: Duration = Duration::from_millis(500);
/// A layer of which nothing comes for this long is not sent.
const IDLE: Duration = Duration::from_millis(1_500);

/// The rate of one layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rate {
    begun: Option<Instant>,
    bytes: u64,
    last: Option<Instant>,
    /// Bits per second of the windows before, smoothed.
    smoothed: u64,
}

impl Rate {
    /// Takes in a packet.
    pub(crate) fn add(&mut self, now: Instant, bytes: usize) {
        let begun = *self.begun.get_or_insert(now);
        let elapsed = now.saturating_duration_since(begun);
        if elapsed >= WINDOW {
            let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            let rate = self.bytes * 8 * 1_000 / millis.max(1);
            self.smoothed = if self.smoothed == 0 {
                rate
            } else {
                u64::midpoint(self.smoothed, rate)
            };
            self.begun = Some(now);
            self.bytes = 0;
        }
        self.bytes += bytes as u64;
        self.last = Some(now);
    }

    /// Bits per second; `None` when it is not sent.
    pub(crate) fn get(&self, now: Instant) -> Option<u64> {
        let last = self.last?;
        if now.saturating_duration_since(last) >= IDLE {
            return None;
        }
        // Before the first window is full, what came so far is all that is known.
        Some(if self.smoothed == 0 {
            self.bytes * 8
        } else {
            self.smoothed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_found_and_forgotten() {
        let start = Instant::now();
        let mut rate = Rate::default();
        assert_eq!(rate.get(start), None);
        for n in 0..200_u32 {
            rate.add(start + Duration::from_millis(10) * n, 125);
        }
        let end = start + Duration::from_secs(2);
        let found = rate.get(end).unwrap();
        assert!((95_000..105_000).contains(&found), "{found}");
        assert_eq!(rate.get(end + IDLE), None);
    }
}

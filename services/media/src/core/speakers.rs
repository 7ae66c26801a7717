//! Who is speaking, by the levels that senders write beside their sound (RFC 6464), so that nothing is decoded.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How often the order is made anew.
pub(crate) const EVERY: Duration = Duration::from_millis(200);
/// Weight of a new packet, of 256; a voice is noticed within about a fifth of a second.
const WEIGHT: u32 = 32;
/// Loudness above which somebody speaks; 127 is as loud as can be.
const SPEAKING: u32 = 127 - 50;
/// Somebody goes on speaking this long, through the pauses between words.
const HOLD: Duration = Duration::from_millis(800);
/// Nothing heard for this long is silence.
const SILENT: Duration = Duration::from_millis(500);

/// The loudness of all tracks of a room.
#[derive(Debug)]
pub(crate) struct Speakers<T> {
    heard: HashMap<T, Heard>,
    /// Loudest first.
    order: Vec<T>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    /// Loudness of 0 to 127, times 256.
    loudness: u32,
    at: Instant,
    /// When it was last loud enough.
    spoke: Option<Instant>,
}

impl<T> Default for Speakers<T> {
    fn default() -> Self {
        Self {
            heard: HashMap::new(),
            order: Vec::new(),
        }
    }
}

impl<T: Copy + Eq + Hash + Ord> Speakers<T> {
    /// Takes in the level of one packet: 0 is as loud as can be, -127 is silence.
    pub(crate) fn hear(&mut self, now: Instant, track: T, level: i8) {
        let loudness = 127 - u32::from(level.unsigned_abs().min(127));
        let heard = self.heard.entry(track).or_insert(Heard {
            loudness: 0,
            at: now,
            spoke: None,
        });
        heard.loudness = (heard.loudness * (256 - WEIGHT) + loudness * 256 * WEIGHT) / 256;
        heard.at = now;
        if heard.loudness >= SPEAKING * 256 {
            heard.spoke = Some(now);
        }
    }

    /// A track is there no more.
    pub(crate) fn forget(&mut self, track: T) {
        self.heard.remove(&track);
        self.order.retain(|known| *known != track);
    }

    /// Makes the order anew; whether those who speak are others than before. Who spoke goes before who did not, later
    /// before earlier; who speaks stays where they are, so that two who talk do not change places at each word.
    pub(crate) fn turn(&mut self, now: Instant) -> bool {
        let before = self.order.clone();
        for heard in self.heard.values_mut() {
            if now.saturating_duration_since(heard.at) >= SILENT {
                heard.loudness = 0;
            }
        }
        let speaks = |track: &T| {
            let spoke = self.heard.get(track).and_then(|heard| heard.spoke);
            spoke.is_some_and(|spoke| now.saturating_duration_since(spoke) < HOLD)
        };
        let mut order: Vec<T> = before.iter().copied().filter(speaks).collect();
        let mut new: Vec<T> = self.heard.keys().copied().filter(speaks).collect();
        new.retain(|track| !order.contains(track));
        new.sort_unstable_by_key(|track| (std::cmp::Reverse(self.heard[track].loudness), *track));
        order.extend(new);
        let changed = order != before;
        self.order = order;
        changed
    }

    /// Those who speak, who has spoken longest first.
    pub(crate) fn speaking(&self) -> &[T] {
        &self.order
    }

    /// Tracks by how much they matter: those who speak, then who spoke last.
    pub(crate) fn ranked(&self, tracks: &mut [T]) {
        tracks.sort_by_key(|track| {
            let place = self.order.iter().position(|known| known == track);
            let spoke = self.heard.get(track).and_then(|heard| heard.spoke);
            (place.unwrap_or(usize::MAX), std::cmp::Reverse(spoke))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: Duration = Duration::from_millis(20);

    fn talk(speakers: &mut Speakers<u8>, from: Instant, levels: &[(u8, i8)], packets: u32) -> Instant {
        let mut now = from;
        for _ in 0..packets {
            now += PACKET;
            for (track, level) in levels {
                speakers.hear(now, *track, *level);
            }
        }
        now
    }

    #[test]
    fn a_voice_is_noticed_and_a_hum_is_not() {
        let mut speakers = Speakers::default();
        let now = talk(&mut speakers, Instant::now(), &[(1, -20), (2, -70)], 30);
        assert!(speakers.turn(now));
        assert_eq!(speakers.speaking(), [1]);
        assert!(!speakers.turn(now), "nothing has changed");
        let later = talk(&mut speakers, now, &[(1, -127), (2, -70)], 20);
        speakers.turn(later);
        assert_eq!(speakers.speaking(), [1], "a pause between words is none");
        let end = talk(&mut speakers, later, &[(1, -127), (2, -70)], 60);
        assert!(speakers.turn(end));
        assert!(speakers.speaking().is_empty());
    }

    #[test]
    fn who_speaks_keeps_the_place() {
        let mut speakers = Speakers::default();
        let now = talk(&mut speakers, Instant::now(), &[(1, -30)], 30);
        speakers.turn(now);
        let now = talk(&mut speakers, now, &[(1, -30), (2, -5)], 30);
        assert!(speakers.turn(now));
        assert_eq!(speakers.speaking(), [1, 2]);
        let mut tracks = [3, 2, 1];
        speakers.ranked(&mut tracks);
        assert_eq!(tracks, [1, 2, 3]);
        speakers.forget(1);
        assert_eq!(speakers.speaking(), [2]);
    }

    #[test]
    fn who_spoke_last_goes_before_who_never_did() {
        let mut speakers = Speakers::default();
        let now = talk(&mut speakers, Instant::now(), &[(1, -127), (2, -20)], 30);
        let now = talk(&mut speakers, now, &[(1, -127), (2, -127)], 100);
        speakers.turn(now);
        let mut tracks = [1, 2];
        speakers.ranked(&mut tracks);
        assert_eq!(tracks, [2, 1]);
    }
}

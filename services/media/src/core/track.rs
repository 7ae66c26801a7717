//! What one participant shows, and who gets it.

use std::time::{Duration, Instant};

use str0m::media::{Mid, Rid};
use veza_events::{ParticipantId, TrackId, call::TrackSource};

use super::{PeerKey, rates::Rate};

/// Pictures that stand alone are large; one layer is asked for them at most this often.
pub(crate) const KEYFRAME_EVERY: Duration = Duration::from_millis(500);

/// A published track, as the packet path sees it.
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) participant: ParticipantId,
    pub(crate) owner: PeerKey,
    pub(crate) source: TrackSource,
    /// The m-line that it comes through.
    pub(crate) mid: Mid,
    pub(crate) muted: bool,
    /// Smallest first.
    pub(crate) layers: Vec<Layer>,
    /// Slots that have it.
    pub(crate) sinks: Vec<Sink>,
}

/// A slot of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sink {
    pub(crate) peer: PeerKey,
    pub(crate) slot: usize,
}

/// One encoding of a track.
pub(crate) struct Layer {
    pub(crate) rid: Option<Rid>,
    pub(crate) name: String,
    pub(crate) rate: Rate,
    keyframe: Keyframe,
}

/// Whether a picture that stands alone has been asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Keyframe {
    asked: Option<Instant>,
    wanted: bool,
}

impl Layer {
    pub(crate) fn new(name: Option<&str>) -> Self {
        Self {
            rid: name.map(Rid::from),
            name: name.unwrap_or_default().to_owned(),
            rate: Rate::default(),
            keyframe: Keyframe::default(),
        }
    }

    /// Somebody cannot show this layer until a picture that stands alone comes.
    pub(crate) fn want_keyframe(&mut self) {
        self.keyframe.wanted = true;
    }

    /// Whether to ask for one now; however many want it, and however often.
    pub(crate) fn asks_keyframe(&mut self, now: Instant) -> bool {
        let asked = self.keyframe.asked;
        let recently = asked.is_some_and(|at| now.saturating_duration_since(at) < KEYFRAME_EVERY);
        if !self.keyframe.wanted || recently {
            return false;
        }
        self.keyframe = Keyframe {
            asked: Some(now),
            wanted: false,
        };
        true
    }
}

impl Track {
    /// The layer that a packet belongs to.
    pub(crate) fn layer_of(&self, rid: Option<Rid>) -> Option<usize> {
        if self.layers.len() == 1 {
            return Some(0);
        }
        self.layers.iter().position(|layer| layer.rid == rid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyframe_is_asked_for_once_however_many_want_it() {
        let start = Instant::now();
        let mut layer = Layer::new(Some("h"));
        assert!(!layer.asks_keyframe(start), "nobody wants one");
        layer.want_keyframe();
        layer.want_keyframe();
        assert!(layer.asks_keyframe(start));
        layer.want_keyframe();
        assert!(!layer.asks_keyframe(start + KEYFRAME_EVERY / 2));
        assert!(
            layer.asks_keyframe(start + KEYFRAME_EVERY),
            "later, but not never"
        );
        assert!(!layer.asks_keyframe(start + KEYFRAME_EVERY * 2));
    }
}

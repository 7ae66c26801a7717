//! One participant on the packet path: the connection, and the slots through which others are seen and heard.

use std::{collections::HashMap, sync::Arc, time::Instant};

use str0m::{
    format::CodecSpec,
    media::{Mid, Pt},
    rtp::{ExtensionValues, RtpWrite},
};
use veza_events::{ParticipantId, RoomId, TrackId};

use super::{
    Publish,
    format::{Format, Front},
    rewrite::{Numbers, Rewriter, Vp8Numbers},
    session::{Incoming, Session, Way},
};

/// A participant.
pub(crate) struct Peer {
    pub(crate) room: RoomId,
    pub(crate) participant: ParticipantId,
    pub(crate) session: Session,
    pub(crate) ufrag: String,
    pub(crate) slots: Vec<Slot>,
    /// Tracks of this participant, by the m-line that they come through.
    pub(crate) published: HashMap<Mid, TrackId>,
    /// Tracks whose m-line has not come; few, since each source is shown once.
    pub(crate) announced: Vec<Publish>,
    pub(crate) wishes: Wishes,
    /// Bits per second that get through.
    pub(crate) budget: u64,
    /// Something was written that has not gone out.
    pub(crate) is_dirty: bool,
    /// When to come again.
    pub(crate) due: Option<Instant>,
    /// Media has flowed.
    pub(crate) connected: bool,
    /// Since when the connection waits to come up.
    pub(crate) since: Instant,
    /// Addresses from which it was heard.
    pub(crate) addresses: usize,
}

/// What a subscriber would like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// Tracks that are on screen; all when it is not said.
    pub(crate) visible: Option<Vec<TrackId>>,
    /// Tracks that go before all others.
    pub(crate) pinned: Vec<TrackId>,
    /// At most so many videos.
    pub(crate) last_n: Option<usize>,
    /// The best layer that is of use, by track; layers count from 0, the smallest.
    pub(crate) highest: HashMap<TrackId, usize>,
}

/// An m-line through which a subscriber gets one track after another.
pub(crate) struct Slot {
    pub(crate) mid: Mid,
    pub(crate) is_audio: bool,
    pub(crate) track: Option<TrackId>,
    /// The layer that it is to have.
    pub(crate) target: Option<usize>,
    /// The layer that it has.
    pub(crate) current: Option<usize>,
    rewriter: Rewriter,
    ways: Vec<(CodecSpec, Pt, Option<Way>)>,
}

impl Slot {
    pub(crate) fn new(mid: Mid, is_audio: bool, seq: u16) -> Self {
        Self {
            mid,
            is_audio,
            track: None,
            target: None,
            current: None,
            rewriter: Rewriter::new(seq),
            ways: Vec::new(),
        }
    }

    /// Gives it another track, or none.
    pub(crate) fn bind(&mut self, track: Option<TrackId>) {
        if self.track != track {
            self.track = track;
            self.current = None;
            // Sound has one layer, which needs no waiting for.
            self.target = track.filter(|_| self.is_audio).map(|_| 0);
        }
    }

    /// Takes a packet of the track that it has; whether something was written.
    pub(crate) fn forward(
        &mut self,
        now: Instant,
        session: &mut Session,
        layer: usize,
        incoming: &Incoming,
        front: &Front,
    ) -> bool {
        let packet = &incoming.packet;
        let source = Numbers {
            seq: *packet.seq_no,
            time: packet.header.timestamp,
            vp8: front.vp8.as_ref().map(Vp8Numbers::of).unwrap_or_default(),
        };
        if self.target == Some(layer) && self.current != Some(layer) && front.begins {
            self.rewriter.begin(now, source, incoming.format.clock_rate());
            self.current = Some(layer);
        }
        if self.current != Some(layer) {
            return false;
        }
        let Some(way) = self.way(session, incoming.format) else {
            return false;
        };
        let (pt, payload) = match (incoming.format.is_red, way.red, &front.alone) {
            (false, ..) => (way.pt, &packet.payload),
            (true, Some(red), Some(_)) => (red, &packet.payload),
            (true, None, Some(alone)) => (way.pt, alone),
            (true, _, None) => return false,
        };
        let Some(numbers) = self.rewriter.map(now, source) else {
            return false;
        };
        let values = &packet.header.ext_vals;
        let ext_vals = ExtensionValues {
            audio_level: values.audio_level,
            voice_activity: values.voice_activity,
            video_orientation: values.video_orientation,
            ..ExtensionValues::default()
        };
        let payload = Arc::clone(payload);
        let mut write = RtpWrite::new(pt, numbers.seq.into(), numbers.time, packet.timestamp, payload)
            .marker(packet.header.marker)
            .nackable(!self.is_audio)
            .ext_vals(ext_vals);
        if let Some(patch) = front
            .vp8
            .as_ref()
            .and_then(|descriptor| numbers.vp8.patch(descriptor))
        {
            write = write.vp8_patch(patch);
        }
        session.write(way.ssrc, write);
        true
    }

    /// The other side may take other codecs from now on.
    pub(crate) fn renegotiated(&mut self) {
        self.ways.clear();
    }

    /// Looked up once for each codec: asking the `Rtc` is a walk over all m-lines.
    fn way(&mut self, session: &mut Session, format: Format) -> Option<Way> {
        let Format { spec, pt, .. } = format;
        let mut ways = self.ways.iter();
        if let Some((.., way)) = ways.find(|(known, by, _)| (*known, *by) == (spec, pt)) {
            return *way;
        }
        let way = session.way_out(self.mid, format);
        self.ways.push((spec, pt, way));
        way
    }
}

//! Which track goes into which slot, and with how much of it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use veza_events::{
    TrackId,
    call::{TrackKind, TrackSource},
};

use super::{
    PeerKey,
    allocator::{Want, allocate},
    peer::{Peer, Wishes},
    speakers::Speakers,
    track::{Sink, Track},
};

/// Bits per second that the sound of one slot takes at most; sound is never what gives way.
const AUDIO_BITRATE: u64 = 64_000;
/// Congestion control is told to look for more than all would take, in percent: otherwise it and the allocator wait for
/// each other.
const DESIRED: u64 = 125;

/// The calls of one room on the packet path.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) peers: Vec<PeerKey>,
    pub(crate) tracks: BTreeMap<TrackId, Track>,
    pub(crate) speakers: Speakers<TrackId>,
    /// When the order of speakers is made anew.
    pub(crate) turned: Option<Instant>,
}

impl Room {
    /// Gives every slot of `peer` a track, as it wishes and as far as they go. Who is in a slot stays there as long as
    /// they are wanted at all. Whether something has changed.
    pub(crate) fn assign(&mut self, key: PeerKey, peer: &mut Peer) -> bool {
        let mut changed = false;
        for kind in [TrackKind::Audio, TrackKind::Video] {
            let wanted = self.wanted(key, &peer.wishes, kind);
            let of_kind = |is_audio: bool| is_audio == (kind == TrackKind::Audio);
            let slots: Vec<usize> = (0..peer.slots.len())
                .filter(|slot| of_kind(peer.slots[*slot].is_audio))
                .collect();
            let bound: Vec<_> = slots.iter().map(|slot| peer.slots[*slot].track).collect();
            for (slot, track) in slots.into_iter().zip(place(&bound, &wanted)) {
                if peer.slots[slot].track != track {
                    self.unbind(key, slot, peer.slots[slot].track);
                    peer.slots[slot].bind(track);
                    if let Some(track) = track.and_then(|track| self.tracks.get_mut(&track)) {
                        track.sinks.push(Sink { peer: key, slot });
                    }
                    changed = true;
                }
            }
        }
        changed
    }

    fn unbind(&mut self, peer: PeerKey, slot: usize, track: Option<TrackId>) {
        if let Some(track) = track.and_then(|track| self.tracks.get_mut(&track)) {
            track.sinks.retain(|sink| *sink != Sink { peer, slot });
        }
    }

    /// The tracks that a subscriber is to get, most wanted first.
    fn wanted(&self, key: PeerKey, wishes: &Wishes, kind: TrackKind) -> Vec<TrackId> {
        let of_others = self.tracks.values().filter(|track| {
            let visible = wishes.visible.as_ref();
            let seen = kind == TrackKind::Audio || visible.is_none_or(|visible| visible.contains(&track.id));
            track.owner != key && track.source.kind() == kind && !track.muted && seen
        });
        let mut wanted: Vec<TrackId> = of_others.map(|track| track.id).collect();
        match kind {
            TrackKind::Audio => self.speakers.ranked(&mut wanted),
            TrackKind::Video => {
                let speaking = self.voices();
                let place = |track: &TrackId| {
                    let participant = self.tracks[track].participant;
                    let speaks = speaking.get(&participant).copied();
                    let pinned = wishes.pinned.contains(track);
                    let screen = self.tracks[track].source == TrackSource::Screen;
                    (!pinned, !screen, speaks.unwrap_or(usize::MAX))
                };
                wanted.sort_by_key(place);
                wanted.truncate(wishes.last_n.unwrap_or(usize::MAX));
            }
        }
        wanted
    }

    /// Who speaks, as participants.
    fn voices(&self) -> HashMap<veza_events::ParticipantId, usize> {
        let speaking = self.speakers.speaking().iter().enumerate();
        let voices = speaking.filter_map(|(place, track)| Some((self.tracks.get(track)?.participant, place)));
        voices.collect()
    }

    /// Shares out what gets through to `peer`. Whether a layer has changed.
    pub(crate) fn share_out(&mut self, now: Instant, peer: &mut Peer) -> bool {
        let voices = self.voices();
        let mut slots: Vec<usize> = (0..peer.slots.len())
            .filter(|slot| !peer.slots[*slot].is_audio && peer.slots[*slot].track.is_some())
            .collect();
        let tracks = &self.tracks;
        let track_of = |slot: &usize| peer.slots[*slot].track.and_then(|track| tracks.get(&track));
        slots.sort_by_key(|slot| {
            track_of(slot).map(|track| {
                let pinned = peer.wishes.pinned.contains(&track.id);
                let screen = track.source == TrackSource::Screen;
                let speaks = voices.get(&track.participant).copied();
                (!pinned, !screen, speaks.unwrap_or(usize::MAX), track.id)
            })
        });
        let wants: Vec<Want> = slots
            .iter()
            .map(|slot| {
                let layers = track_of(slot).map(|track| &track.layers[..]).unwrap_or_default();
                let highest = track_of(slot).and_then(|track| peer.wishes.highest.get(&track.id));
                Want {
                    layers: layers.iter().map(|layer| layer.rate.get(now)).collect(),
                    current: peer.slots[*slot].target,
                    highest: highest.copied().unwrap_or(usize::MAX - 1),
                }
            })
            .collect();
        let heard = peer
            .slots
            .iter()
            .filter(|slot| slot.is_audio && slot.track.is_some());
        let audio = heard.count() as u64 * AUDIO_BITRATE;
        let given = allocate(peer.budget.saturating_sub(audio), &wants);
        let desired = (given.desired + audio) * DESIRED / 100;
        peer.session.want_bitrate(given.used + audio, desired);
        let mut changed = false;
        for (slot, layer) in slots.into_iter().zip(given.layers) {
            changed |= self.aim(&mut peer.slots[slot], layer);
        }
        changed
    }

    /// Lets a slot have another layer, from its next keyframe on.
    fn aim(&mut self, slot: &mut super::peer::Slot, layer: Option<usize>) -> bool {
        let waits = layer.is_some() && slot.current != layer;
        if waits && let Some(track) = slot.track.and_then(|track| self.tracks.get_mut(&track)) {
            // Until it comes, the layer before goes on.
            if let Some(layer) = layer.and_then(|layer| track.layers.get_mut(layer)) {
                layer.want_keyframe();
            }
        }
        if layer.is_none() {
            slot.current = None;
        }
        let changed = slot.target != layer;
        slot.target = layer;
        changed
    }
}

/// Which of `wanted` goes into which slot: as many as there are slots, those that are there already where they are.
fn place(slots: &[Option<TrackId>], wanted: &[TrackId]) -> Vec<Option<TrackId>> {
    let wanted = &wanted[..wanted.len().min(slots.len())];
    let mut placed: Vec<Option<TrackId>> = slots
        .iter()
        .map(|track| track.filter(|track| wanted.contains(track)))
        .collect();
    let mut new = wanted.iter().filter(|track| !slots.contains(&Some(**track)));
    for slot in placed.iter_mut().filter(|slot| slot.is_none()) {
        *slot = new.next().copied();
    }
    placed
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn track(n: u128) -> TrackId {
        TrackId::new(Uuid::from_u128(n))
    }

    #[test]
    fn who_is_wanted_stays_where_they_are() {
        let slots = [Some(track(1)), Some(track(2)), None];
        let wanted = [track(3), track(2), track(4), track(1)];
        assert_eq!(
            place(&slots, &wanted),
            [Some(track(3)), Some(track(2)), Some(track(4))],
            "1 is the fourth of three"
        );
        assert_eq!(place(&slots, &[track(2)]), [None, Some(track(2)), None]);
        assert_eq!(place(&[], &wanted), []);
    }
}

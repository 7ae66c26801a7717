//! The way of a packet, and what is looked at now and then.

use std::time::Instant;

use veza_events::{RoomId, call::TrackKind};

use super::{
    CONNECTING, Core, News, PeerKey, SlotView,
    format::Front,
    session::{Incoming, Out, Told},
    speakers,
};

impl Core {
    /// Takes what a session has told.
    pub(super) fn hear(&mut self, now: Instant, key: PeerKey) {
        let mut told = std::mem::take(&mut self.told);
        for told in told.drain(..) {
            let Some(peer) = self.peers[key.0].as_mut() else {
                break;
            };
            let (room, participant) = (peer.room, peer.participant);
            match told {
                Told::Connected => {
                    peer.connected = true;
                    self.news.push(News::Connected(room, participant));
                }
                Told::Gone => {
                    peer.due = None;
                    self.news.push(News::Gone(room, participant));
                }
                Told::Packet(incoming) => self.inbox.push((key, incoming)),
                Told::Budget(budget) => peer.budget = budget,
                Told::KeyframeWanted(mid) => {
                    let slot = peer.slots.iter().find(|slot| slot.mid == mid);
                    let shown = slot.and_then(|slot| Some((slot.track?, slot.current.or(slot.target)?)));
                    self.want_keyframe(now, room, shown);
                }
            }
        }
        self.told = told;
    }

    fn want_keyframe(&mut self, now: Instant, room: RoomId, shown: Option<(veza_events::TrackId, usize)>) {
        let Some((track, layer)) = shown else { return };
        let track = self
            .rooms
            .get_mut(&room)
            .and_then(|room| room.tracks.get_mut(&track));
        if let Some(layer) = track.and_then(|track| track.layers.get_mut(layer)) {
            layer.want_keyframe();
            self.ask_keyframes(now, room);
        }
    }

    /// Asks publishers for the pictures that somebody waits for.
    fn ask_keyframes(&mut self, now: Instant, room: RoomId) {
        let Some(room) = self.rooms.get_mut(&room) else {
            return;
        };
        for track in room.tracks.values_mut() {
            for layer in &mut track.layers {
                if layer.asks_keyframe(now)
                    && let Some(owner) = self.peers[track.owner.0].as_mut()
                {
                    owner.session.ask_keyframe(track.mid, layer.rid);
                    owner.is_dirty = true;
                    self.carried.keyframes += 1;
                }
            }
        }
    }

    /// Writes every packet that has come in into the slots that have its track.
    pub(super) fn forward(&mut self, now: Instant) {
        let mut inbox = std::mem::take(&mut self.inbox);
        for (from, incoming) in inbox.drain(..) {
            self.carried.packets_in += 1;
            self.forward_one(now, from, &incoming);
        }
        self.inbox = inbox;
    }

    fn forward_one(&mut self, now: Instant, from: PeerKey, incoming: &Incoming) {
        let Some(peer) = self.peers[from.0].as_ref() else {
            return;
        };
        let Some(id) = peer.published.get(&incoming.mid).copied() else {
            return;
        };
        let Some(room) = self.rooms.get_mut(&peer.room) else {
            return;
        };
        let Some(track) = room.tracks.get_mut(&id) else {
            return;
        };
        let Some(layer) = track.layer_of(incoming.rid) else {
            return;
        };
        track.layers[layer].rate.add(now, incoming.packet.payload.len());
        if track.muted {
            return;
        }
        if track.source.kind() == TrackKind::Audio
            && let Some(level) = incoming.packet.header.ext_vals.audio_level
        {
            room.speakers.hear(now, id, level);
        }
        let front = Front::of(incoming.format, &incoming.packet.payload);
        for sink in &track.sinks {
            let Some(to) = self.peers[sink.peer.0].as_mut() else {
                continue;
            };
            let Some(slot) = to.slots.get_mut(sink.slot) else {
                continue;
            };
            if to.connected && slot.forward(now, &mut to.session, layer, incoming, &front) {
                to.is_dirty = true;
                self.carried.packets_out += 1;
            }
        }
    }

    /// Lets out what was written for a peer.
    pub(super) fn flush_peer(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers[key.0].as_mut() else {
            return;
        };
        peer.is_dirty = false;
        let mut out = Out {
            datagrams: &mut self.datagrams,
            told: &mut self.told,
        };
        peer.due = peer.session.flush(now, &mut out);
        self.hear(now, key);
    }

    /// Looks at speakers, slots and layers of all rooms.
    pub(super) fn tick(&mut self, now: Instant) {
        let rooms: Vec<RoomId> = self.rooms.keys().copied().collect();
        for id in rooms {
            let Some(room) = self.rooms.get_mut(&id) else {
                continue;
            };
            let due = room
                .turned
                .is_none_or(|at| now.saturating_duration_since(at) >= speakers::EVERY);
            if due {
                room.turned = Some(now);
                if room.speakers.turn(now) {
                    let speaking = room.speakers.speaking().to_vec();
                    self.news.push(News::Speakers(id, speaking));
                }
            }
            self.reassign(id);
            self.share_out(now, id);
            self.ask_keyframes(now, id);
        }
        for peer in self.peers.iter_mut().flatten() {
            let late = !peer.connected && now.saturating_duration_since(peer.since) >= CONNECTING;
            if late && peer.due.is_some() {
                peer.due = None;
                self.news.push(News::Gone(peer.room, peer.participant));
            }
        }
    }

    /// Gives tracks to the slots of a room anew.
    pub(super) fn reassign(&mut self, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        for key in room.peers.clone() {
            if let Some(peer) = self.peers[key.0].as_mut()
                && room.assign(key, peer)
            {
                let news = slots_of(room, peer);
                self.news.push(news);
            }
        }
    }

    fn share_out(&mut self, now: Instant, id: RoomId) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        for key in room.peers.clone() {
            let Some(peer) = self.peers[key.0].as_mut() else {
                continue;
            };
            if peer.connected && peer.due.is_some() {
                let changed = room.share_out(now, peer);
                // What congestion control was told takes effect when time passes.
                peer.is_dirty = true;
                if changed {
                    let news = slots_of(room, peer);
                    self.news.push(news);
                }
            }
        }
    }
}

fn slots_of(room: &super::Room, peer: &super::Peer) -> News {
    let view = |slot: &super::peer::Slot| {
        let layers = slot.track.and_then(|track| room.tracks.get(&track));
        let layer = layers.and_then(|track| track.layers.get(slot.target?));
        SlotView {
            mid: slot.mid.to_string(),
            track: slot.track,
            layer: layer.map(|layer| layer.name.clone()),
        }
    };
    News::Slots(peer.room, peer.participant, peer.slots.iter().map(view).collect())
}

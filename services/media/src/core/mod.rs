//! What one shard carries: rooms, the peers in them, and the way of a packet from one to the others. No socket and no
//! clock: time and datagrams come in, datagrams and news go out, so that all of it runs on virtual time.
//!
//! A packet is decrypted and read once, then written into each slot that has its track. What was written goes out when
//! all that had come in has been taken, with one drain for each subscriber: walking over its m-lines costs more than
//! sealing the packet.

mod allocator;
mod demux;
mod format;
mod path;
mod peer;
mod rates;
mod rewrite;
mod room;
mod sdp;
mod session;
mod signalling;
mod speakers;
#[cfg(test)]
mod tests;
mod track;

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use veza_events::{ParticipantId, RoomId, TrackId, call::TrackSource};

use demux::Demux;
use peer::Peer;
use room::Room;
use session::{Incoming, Out, Session, Told};
use track::{Layer, Track};

pub(crate) use peer::Wishes;
pub(crate) use sdp::{Offered, offered};
pub(crate) use session::{Datagram, Setup};
pub(crate) use signalling::{Answered, OfferError, PatchError, Patched};

/// How often slots and layers are looked at.
pub(crate) const TICK: Duration = Duration::from_millis(200);
/// A connection that does not come up within this is over.
const CONNECTING: Duration = Duration::from_secs(20);

/// Names a peer within its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PeerKey(usize);

/// What a shard tells of its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Media can flow.
    Connected(RoomId, ParticipantId),
    /// Nothing is heard of it any more.
    Gone(RoomId, ParticipantId),
    /// What its slots have now.
    Slots(RoomId, ParticipantId, Vec<SlotView>),
    /// Those who speak, longest first.
    Speakers(RoomId, Vec<TrackId>),
}

/// What a slot has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotView {
    /// The m-line.
    pub(crate) mid: String,
    /// The track, if there is one.
    pub(crate) track: Option<TrackId>,
    /// The name of the layer; `None` while there is not bandwidth enough for any, or it is not sent.
    pub(crate) layer: Option<String>,
}

/// What a track is that comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    /// The track.
    pub(crate) track: TrackId,
    /// The m-line that it comes through.
    pub(crate) mid: String,
    /// What it shows.
    pub(crate) source: TrackSource,
    /// Names of its layers, smallest first; none when there is only one.
    pub(crate) layers: Vec<String>,
}

/// What has been carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Carried {
    /// Datagrams in.
    pub(crate) datagrams_in: u64,
    /// Datagrams from nobody.
    pub(crate) strangers: u64,
    /// Packets of media in.
    pub(crate) packets_in: u64,
    /// Packets of media that were written for subscribers.
    pub(crate) packets_out: u64,
    /// Pictures that stand alone that were asked for.
    pub(crate) keyframes: u64,
}

/// One shard.
pub(crate) struct Core {
    setup: Setup,
    peers: Vec<Option<Peer>>,
    by_participant: HashMap<ParticipantId, PeerKey>,
    demux: Demux,
    rooms: HashMap<RoomId, Room>,
    /// Packets that have come in and not been forwarded.
    inbox: Vec<(PeerKey, Box<Incoming>)>,
    datagrams: Vec<Datagram>,
    told: Vec<Told>,
    news: Vec<News>,
    ticked: Instant,
    pub(crate) carried: Carried,
    /// First sequence numbers of slots; any will do that receivers have not seen.
    next_seq: u16,
}

impl Core {
    pub(crate) fn new(setup: Setup, now: Instant) -> Self {
        Self {
            setup,
            peers: Vec::new(),
            by_participant: HashMap::new(),
            demux: Demux::default(),
            rooms: HashMap::new(),
            inbox: Vec::new(),
            datagrams: Vec::new(),
            told: Vec::new(),
            news: Vec::new(),
            ticked: now,
            carried: Carried::default(),
            next_seq: 1,
        }
    }

    /// How many peers there are.
    pub(crate) fn len(&self) -> usize {
        self.by_participant.len()
    }

    /// Makes the connection of a participant, which comes up with an offer.
    pub(crate) fn join(&mut self, now: Instant, room: RoomId, participant: ParticipantId) {
        if self.by_participant.contains_key(&participant) {
            return;
        }
        let key = self.peers.iter().position(Option::is_none).unwrap_or_else(|| {
            self.peers.push(None);
            self.peers.len() - 1
        });
        let mut session = Session::new(&self.setup, now);
        let ufrag = session.ufrag();
        self.demux.expect(ufrag.clone(), PeerKey(key));
        self.peers[key] = Some(Peer {
            room,
            participant,
            session,
            ufrag,
            slots: Vec::new(),
            published: HashMap::new(),
            announced: Vec::new(),
            wishes: Wishes::default(),
            budget: self.setup.initial_bitrate,
            is_dirty: false,
            due: Some(now),
            connected: false,
            since: now,
            addresses: 0,
        });
        self.by_participant.insert(participant, PeerKey(key));
        self.rooms.entry(room).or_default().peers.push(PeerKey(key));
    }

    /// Ends the connection of a participant, and all that it showed.
    pub(crate) fn leave(&mut self, participant: ParticipantId) {
        let Some(key) = self.by_participant.remove(&participant) else {
            return;
        };
        let Some(mut peer) = self.peers[key.0].take() else {
            return;
        };
        let mut told = Vec::new();
        peer.session.close(&mut Out {
            datagrams: &mut self.datagrams,
            told: &mut told,
        });
        self.demux.forget(&peer.ufrag, key);
        self.inbox.retain(|(from, _)| *from != key);
        if let Some(room) = self.rooms.get_mut(&peer.room) {
            room.peers.retain(|known| *known != key);
            let own: Vec<TrackId> = peer.published.values().copied().collect();
            for track in own {
                room.speakers.forget(track);
                room.tracks.remove(&track);
            }
            for track in room.tracks.values_mut() {
                track.sinks.retain(|sink| sink.peer != key);
            }
            if room.peers.is_empty() {
                self.rooms.remove(&peer.room);
            }
        }
        self.reassign(peer.room);
    }

    /// Lets a track be forwarded: at once, or when its m-line comes. Whether it is forwarded now.
    pub(crate) fn publish(&mut self, participant: ParticipantId, publish: &Publish) -> bool {
        let Some(key) = self.key(participant) else {
            return false;
        };
        let Some(peer) = self.peer(key) else { return false };
        if peer.published.values().any(|known| *known == publish.track) {
            return true;
        }
        if !peer.session.lines().iter().any(|line| *line.mid == *publish.mid) {
            peer.announced.retain(|known| known.track != publish.track);
            peer.announced.push(publish.clone());
            return false;
        }
        let audio = publish.source.kind() == veza_events::call::TrackKind::Audio;
        let line = peer.session.lines().iter();
        let line = line
            .filter(|line| line.takes && line.is_audio == audio)
            .find(|line| *line.mid == *publish.mid);
        let Some(mid) = line.map(|line| line.mid) else {
            return false;
        };
        if peer.published.contains_key(&mid) {
            return false;
        }
        peer.published.insert(mid, publish.track);
        let room = peer.room;
        let layers = match publish.layers.as_slice() {
            [] => vec![Layer::new(None)],
            names => names.iter().map(|name| Layer::new(Some(name))).collect(),
        };
        let track = Track {
            id: publish.track,
            participant,
            owner: key,
            source: publish.source,
            mid,
            muted: false,
            layers,
            sinks: Vec::new(),
        };
        if let Some(room) = self.rooms.get_mut(&room) {
            room.tracks.insert(publish.track, track);
        }
        self.reassign(room);
        true
    }

    /// Forwards a track no more.
    pub(crate) fn unpublish(&mut self, participant: ParticipantId, track: TrackId) {
        let Some(peer) = self.key(participant).and_then(|key| self.peer(key)) else {
            return;
        };
        peer.published.retain(|_, known| *known != track);
        peer.announced.retain(|known| known.track != track);
        let id = peer.room;
        if let Some(room) = self.rooms.get_mut(&id) {
            room.tracks.remove(&track);
            room.speakers.forget(track);
        }
        self.reassign(id);
    }

    /// Lets nothing of a track through, or all of it again.
    pub(crate) fn mute(&mut self, room: RoomId, track: TrackId, muted: bool) {
        if let Some(known) = self
            .rooms
            .get_mut(&room)
            .and_then(|room| room.tracks.get_mut(&track))
        {
            known.muted = muted;
            self.reassign(room);
        }
    }

    /// What a participant would like to see.
    pub(crate) fn wish(&mut self, participant: ParticipantId, wishes: Wishes) {
        if let Some(peer) = self.key(participant).and_then(|key| self.peer(key)) {
            peer.wishes = wishes;
            let room = peer.room;
            self.reassign(room);
        }
    }

    /// Takes a datagram in.
    pub(crate) fn receive(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        self.carried.datagrams_in += 1;
        let Some(key) = self.whose(now, from, bytes) else {
            self.carried.strangers += 1;
            return;
        };
        let Some(peer) = self.peers[key.0].as_mut() else {
            return;
        };
        let mut out = Out {
            datagrams: &mut self.datagrams,
            told: &mut self.told,
        };
        peer.due = peer.session.receive(now, from, bytes, &mut out);
        self.hear(now, key);
    }

    /// The peer that a datagram is from. A new address is taken from a peer only with proof that it is.
    fn whose(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) -> Option<PeerKey> {
        let Some(ufrag) = demux::ufrag_of(bytes) else {
            return self.demux.at(from);
        };
        let key = self.demux.named(&ufrag)?;
        if self.demux.at(from) != Some(key) {
            let peer = self.peers[key.0].as_mut()?;
            if peer.addresses >= demux::MAX_ADDRESSES || !peer.session.accepts(now, from, bytes) {
                return None;
            }
            peer.addresses += 1;
            self.demux.learn(from, key);
        }
        Some(key)
    }

    /// Forwards all that has come in, lets time pass where it is due, and drains whoever was written to.
    pub(crate) fn turn(&mut self, now: Instant) {
        self.forward(now);
        if now.saturating_duration_since(self.ticked) >= TICK {
            self.ticked = now;
            self.tick(now);
        }
        for key in 0..self.peers.len() {
            let due = self.peers[key]
                .as_ref()
                .is_some_and(|peer| peer.is_dirty || peer.due.is_some_and(|due| due <= now));
            if due {
                self.flush_peer(now, PeerKey(key));
            }
        }
    }

    /// When to come again at the latest.
    pub(crate) fn due(&self) -> Instant {
        let dues = self.peers.iter().flatten().filter_map(|peer| peer.due);
        dues.fold(self.ticked + TICK, Instant::min)
    }

    /// Takes what is to be sent.
    pub(crate) fn take_datagrams(&mut self) -> Vec<Datagram> {
        std::mem::take(&mut self.datagrams)
    }

    /// Takes what there is to tell.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    fn key(&self, participant: ParticipantId) -> Option<PeerKey> {
        self.by_participant.get(&participant).copied()
    }

    fn peer(&mut self, key: PeerKey) -> Option<&mut Peer> {
        self.peers[key.0].as_mut()
    }
}

//! Descriptions of connections, and what comes of them for slots and for the way to a peer.

use std::time::Instant;

use veza_events::ParticipantId;

use super::{
    Core, demux,
    peer::Slot,
    sdp::{self, Fragment},
    session::BadOffer,
};

/// Why an offer is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OfferError {
    /// There is no such peer; it may be gone.
    #[error("there is no such participant")]
    NoPeer,
    /// It cannot be understood, or has what is not taken.
    #[error("{0}")]
    Bad(String),
}

impl From<BadOffer> for OfferError {
    fn from(error: BadOffer) -> Self {
        Self::Bad(error.to_string())
    }
}

/// An offer is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) sdp: String,
    /// Names the connection, until it begins anew.
    pub(crate) connection: String,
}

/// A part of a description is taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patched {
    /// How the worker is reached, if the connection begins anew.
    pub(crate) fragment: Option<String>,
    /// Names the connection.
    pub(crate) connection: String,
}

/// Why a part of a description is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatchError {
    /// There is no such peer; it may be gone.
    #[error("there is no such participant")]
    NoPeer,
    /// It is for a connection that has begun anew since.
    #[error("the connection has begun anew since")]
    Stale,
    /// It cannot be understood.
    #[error("{0}")]
    Bad(String),
}

impl Core {
    /// Answers the offer of a participant. Lines on which it only receives become its slots.
    pub(crate) fn offer(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        sdp: &str,
    ) -> Result<Answered, OfferError> {
        let key = self.key(participant).ok_or(OfferError::NoPeer)?;
        let peer = self.peers[key.0].as_mut().ok_or(OfferError::NoPeer)?;
        let answer = peer.session.offer(sdp)?;
        peer.slots.iter_mut().for_each(Slot::renegotiated);
        // An offer may begin the connection anew, under another name.
        let ufrag = peer.session.ufrag();
        if ufrag != peer.ufrag {
            let old = std::mem::replace(&mut peer.ufrag, ufrag.clone());
            self.demux.rename(&old, ufrag, key);
            // Where it was heard from before, it is heard meanwhile, unless those places become too many.
            if peer.addresses > demux::MAX_ADDRESSES / 2 {
                self.demux.forget_addresses(key);
                peer.addresses = 0;
            }
        }
        self.flush_peer(now, key);
        let peer = self.peers[key.0].as_mut().ok_or(OfferError::NoPeer)?;
        for line in peer.session.lines() {
            let known = peer.slots.iter().any(|slot| slot.mid == line.mid);
            if line.gives && !known {
                peer.slots.push(Slot::new(line.mid, line.is_audio, self.next_seq));
                self.next_seq = self.next_seq.wrapping_add(7_919) & 0x7fff;
            }
        }
        let (room, announced) = (peer.room, std::mem::take(&mut peer.announced));
        let connection = peer.ufrag.clone();
        for publish in announced {
            self.publish(participant, &publish);
        }
        self.reassign(room);
        Ok(Answered {
            sdp: answer,
            connection,
        })
    }

    /// Takes a part of a description: places at which a participant may be reached, for the connection of this name;
    /// or, for none, how the connection is to begin anew.
    pub(crate) fn patch(
        &mut self,
        now: Instant,
        participant: ParticipantId,
        part: &str,
        connection: Option<&str>,
    ) -> Result<Patched, PatchError> {
        let key = self.key(participant).ok_or(PatchError::NoPeer)?;
        let peer = self.peer(key).ok_or(PatchError::NoPeer)?;
        if connection.is_some_and(|connection| connection != peer.ufrag) {
            return Err(PatchError::Stale);
        }
        let bad = |what: &str| PatchError::Bad(what.to_owned());
        let read = Fragment::read(part)
            .ok_or_else(|| bad("this is no part of a description with candidates or credentials"))?;
        if connection.is_some() {
            for candidate in &read.candidates {
                // Names that only the client's own network knows are of no use here, and of no harm.
                peer.session.candidate(candidate);
            }
            let connection = peer.ufrag.clone();
            self.flush_peer(now, key);
            return Ok(Patched {
                fragment: None,
                connection,
            });
        }
        let credentials = read
            .credentials
            .ok_or_else(|| bad("a connection begins anew with `a=ice-ufrag` and `a=ice-pwd`"))?;
        let offer = sdp::renamed(peer.session.offered(), &credentials);
        let answered = self
            .offer(now, participant, &offer)
            .map_err(|error| PatchError::Bad(error.to_string()))?;
        for candidate in &read.candidates {
            self.candidate(now, participant, candidate);
        }
        Ok(Patched {
            fragment: Some(sdp::way_of(&answered.sdp)),
            connection: answered.connection,
        })
    }

    /// Takes a candidate of a participant; whether it can be understood.
    pub(crate) fn candidate(&mut self, now: Instant, participant: ParticipantId, text: &str) -> bool {
        let Some(key) = self.key(participant) else {
            return false;
        };
        let taken = self.peer(key).is_some_and(|peer| peer.session.candidate(text));
        self.flush_peer(now, key);
        taken
    }
}

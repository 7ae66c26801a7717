//! The calls of one room, one after another: who is in, what they show, who may put an end to it.
//!
//! Whoever sees a room may listen; showing oneself asks for `speak` or `share_screen`. What is known of a call is
//! small, so that decisions look at all of it.

mod decide;
mod rejection;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use veza_events::{
    AccountId, CallId, ParticipantId, RoomId, TrackId,
    call::{CallEvent, TrackSource},
    member::Membership,
};

use crate::{Decider, space::SpaceState};
use decide::Deciding;
pub use rejection::CallRejection;

/// Most layers of one track.
pub const MAX_LAYERS: usize = 4;
/// Most characters of the name of a codec or a layer.
pub const MAX_NAME: usize = 16;

/// Decides about the calls of one room.
pub struct Call;

/// What is known of the calls of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallState {
    /// The call that is open.
    pub call: Option<CallId>,
    /// Who is in it.
    pub participants: BTreeMap<ParticipantId, Participant>,
}

/// Somebody in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// Who.
    pub account: AccountId,
    /// What they show.
    pub tracks: BTreeMap<TrackId, Track>,
}

/// What somebody shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// What it shows.
    pub source: TrackSource,
    /// Neither heard nor seen.
    pub muted: bool,
}

impl CallState {
    /// The stay, if it is one of this account: what concerns only the two of them, such as an offer, asks for no more.
    ///
    /// # Errors
    /// `call.not_open`, `call.not_in`.
    pub fn own(&self, participant: ParticipantId, account: AccountId) -> Result<&Participant, CallRejection> {
        self.call.ok_or(CallRejection::NotOpen)?;
        let own = |stay: &&Participant| stay.account == account;
        let stay = self.participants.get(&participant).filter(own);
        stay.ok_or(CallRejection::NotIn)
    }
}

/// How much fits into a call.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Participants.
    pub participants: usize,
    /// Stays of one account.
    pub per_account: usize,
}

/// What else a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct CallContext<'a> {
    /// The room.
    pub room: RoomId,
    /// Its space.
    pub space: &'a SpaceState,
    /// Who asks.
    pub actor: AccountId,
    /// The membership of who asks.
    pub membership: &'a Membership,
    /// Whether one of two who talk has blocked the other.
    pub blocked: bool,
    /// How much fits.
    pub limits: CallLimits,
}

/// What somebody comes in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The new track.
    pub track: TrackId,
    /// What it shows.
    pub source: TrackSource,
    /// How it is coded.
    pub codec: String,
    /// Names of its layers, best last.
    pub layers: Vec<String>,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallCommand {
    /// Be in the call of the room; the first one begins it.
    Join {
        /// The call that begins, if none is open.
        call: CallId,
        /// The new stay.
        participant: ParticipantId,
    },
    /// Be in the call with all that is shown, at once. Who shows nothing watches, and begins no call.
    Stream {
        /// The call that begins, if none is open.
        call: CallId,
        /// The new stay.
        participant: ParticipantId,
        /// What it shows.
        shows: Vec<Shown>,
    },
    /// Be in it no more.
    Leave {
        /// Which stay.
        participant: ParticipantId,
        /// Nothing was heard of them any more.
        gone: bool,
    },
    /// Show something.
    Publish {
        /// Of which stay.
        participant: ParticipantId,
        /// What.
        shown: Shown,
    },
    /// Show it no more.
    Unpublish {
        /// Of which stay.
        participant: ParticipantId,
        /// Which track.
        track: TrackId,
    },
    /// Mute a track, or let it be heard and seen again. Others than its owner only mute.
    Mute {
        /// Of which stay.
        participant: ParticipantId,
        /// Which track.
        track: TrackId,
        /// Which of the two.
        muted: bool,
    },
    /// Take somebody out.
    Kick {
        /// Which stay.
        participant: ParticipantId,
    },
    /// End the call for everybody.
    End,
    /// Look whether a stay may go on, now that somebody's rights have changed.
    Review {
        /// Which stay; of who asks.
        participant: ParticipantId,
    },
    /// The worker that carried the call is gone: nobody can be in it any more.
    Abandon,
}

type Decision = Result<Vec<CallEvent>, CallRejection>;

impl Decider for Call {
    type State = CallState;
    type Command = CallCommand;
    type Context<'a> = CallContext<'a>;
    type Event = CallEvent;
    type Rejection = CallRejection;

    fn decide(state: &CallState, context: &CallContext<'_>, command: CallCommand) -> Decision {
        let deciding = Deciding { state, context };
        match command {
            CallCommand::Join { call, participant } => deciding.join(call, participant),
            CallCommand::Stream {
                call,
                participant,
                shows,
            } => deciding.stream(call, participant, shows),
            CallCommand::Leave { participant, gone } => deciding.leave(participant, gone),
            CallCommand::Publish { participant, shown } => deciding.publish(participant, shown),
            CallCommand::Unpublish { participant, track } => deciding.unpublish(participant, track),
            CallCommand::Mute {
                participant,
                track,
                muted,
            } => deciding.mute(participant, track, muted),
            CallCommand::Kick { participant } => deciding.kick(participant),
            CallCommand::End => deciding.end(),
            CallCommand::Review { participant } => deciding.review(participant),
            CallCommand::Abandon => deciding.abandon(),
        }
    }

    fn evolve(state: &mut CallState, event: &CallEvent) {
        match event {
            CallEvent::Opened(event) => {
                *state = CallState {
                    call: Some(event.call),
                    participants: BTreeMap::new(),
                }
            }
            CallEvent::ParticipantJoined(event) => {
                let tracks = BTreeMap::new();
                let account = event.account;
                let joined = Participant { account, tracks };
                state.participants.insert(event.participant, joined);
            }
            CallEvent::ParticipantLeft(event) => {
                state.participants.remove(&event.participant);
            }
            CallEvent::TrackPublished(event) => {
                let source = event.source;
                if let Some(stay) = state.participants.get_mut(&event.participant) {
                    stay.tracks.insert(event.track, Track { source, muted: false });
                }
            }
            CallEvent::TrackMuted(event) => {
                let stay = state.participants.get_mut(&event.participant);
                if let Some(track) = stay.and_then(|stay| stay.tracks.get_mut(&event.track)) {
                    track.muted = event.muted;
                }
            }
            CallEvent::TrackUnpublished(event) => {
                if let Some(stay) = state.participants.get_mut(&event.participant) {
                    stay.tracks.remove(&event.track);
                }
            }
            CallEvent::Closed(_) => *state = CallState::default(),
        }
    }
}

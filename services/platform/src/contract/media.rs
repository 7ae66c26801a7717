//! What the media workers take. Any of them says who carries the calls of a room (`cmd.media.place`); what happens in
//! a call is asked of the one that carries it (`cmd.media.at.<worker>`). What a worker tells the people in a call goes
//! the other way, as frames that gateways pass on as they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use veza_events::{AccountId, CallId, ParticipantId, RoomId, SpaceId, Timestamp, TrackId, call::TrackSource};

use super::commands;
use crate::event_log::Position;

/// Ask who carries the calls of a room; nobody does yet, one of the workers takes them.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlaceCall {
    /// Where the room is.
    pub space: SpaceId,
    /// Which room.
    pub room: RoomId,
}

/// Who carries the calls of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallPlaced {
    /// The worker.
    pub worker: String,
    /// Grows each time that another worker takes over.
    pub epoch: u64,
}

/// Be in the call of a room.
#[derive(Debug, Serialize, Deserialize)]
pub struct JoinCall {
    /// Where the room is.
    pub space: SpaceId,
    /// Which room.
    pub room: RoomId,
}

/// Be in the call of a room with one description of the connection, and all that it brings or wants (WHIP, WHEP).
#[derive(Debug, Serialize, Deserialize)]
pub struct StreamCall {
    /// Where the room is.
    pub space: SpaceId,
    /// Which room.
    pub room: RoomId,
    /// The description (RFC 8866).
    pub sdp: String,
    /// Shows what the description sends; else only watches.
    pub shows: bool,
}

/// In the call, and answered.
#[derive(Debug, Serialize, Deserialize)]
pub struct CallStreamed {
    /// This stay.
    pub participant: ParticipantId,
    /// The description that answers.
    pub sdp: String,
    /// Names the connection, until it begins anew.
    pub connection: String,
    /// Where it was written.
    pub position: Position,
}

/// In the call.
#[derive(Debug, Serialize, Deserialize)]
pub struct CallJoined {
    /// The call.
    pub call: CallId,
    /// This stay.
    pub participant: ParticipantId,
    /// Everybody in the call, this stay included.
    pub participants: Vec<CallParticipant>,
    /// How many others can be heard and seen at once.
    pub slots: CallSlots,
    /// Where it was written.
    pub position: Position,
}

/// Somebody in a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallParticipant {
    /// This stay of theirs.
    pub participant: ParticipantId,
    /// Who.
    pub account: AccountId,
    /// What they show.
    pub tracks: Vec<CallTrack>,
}

/// What somebody shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallTrack {
    /// The track.
    pub track: TrackId,
    /// What it shows.
    pub source: TrackSource,
    /// Neither heard nor seen.
    pub muted: bool,
}

/// Lines on which a client can get others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallSlots {
    /// Voices.
    pub audio: usize,
    /// Faces and screens.
    pub video: usize,
}

/// Something that is asked in a call.
#[derive(Debug, Serialize, Deserialize)]
pub struct InCall {
    /// In which room.
    pub room: RoomId,
    /// By which stay.
    pub participant: ParticipantId,
    /// What.
    pub action: CallAction,
}

/// What can be asked in a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallAction {
    /// A description of the connection (RFC 8866) to be answered.
    Offer {
        /// The description.
        sdp: String,
    },
    /// An address at which the client may be reached.
    Candidate {
        /// As in SDP.
        candidate: String,
    },
    /// More about the way to the client, or a new beginning of the connection, as a part of a description (RFC 8840).
    Patch {
        /// The part.
        fragment: String,
        /// Which connection it is for; none for whichever there is, which then begins anew.
        connection: Option<String>,
    },
    /// Show something.
    Publish {
        /// The `mid` of the line that it comes through.
        cid: String,
        /// What it shows.
        source: TrackSource,
        /// How it is coded.
        codec: String,
        /// Names of its layers, smallest first.
        rids: Vec<String>,
    },
    /// Show it no more.
    Unpublish {
        /// Which track.
        track: TrackId,
    },
    /// Mute a track, of oneself or of another, or let one's own be heard again.
    Mute {
        /// Whose.
        participant: ParticipantId,
        /// Which track.
        track: TrackId,
        /// Which of the two.
        muted: bool,
    },
    /// Take somebody out.
    Kick {
        /// Whom.
        participant: ParticipantId,
    },
    /// End the call for everybody.
    End,
    /// What is on screen.
    View {
        /// Tracks that are shown; all, if it is not said.
        visible: Option<Vec<TrackId>>,
        /// Tracks that go before all others.
        pinned: Vec<TrackId>,
        /// At most so many videos.
        last_n: Option<usize>,
        /// The best layer of use, counted from 0, the smallest.
        highest: Vec<(TrackId, usize)>,
    },
    /// Be in it no more.
    Leave {
        /// The client has not said so itself.
        gone: bool,
    },
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallDone {
    /// It is done.
    Done,
    /// The offer is answered.
    Answered {
        /// The description.
        sdp: String,
    },
    /// The connection has taken it in.
    Patched {
        /// How the server is reached, if the connection begins anew.
        fragment: Option<String>,
        /// Names the connection.
        connection: String,
    },
    /// The track is published.
    Published {
        /// Its id.
        track: TrackId,
    },
}

commands! {
    "place_call": PlaceCall => CallPlaced,
    "join_call": JoinCall => CallJoined,
    "stream_call": StreamCall => CallStreamed,
    "in_call": InCall => CallDone,
}

/// What a worker tells somebody in a call: exactly the frame that they get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "t")]
pub enum CallSignal {
    /// Something happened in the call; what, the log says in the same words.
    #[serde(rename = "call.event")]
    Event {
        /// In which room.
        room: RoomId,
        /// Where it stands in the log.
        seq: u64,
        /// What sort it is, such as `call.participant_joined.v1`.
        #[serde(rename = "type")]
        kind: String,
        /// When.
        at: Timestamp,
        /// What.
        data: Value,
    },
    /// What comes through which line now.
    #[serde(rename = "call.slots")]
    Slots {
        /// All lines.
        slots: Vec<CallSlot>,
    },
    /// Who speaks, as their tracks, longest first.
    #[serde(rename = "call.speakers")]
    Speakers {
        /// The tracks.
        tracks: Vec<TrackId>,
    },
    /// The worker cannot go on: join anew, at another one.
    #[serde(rename = "call.reconnect")]
    Reconnect {
        /// In which room.
        room: RoomId,
    },
}

/// What comes through one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallSlot {
    /// The `mid` of the line.
    pub mid: String,
    /// The track; none when there is nobody for the line.
    pub track: Option<TrackId>,
    /// The layer that comes; empty for a track that has only one.
    pub layer: Option<String>,
    /// Why nothing comes of a track that has the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_reason: Option<PausedReason>,
}

/// Why nothing comes of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PausedReason {
    /// It is not sent just now, or there is not enough bandwidth for it.
    NotReceived,
}

/// Where a worker tells somebody in a call; not stored.
pub fn signals_of(participant: ParticipantId) -> String {
    format!("signal.call.{participant}")
}

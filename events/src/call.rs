//! What happens in the calls of one room, in one exact order. Never anything per packet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, CallId, ParticipantId, RoomId, SpaceId, TrackId, catalogue::events};

events! {
    /// What can happen in the calls of a room.
    pub enum CallEvent {
        "call.opened.v1" => Opened,
        "call.participant_joined.v1" => ParticipantJoined,
        "call.participant_left.v1" => ParticipantLeft,
        "call.track_published.v1" => TrackPublished,
        "call.track_muted.v1" => TrackMuted,
        "call.track_unpublished.v1" => TrackUnpublished,
        "call.closed.v1" => Closed,
    }
}

macro_rules! of_every_event {
    ($($event:ident),+) => {
        impl CallEvent {
            /// The space that the room belongs to.
            pub fn space(&self) -> SpaceId {
                match self { $(Self::$event(event) => event.space,)+ }
            }

            /// The room.
            pub fn room(&self) -> RoomId {
                match self { $(Self::$event(event) => event.room,)+ }
            }

            /// The call.
            pub fn call(&self) -> CallId {
                match self { $(Self::$event(event) => event.call,)+ }
            }
        }
    };
}

of_every_event!(
    Opened,
    ParticipantJoined,
    ParticipantLeft,
    TrackPublished,
    TrackMuted,
    TrackUnpublished,
    Closed
);

/// What a track carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrackKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// What a track shows or lets be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrackSource {
    /// A voice.
    Microphone,
    /// A face.
    Camera,
    /// A screen, or a part of one.
    Screen,
    /// What the screen sounds like.
    ScreenAudio,
}

impl TrackSource {
    /// What such a track carries.
    pub const fn kind(self) -> TrackKind {
        match self {
            Self::Microphone | Self::ScreenAudio => TrackKind::Audio,
            Self::Camera | Self::Screen => TrackKind::Video,
        }
    }
}

/// Why somebody is in a call no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaveReason {
    /// They hung up.
    Left,
    /// Nothing was heard of them any more.
    Gone,
    /// Somebody who moderates took them out.
    Kicked,
    /// They may not see the room any more.
    AccessLost,
}

/// Why a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The last one left.
    Empty,
    /// Somebody who moderates ended it.
    Ended,
    /// The worker that carried it is gone; whoever was in it joins anew.
    WorkerLost,
}

/// Declares one fact of a call: where, which call, what.
macro_rules! facts {
    ($($(#[$doc:meta])+ $name:ident { $($(#[$field_doc:meta])+ $field:ident: $type:ty,)* })+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// In which space.
            pub space: SpaceId,
            /// In which room.
            pub room: RoomId,
            /// In which call.
            pub call: CallId,
            $($(#[$field_doc])+ pub $field: $type,)*
        }
    )+};
}

facts! {
    /// A call began.
    Opened {
        /// Who began it.
        by: AccountId,
    }
    /// Somebody is in the call, with one device.
    ParticipantJoined {
        /// This stay of theirs.
        participant: ParticipantId,
        /// Who.
        account: AccountId,
    }
    /// Somebody is in the call no more; neither are their tracks.
    ParticipantLeft {
        /// Which stay ended.
        participant: ParticipantId,
        /// Whose.
        account: AccountId,
        /// Why.
        why: LeaveReason,
        /// Who took them out, if somebody did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<AccountId>,
    }
    /// Somebody can be seen or heard.
    TrackPublished {
        /// The new track.
        track: TrackId,
        /// Of which stay.
        participant: ParticipantId,
        /// Whose.
        account: AccountId,
        /// What it shows.
        source: TrackSource,
        /// How it is coded, such as `opus` or `vp8`.
        codec: String,
        /// Names of the simulcast layers, best last; none when there is one layer only.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        layers: Vec<String>,
    }
    /// A track was muted, or is heard and seen again.
    TrackMuted {
        /// Which track.
        track: TrackId,
        /// Of which stay.
        participant: ParticipantId,
        /// Which of the two.
        muted: bool,
        /// Who did it; somebody else than its owner only mutes.
        by: AccountId,
    }
    /// A track is there no more.
    TrackUnpublished {
        /// Which track.
        track: TrackId,
        /// Of which stay.
        participant: ParticipantId,
    }
    /// The call is over, for everybody in it.
    Closed {
        /// Why.
        why: CloseReason,
        /// Who ended it, if somebody did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<AccountId>,
    }
}

//! Frames of calls. Descriptions of connections come through here; sound and pictures never do.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use veza_events::{CommandId, ParticipantId, RoomId, TrackId, call::TrackSource};
use veza_platform::contract::media::CallAction;

use super::Incoming;
use crate::realtime::calls::CallCommand;
use crate::realtime::commands::Command;

/// Declares frames that have an id, and a command id where they go into the log.
macro_rules! call_frames {
    ($($(#[$doc:meta])+ $name:ident { $($(#[$field_doc:meta])+ $field:ident: $type:ty,)* })+) => {$(
        $(#[$doc])+
        #[derive(Debug, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// Chosen by the client; comes back in the answer.
            pub(super) id: u64,
            $($(#[$field_doc])+ pub(super) $field: $type,)*
        }
    )+};
}

call_frames! {
    /// Be in the call of a room; the first one begins it.
    CallJoin {
        /// Which room.
        room: RoomId,
        /// The same for every try.
        command_id: CommandId,
    }
    /// A description of the connection. The client always offers.
    CallOffer {
        /// As the browser made it.
        sdp: String,
    }
    /// An address at which the client may be reached.
    CallCandidate {
        /// As the browser made it.
        candidate: String,
    }
    /// Show something.
    CallPublish {
        /// The same for every try.
        command_id: CommandId,
        /// The `mid` of the line that it comes through.
        cid: String,
        /// What it shows.
        source: TrackSource,
        /// How it is coded, such as `opus` or `vp8`.
        codec: String,
        /// Names of its layers, smallest first; none when there is only one.
        #[serde(default)]
        rids: Vec<String>,
    }
    /// Show it no more.
    CallUnpublish {
        /// The same for every try.
        command_id: CommandId,
        /// Which track.
        track: TrackId,
    }
    /// Mute a track of one's own, or let it be heard and seen again.
    CallMute {
        /// The same for every try.
        command_id: CommandId,
        /// Which track.
        track: TrackId,
        /// Which of the two.
        muted: bool,
    }
    /// Do something about somebody else, or about the call.
    CallModerate {
        /// The same for every try.
        command_id: CommandId,
        /// What.
        action: Moderation,
    }
    /// What is on screen.
    CallViewport {
        /// Tracks that are shown; all, if it is not said.
        #[serde(default)]
        visible: Option<Vec<TrackId>>,
        /// Tracks that go before all others.
        #[serde(default)]
        pinned: Vec<TrackId>,
        /// At most so many videos.
        #[serde(default)]
        last_n: Option<usize>,
        /// The best layer of use of a track, counted from 0, the smallest.
        #[serde(default)]
        highest: BTreeMap<TrackId, usize>,
    }
    /// Be in the call no more.
    CallLeave {
        /// The same for every try.
        command_id: CommandId,
    }
}

/// What can be done by who moderates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Moderation {
    /// Mute a track.
    Mute {
        /// Whose.
        participant: ParticipantId,
        /// Which track.
        track: TrackId,
    },
    /// Take somebody out.
    Kick {
        /// Whom.
        participant: ParticipantId,
    },
    /// End the call for everybody.
    End {},
}

impl Incoming {
    /// The frame as a command of a call; the frame itself, if it is none.
    pub(super) fn into_call(self) -> Result<(u64, Command), Self> {
        let (id, command, action) = match self {
            Self::CallJoin(CallJoin { id, room, command_id }) => {
                let call = CallCommand::Join(room, command_id);
                return Ok((id, Command::Call { id, call }));
            }
            Self::CallOffer(CallOffer { id, sdp }) => (id, None, CallAction::Offer { sdp }),
            Self::CallCandidate(CallCandidate { id, candidate }) => {
                (id, None, CallAction::Candidate { candidate })
            }
            Self::CallPublish(frame) => {
                let publish = CallAction::Publish {
                    cid: frame.cid,
                    source: frame.source,
                    codec: frame.codec,
                    rids: frame.rids,
                };
                (frame.id, Some(frame.command_id), publish)
            }
            Self::CallUnpublish(CallUnpublish {
                id,
                command_id,
                track,
            }) => (id, Some(command_id), CallAction::Unpublish { track }),
            Self::CallMute(CallMute {
                id,
                command_id,
                track,
                muted,
            }) => {
                let call = CallCommand::MuteOwn {
                    command: command_id,
                    track,
                    muted,
                };
                return Ok((id, Command::Call { id, call }));
            }
            Self::CallModerate(CallModerate {
                id,
                command_id,
                action,
            }) => {
                let action = match action {
                    Moderation::Mute { participant, track } => CallAction::Mute {
                        participant,
                        track,
                        muted: true,
                    },
                    Moderation::Kick { participant } => CallAction::Kick { participant },
                    Moderation::End {} => CallAction::End,
                };
                (id, Some(command_id), action)
            }
            Self::CallViewport(frame) => {
                let view = CallAction::View {
                    visible: frame.visible,
                    pinned: frame.pinned,
                    last_n: frame.last_n,
                    highest: frame.highest.into_iter().collect(),
                };
                (frame.id, None, view)
            }
            Self::CallLeave(CallLeave { id, command_id }) => {
                let call = CallCommand::Leave(command_id);
                return Ok((id, Command::Call { id, call }));
            }
            other => return Err(other),
        };
        let call = CallCommand::Act(command, action);
        Ok((id, Command::Call { id, call }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    #[test]
    fn every_frame_of_calls_is_a_command_with_its_id() {
        for rest in [
            format!(r#""t":"call.join","room":"{ID}","command_id":"{ID}""#),
            r#""t":"call.offer","sdp":"v=0""#.to_owned(),
            r#""t":"call.candidate","candidate":"x""#.to_owned(),
            format!(
                r#""t":"call.publish","command_id":"{ID}","cid":"0","source":"microphone","codec":"opus""#
            ),
            format!(r#""t":"call.unpublish","command_id":"{ID}","track":"{ID}""#),
            format!(r#""t":"call.mute","command_id":"{ID}","track":"{ID}","muted":true"#),
            format!(r#""t":"call.moderate","command_id":"{ID}","action":{{"end":{{}}}}"#),
            format!(
                r#""t":"call.moderate","command_id":"{ID}","action":{{"kick":{{"participant":"{ID}"}}}}"#
            ),
            format!(r#""t":"call.viewport","pinned":["{ID}"],"highest":{{"{ID}":1}}"#),
            format!(r#""t":"call.leave","command_id":"{ID}""#),
        ] {
            let frame = Incoming::read(&format!(r#"{{"id":7,{rest}}}"#)).unwrap();
            let (id, command) = frame.into_command().unwrap();
            assert!(
                id == 7 && matches!(command, Command::Call { id: 7, .. }),
                "{rest}"
            );
        }
    }

    #[test]
    fn what_is_missing_or_too_much_is_refused() {
        for (rest, code) in [
            (r#""t":"call.join","room":"x","command_id":"y""#, "frame.invalid"),
            (r#""t":"call.offer""#, "frame.invalid"),
            (r#""t":"call.offer","sdp":"","x":1"#, "frame.unknown_field"),
            (
                r#""t":"call.moderate","command_id":"x","action":"end""#,
                "frame.invalid",
            ),
            (r#""t":"call.dance""#, "frame.unknown_type"),
        ] {
            let refused = Incoming::read(&format!(r#"{{"id":7,{rest}}}"#)).unwrap_err();
            assert_eq!(refused.problem.code, code, "{rest}");
        }
    }
}

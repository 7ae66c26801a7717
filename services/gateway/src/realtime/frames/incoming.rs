//! Frames from clients. Whatever is not exactly one of them is refused with a code that says why.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use veza_events::{AccountId, AttachmentId, CommandId, MessageId, RoomId};
use veza_platform::contract::{Problem, ProblemKind};

use super::ResumeFrom;
use super::about::{Edit, Only, Reaction};
use super::call::{
    CallCandidate, CallJoin, CallLeave, CallModerate, CallMute, CallOffer, CallPublish, CallUnpublish,
    CallViewport,
};

/// A frame from a client.
#[derive(Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "t", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Incoming {
    /// The first frame: who is it, and what it saw last.
    Hello {
        /// From `POST /v1/realtime/tickets`.
        ticket: String,
        /// Rooms to watch at once, from the last event seen of each.
        #[serde(default)]
        resume: ResumeFrom,
        /// Large events may come as binary frames: raw deflate of the JSON.
        #[serde(default)]
        deflate: bool,
    },
    /// Tell me what happens in these rooms.
    Watch {
        /// Chosen by the client; comes back in the answer.
        id: u64,
        /// How much of each.
        rooms: BTreeMap<RoomId, Level>,
    },
    /// Tell me no more of these rooms.
    Unwatch {
        /// Chosen by the client; comes back in the answer.
        id: u64,
        /// Which rooms.
        rooms: Vec<RoomId>,
    },
    /// Give me what I missed.
    Resume {
        /// Chosen by the client; comes back in an error.
        #[serde(default)]
        id: Option<u64>,
        /// The last event seen of each room.
        rooms: ResumeFrom,
    },
    /// Post a message.
    Send {
        /// Chosen by the client; comes back in the answer.
        id: u64,
        /// Where.
        room: RoomId,
        /// The same for every try.
        command_id: CommandId,
        /// What.
        body: String,
        /// Which message it answers.
        #[serde(default)]
        reply_to: Option<MessageId>,
        /// Files that were uploaded for the room.
        #[serde(default)]
        attachments: Vec<AttachmentId>,
    },
    /// This account has read a room up to here.
    Read {
        /// Chosen by the client; comes back in the answer.
        id: u64,
        /// Which room.
        room: RoomId,
        /// The last event that was seen.
        seq: u64,
    },
    /// Somebody is typing here. Not answered.
    Typing {
        /// Where.
        room: RoomId,
    },
    /// Whom this device has on screen, and how it wants to be seen.
    Presence {
        /// Chosen by the client; comes back in the answer.
        id: u64,
        /// Replaces the accounts whose presence is told.
        #[serde(default)]
        watch: Option<BTreeSet<AccountId>>,
        /// How this device is to be seen.
        #[serde(default)]
        state: Option<Mood>,
    },
    /// Give a message of one's own another text.
    Edit(Edit),
    /// Take a message back.
    Delete(Only),
    /// React to a message.
    React(Reaction),
    /// Take one's own reaction back.
    Unreact(Reaction),
    /// Put a message where everybody finds it.
    Pin(Only),
    /// Take it from there.
    Unpin(Only),
    /// Be in the call of a room.
    #[serde(rename = "call.join")]
    CallJoin(CallJoin),
    /// Describe the connection of a call.
    #[serde(rename = "call.offer")]
    CallOffer(CallOffer),
    /// An address at which the client may be reached.
    #[serde(rename = "call.candidate")]
    CallCandidate(CallCandidate),
    /// Show something in a call.
    #[serde(rename = "call.publish")]
    CallPublish(CallPublish),
    /// Show it no more.
    #[serde(rename = "call.unpublish")]
    CallUnpublish(CallUnpublish),
    /// Mute a track of one's own, or let it be heard again.
    #[serde(rename = "call.mute")]
    CallMute(CallMute),
    /// Do something about somebody else in a call, or about the call.
    #[serde(rename = "call.moderate")]
    CallModerate(CallModerate),
    /// What is on screen in a call.
    #[serde(rename = "call.viewport")]
    CallViewport(CallViewport),
    /// Be in a call no more.
    #[serde(rename = "call.leave")]
    CallLeave(CallLeave),
    /// Are you there?
    Ping {},
    /// I am here.
    Pong {},
}

/// Every `t` that a client may send.
pub(crate) const KINDS: [&str; 25] = [
    "hello",
    "watch",
    "unwatch",
    "resume",
    "send",
    "edit",
    "delete",
    "react",
    "unreact",
    "pin",
    "unpin",
    "read",
    "typing",
    "presence",
    "ping",
    "pong",
    "call.join",
    "call.offer",
    "call.candidate",
    "call.publish",
    "call.unpublish",
    "call.mute",
    "call.moderate",
    "call.viewport",
    "call.leave",
];

/// How a device wants to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mood {
    /// In use.
    #[default]
    Online,
    /// Not in use just now.
    Away,
    /// Not at all, and the account's other devices with it.
    Invisible,
}

/// How much of a room a client wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// Every event.
    Full,
    /// Only how far the room is, now and then.
    Badge,
}

/// A frame that was refused before it was acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadFrame {
    /// The frame's `id`, as far as it could be read.
    pub(crate) id: Option<u64>,
    /// Why.
    pub(crate) problem: Problem,
}

impl Incoming {
    /// Reads one frame.
    ///
    /// # Errors
    /// `frame.malformed`: not a JSON object with a text `t`. `frame.unknown_type`, `frame.unknown_field`,
    /// `frame.invalid`: a field is missing or of the wrong type.
    pub(crate) fn read(text: &str) -> Result<Self, BadFrame> {
        let malformed = |id, detail: String| BadFrame {
            id,
            problem: Problem::new(ProblemKind::Malformed, "frame.malformed", detail),
        };
        let value: Value =
            serde_json::from_str(text).map_err(|error| malformed(None, format!("not JSON: {error}")))?;
        let id = value.get("id").and_then(Value::as_u64);
        let kind = value
            .get("t")
            .and_then(Value::as_str)
            .ok_or_else(|| malformed(id, "a frame is an object with a text `t`".into()))?;
        if !KINDS.contains(&kind) {
            return Err(BadFrame {
                id,
                problem: Problem::new(
                    ProblemKind::Malformed,
                    "frame.unknown_type",
                    format!("`t` is one of {}", KINDS.join(", ")),
                ),
            });
        }
        Self::deserialize(value).map_err(|error| {
            let detail = error.to_string();
            let unknown_field = detail.starts_with("unknown field");
            let code = if unknown_field {
                "frame.unknown_field"
            } else {
                "frame.invalid"
            };
            BadFrame {
                id,
                problem: Problem::new(ProblemKind::Malformed, code, detail),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn room() -> RoomId {
        ROOM.parse().unwrap()
    }

    #[test]
    fn every_kind_of_frame_is_read() {
        let frames = [
            (
                r#"{"t":"hello","ticket":"x"}"#.to_owned(),
                Incoming::Hello {
                    ticket: "x".into(),
                    resume: ResumeFrom::default(),
                    deflate: false,
                },
            ),
            (
                format!(r#"{{"t":"hello","ticket":"x","resume":{{"{ROOM}":7,"account":9}},"deflate":true}}"#),
                Incoming::Hello {
                    ticket: "x".into(),
                    resume: ResumeFrom {
                        rooms: [(room(), 7)].into(),
                        account: Some(9),
                    },
                    deflate: true,
                },
            ),
            (
                format!(r#"{{"t":"watch","id":1,"rooms":{{"{ROOM}":"badge"}}}}"#),
                Incoming::Watch {
                    id: 1,
                    rooms: [(room(), Level::Badge)].into(),
                },
            ),
            (
                format!(r#"{{"t":"unwatch","id":2,"rooms":["{ROOM}"]}}"#),
                Incoming::Unwatch {
                    id: 2,
                    rooms: vec![room()],
                },
            ),
            (
                format!(r#"{{"t":"resume","rooms":{{"{ROOM}":5}}}}"#),
                Incoming::Resume {
                    id: None,
                    rooms: ResumeFrom {
                        rooms: [(room(), 5)].into(),
                        account: None,
                    },
                },
            ),
            (
                format!(
                    r#"{{"t":"send","id":3,"room":"{ROOM}","command_id":"{ROOM}","body":"hi","reply_to":null}}"#
                ),
                Incoming::Send {
                    id: 3,
                    room: room(),
                    command_id: ROOM.parse().unwrap(),
                    body: "hi".into(),
                    reply_to: None,
                    attachments: Vec::new(),
                },
            ),
            (
                format!(r#"{{"t":"read","id":4,"room":"{ROOM}","seq":7}}"#),
                Incoming::Read {
                    id: 4,
                    room: room(),
                    seq: 7,
                },
            ),
            (
                format!(r#"{{"t":"typing","room":"{ROOM}"}}"#),
                Incoming::Typing { room: room() },
            ),
            (
                format!(r#"{{"t":"presence","id":5,"watch":["{ROOM}"],"state":"invisible"}}"#),
                Incoming::Presence {
                    id: 5,
                    watch: Some([ROOM.parse().unwrap()].into()),
                    state: Some(Mood::Invisible),
                },
            ),
            (r#"{"t":"ping"}"#.to_owned(), Incoming::Ping {}),
            (r#"{"t":"pong"}"#.to_owned(), Incoming::Pong {}),
        ];
        for (text, frame) in frames {
            assert_eq!(Incoming::read(&text).unwrap(), frame, "{text}");
        }
    }

    #[test]
    fn frames_about_a_message_say_which_and_no_more_than_they_may() {
        let frames = [
            (
                format!(
                    r#"{{"t":"edit","id":6,"room":"{ROOM}","command_id":"{ROOM}","message":"{ROOM}","seq":7,"body":"x"}}"#
                ),
                Incoming::Edit(Edit {
                    id: 6,
                    room: room(),
                    command_id: ROOM.parse().unwrap(),
                    message: ROOM.parse().unwrap(),
                    seq: Some(7),
                    body: "x".into(),
                }),
            ),
            (
                format!(r#"{{"t":"unpin","id":7,"room":"{ROOM}","command_id":"{ROOM}","message":"{ROOM}"}}"#),
                Incoming::Unpin(Only {
                    id: 7,
                    room: room(),
                    command_id: ROOM.parse().unwrap(),
                    message: ROOM.parse().unwrap(),
                    seq: None,
                }),
            ),
        ];
        for (text, frame) in frames {
            assert_eq!(Incoming::read(&text).unwrap(), frame, "{text}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_with_a_code() {
        let deep = "[".repeat(10_000);
        for (text, code) in [
            ("", "frame.malformed"),
            ("{", "frame.malformed"),
            (deep.as_str(), "frame.malformed"),
            ("[]", "frame.malformed"),
            ("null", "frame.malformed"),
            ("{}", "frame.malformed"),
            (r#"{"t":1}"#, "frame.malformed"),
            (r#"{"t":"ping"} {}"#, "frame.malformed"),
            (r#"{"t":"dance"}"#, "frame.unknown_type"),
            (r#"{"t":"ready"}"#, "frame.unknown_type"),
            (r#"{"t":"ping","x":1}"#, "frame.unknown_field"),
            (
                r#"{"t":"hello","ticket":"a","admin":true}"#,
                "frame.unknown_field",
            ),
            (r#"{"t":"hello"}"#, "frame.invalid"),
            (r#"{"t":"hello","ticket":5}"#, "frame.invalid"),
            (r#"{"t":"hello","ticket":"a","resume":{"x":1}}"#, "frame.invalid"),
            (
                r#"{"t":"hello","ticket":"a","resume":{"account":-1}}"#,
                "frame.invalid",
            ),
            (r#"{"t":"watch","id":1,"rooms":["x"]}"#, "frame.invalid"),
            (r#"{"t":"watch","id":"1","rooms":{}}"#, "frame.invalid"),
            (r#"{"t":"watch","rooms":{}}"#, "frame.invalid"),
            (r#"{"t":"unwatch","id":1,"rooms":["x"]}"#, "frame.invalid"),
            (
                r#"{"t":"send","id":1,"room":"x","command_id":"y","body":"z"}"#,
                "frame.invalid",
            ),
            (r#"{"t":"send","id":1.5}"#, "frame.invalid"),
            (r#"{"t":"read","id":1,"room":"x","seq":1}"#, "frame.invalid"),
            (r#"{"t":"typing"}"#, "frame.invalid"),
            (r#"{"t":"pin","id":1}"#, "frame.invalid"),
            (r#"{"t":"pin","id":1,"body":"x"}"#, "frame.unknown_field"),
            (r#"{"t":"presence","id":1,"state":"busy"}"#, "frame.invalid"),
            (r#"{"t":"presence","id":1,"watch":[5]}"#, "frame.invalid"),
        ] {
            assert_eq!(Incoming::read(text).unwrap_err().problem.code, code, "{text:.60}");
        }
    }

    #[test]
    fn a_refusal_names_the_frame_it_answers() {
        let bad = Incoming::read(r#"{"t":"send","id":17,"room":5}"#).unwrap_err();
        assert_eq!(bad.id, Some(17));
    }
}

//! Frames to clients.

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use veza_events::{
    AccountId, CallId, CommandId, MessageId, ParticipantId, RoomId, SessionId, SpaceId, Timestamp, TrackId,
};
use veza_platform::contract::Problem;
use veza_platform::contract::media::{CallParticipant, CallSlots};
use veza_readmodel::notice::NoticeData;

use super::wire::Tag;
use super::{EventFrame, Frame};
use crate::streams::IceServer;

/// A frame to one client. Events have a way of their own, since many clients share them.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(crate) enum Outgoing<'a> {
    /// The socket is open for commands.
    Ready {
        session: SessionId,
        account: AccountId,
        /// How often the socket asks whether the client is there, milliseconds.
        heartbeat_ms: u64,
        /// Largest frame that is taken, bytes.
        max_frame: usize,
        /// The server's time: command ids must not be far from it.
        now: Timestamp,
        /// Last event of each resumed room.
        heads: BTreeMap<RoomId, u64>,
        /// Where the account's own chain is.
        account_head: u64,
        /// Large events come compressed, as the client asked.
        deflate: bool,
    },
    /// What a frame asked for is done.
    Ok {
        /// Of the frame that it answers.
        id: u64,
        /// Last event of each room that is watched now.
        heads: BTreeMap<RoomId, u64>,
        /// Rooms that are not, with the code that says why.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        refused: BTreeMap<RoomId, String>,
    },
    /// What was missed cannot be filled in: load a snapshot by HTTP.
    Reset {
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<RoomId>,
        why: ResetReason,
        /// From where the socket goes on by itself; absent when it does not.
        #[serde(skip_serializing_if = "Option::is_none")]
        head: Option<u64>,
    },
    /// A message is stored.
    Ack {
        /// Of the frame that it answers.
        id: u64,
        command_id: CommandId,
        message: MessageId,
        seq: u64,
        duplicate: bool,
        /// A rule of the space holds it back: no event follows until a moderator has let it.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        held: bool,
    },
    /// Rooms whose events were left out up to these sequences.
    Lag { heads: BTreeMap<RoomId, u64> },
    /// How far rooms are that are watched as badges; at most one a second.
    Badge { rooms: BTreeMap<RoomId, Badge> },
    /// Something about the account; can be read by HTTP.
    Account {
        seq: u64,
        /// The frame before this one.
        prev: u64,
        /// The event that it tells of, `<stream>/<sequence>`.
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<&'a str>,
        #[serde(rename = "type")]
        kind: &'a str,
        at: Timestamp,
        data: &'a NoticeData,
    },
    /// Somebody is typing; not stored, and left out for slow readers.
    Typing {
        room: RoomId,
        by: AccountId,
        /// How long it is to be shown, unless it comes again.
        ttl_ms: u64,
    },
    /// How watched accounts are now.
    Presence {
        states: &'a BTreeMap<AccountId, PresenceState>,
    },
    /// Somebody called a slash command of this bot.
    Invoke {
        invocation: Uuid,
        space: SpaceId,
        room: RoomId,
        by: AccountId,
        name: &'a str,
        /// What stands behind the name.
        text: &'a str,
        /// For `POST /v1/commands/responses`.
        token: &'a str,
        expires_at: Timestamp,
    },
    /// A bot answers this account alone; not stored.
    Whisper {
        invocation: Uuid,
        room: RoomId,
        by: AccountId,
        body: &'a str,
    },
    /// In the call.
    #[serde(rename = "call.joined")]
    CallJoined {
        /// Of the frame that it answers.
        id: u64,
        room: RoomId,
        call: CallId,
        /// This stay.
        #[serde(rename = "self")]
        participant: ParticipantId,
        /// Everybody in the call, this stay included.
        participants: &'a [CallParticipant],
        /// Servers that help to find a way to the worker; the client's own ones will do where there are none.
        ice_servers: &'a [IceServer],
        /// How many others can be heard and seen at once.
        slots: CallSlots,
    },
    /// The description that answers an offer.
    #[serde(rename = "call.answer")]
    CallAnswer {
        /// Of the frame that it answers.
        id: u64,
        sdp: &'a str,
    },
    /// The track is published.
    #[serde(rename = "call.published")]
    CallPublished {
        /// Of the frame that it answers.
        id: u64,
        track: TrackId,
    },
    /// A frame was refused, or a command failed.
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        code: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
        detail: &'a str,
    },
    /// Are you there?
    Ping,
    /// I am here.
    Pong,
}

/// How far a room is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Badge {
    /// Its last event.
    pub(crate) head: u64,
    /// Messages of others since the badge before, or since the `ok`; absent when they could not be counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) new: Option<u64>,
    /// One of them mentions the account by name, or everybody.
    pub(crate) mentioned: bool,
}

impl Badge {
    /// This one, told together with the one before it.
    pub(crate) fn behind(self, before: Self) -> Self {
        Self {
            head: self.head,
            new: before.new.zip(self.new).map(|(before, new)| before + new),
            mentioned: before.mentioned || self.mentioned,
        }
    }
}

/// How others see an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PresenceState {
    /// A device of it is in use.
    Online,
    /// It has devices, none of them in use.
    Away,
    /// It is not there, or does not want to be seen.
    Offline,
}

/// Why a client must begin anew with a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResetReason {
    /// More was missed than is filled in.
    TooFar,
    /// The account may not read the room; it is not watched any more.
    Access,
    /// The client saw more than there is: this is another log, or one restored from a backup.
    Epoch,
}

impl Outgoing<'_> {
    /// The frame to write.
    pub(crate) fn frame(&self) -> Frame {
        Frame::text(&serde_json::to_vec(self).expect("frames are plain data"))
    }

    /// The frame of an error.
    pub(crate) fn error(id: Option<u64>, problem: &Problem) -> Frame {
        let frame = Outgoing::Error {
            id,
            code: &problem.code,
            retry_after_ms: problem.retry_after_ms,
            detail: &problem.detail,
        };
        frame.frame()
    }
}

/// What was missed of a room.
#[derive(JsonSchema)]
#[schemars(transform = Tag("fill"))]
#[expect(dead_code, reason = "says what the builder writes")]
pub(crate) struct FillFrame<'a> {
    room: RoomId,
    /// Everything behind this sequence is in it.
    from: u64,
    /// Up to and including this one.
    to: u64,
    /// The room goes on live from `to`; otherwise another `fill` follows.
    done: bool,
    events: Vec<EventFrame<'a>>,
}

/// Builds a `fill` out of events that are JSON already.
pub(crate) struct FillBuilder {
    json: BytesMut,
    empty: bool,
}

impl FillBuilder {
    /// A fill of everything behind `from` up to and including `to`. `done`: the room goes on live from `to`.
    pub(crate) fn new(room: RoomId, from: u64, to: u64, done: bool) -> Self {
        let head =
            format!(r#"{{"t":"fill","room":"{room}","from":{from},"to":{to},"done":{done},"events":["#);
        Self {
            json: BytesMut::from(head.as_bytes()),
            empty: true,
        }
    }

    /// Adds the next event.
    pub(crate) fn push(&mut self, event: &[u8]) {
        if !std::mem::take(&mut self.empty) {
            self.json.put_u8(b',');
        }
        self.json.put_slice(event);
    }

    /// The frame.
    pub(crate) fn finish(mut self) -> Frame {
        self.json.put_slice(b"]}");
        Frame::text(&self.json)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;
    use veza_platform::contract::ProblemKind;

    use super::*;

    fn id<T: From<Uuid>>(n: u128) -> T {
        Uuid::from_u128(n).into()
    }

    fn parsed(frame: &Frame) -> Value {
        serde_json::from_slice(frame.json()).unwrap()
    }

    #[test]
    fn a_fill_holds_the_events_as_they_are() {
        let event = Frame::text(br#"{"t":"event","seq":9}"#);
        let mut fill = FillBuilder::new(id(1), 3, 9, true);
        fill.push(event.json());
        fill.push(event.json());
        let fill = parsed(&fill.finish());
        assert_eq!(
            (&fill["from"], &fill["to"], &fill["done"]),
            (&json!(3), &json!(9), &json!(true))
        );
        assert_eq!(fill["events"].as_array().unwrap().len(), 2);
        assert_eq!(fill["events"][1], parsed(&event));
        let empty = parsed(&FillBuilder::new(id(1), 9, 9, true).finish());
        assert_eq!(empty["events"], json!([]));
    }

    #[test]
    fn an_error_carries_its_code_and_the_frame_it_answers() {
        let mut problem = Problem::new(ProblemKind::TooMany, "room.slow_mode", "wait");
        problem.retry_after_ms = Some(4_200);
        assert_eq!(
            parsed(&Outgoing::error(Some(17), &problem)),
            json!({"t": "error", "id": 17, "code": "room.slow_mode", "retry_after_ms": 4200, "detail": "wait"})
        );
        assert_eq!(parsed(&Outgoing::Ping.frame()), json!({"t": "ping"}));
    }
}

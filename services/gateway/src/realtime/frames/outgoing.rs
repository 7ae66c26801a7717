//! Frames to clients.

use std::collections::BTreeMap;

use bytes::{BufMut, BytesMut};
use serde::Serialize;
use veza_events::{
    AccountId, AttachmentId, CommandId, MessageId, RoomId, SessionId, Timestamp,
    attachment::{AboutAttachment, AttachmentKind},
    room::{MessagePosted, RoomEvent},
};
use veza_platform::contract::Problem;
use veza_readmodel::{notice::NoticeData, rows::Message};

use super::Frame;

/// A frame to one client. Events have a way of their own, since many clients share them.
#[derive(Debug, Serialize)]
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
    },
    /// A `watch` or `unwatch` is done.
    Ok {
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
        id: u64,
        command_id: CommandId,
        message: MessageId,
        seq: u64,
        duplicate: bool,
    },
    /// Rooms whose events were left out up to these sequences.
    Lag { heads: BTreeMap<RoomId, u64> },
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

/// How others see an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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

/// One event of a room, as clients see it.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename = "event")]
pub(crate) struct EventFrame<'a> {
    room: RoomId,
    seq: u64,
    /// Absent inside a `fill` from the read model, whose range the gateway vouches for.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<u64>,
    #[serde(rename = "type")]
    kind: &'a str,
    by: Option<AccountId>,
    at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    command_id: Option<CommandId>,
    data: EventData<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum EventData<'a> {
    Message {
        message: MessageId,
        /// Absent when the author's key is gone for good.
        body: Option<&'a str>,
        reply_to: Option<MessageId>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<FileData<'a>>,
    },
    /// Nothing that clients need, or a type that this version does not know.
    Nothing {},
}

/// A file of a message.
#[derive(Debug, Serialize)]
struct FileData<'a> {
    id: AttachmentId,
    kind: AttachmentKind,
    size: u64,
    /// Absent when the author's key is gone for good.
    #[serde(flatten)]
    about: Option<&'a AboutAttachment>,
}

/// The envelope of an event that goes to clients, apart from what happened.
pub(crate) struct EventHead<'a> {
    pub(crate) room: RoomId,
    pub(crate) seq: u64,
    pub(crate) prev: u64,
    pub(crate) kind: &'a str,
    pub(crate) by: Option<AccountId>,
    pub(crate) at: Timestamp,
    pub(crate) command_id: Option<CommandId>,
}

/// The frame of an event; without `event`, of one whose content cannot be read here: the chain must not
/// break on it.
pub(crate) fn event_frame(head: &EventHead<'_>, event: Option<&RoomEvent>) -> Frame {
    let data = match event {
        Some(RoomEvent::MessagePosted(MessagePosted {
            message,
            body,
            reply_to,
            attachments,
            ..
        })) => EventData::Message {
            message: *message,
            body: body.clear().map(String::as_str),
            reply_to: *reply_to,
            attachments: attachments
                .iter()
                .map(|file| FileData {
                    id: file.attachment,
                    kind: file.kind,
                    size: file.size,
                    about: file.about.clear(),
                })
                .collect(),
        },
        Some(RoomEvent::Opened(_)) | None => EventData::Nothing {},
    };
    let frame = EventFrame {
        room: head.room,
        seq: head.seq,
        prev: Some(head.prev),
        kind: head.kind,
        by: head.by,
        at: head.at,
        command_id: head.command_id,
        data,
    };
    Frame::text(&serde_json::to_vec(&frame).expect("frames are plain data"))
}

/// A message of the read model in the form of its event, for a fill while the log is away.
pub(crate) fn message_json(room: RoomId, message: &Message) -> Vec<u8> {
    let frame = EventFrame {
        room,
        seq: message.seq,
        prev: None,
        kind: "room.message_posted.v1",
        by: Some(message.author),
        at: message.posted_at,
        command_id: None,
        data: EventData::Message {
            message: message.id,
            body: message.body.as_deref(),
            reply_to: message.reply_to,
            attachments: message
                .attachments
                .iter()
                .map(|file| FileData {
                    id: file.id,
                    kind: file.kind,
                    size: file.size,
                    about: file.about.as_ref(),
                })
                .collect(),
        },
    };
    serde_json::to_vec(&frame).expect("frames are plain data")
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
    use veza_events::Sealed;
    use veza_platform::contract::ProblemKind;

    use super::*;

    fn id<T: From<Uuid>>(n: u128) -> T {
        Uuid::from_u128(n).into()
    }

    fn parsed(frame: &Frame) -> Value {
        serde_json::from_slice(frame.json()).unwrap()
    }

    fn head() -> EventHead<'static> {
        EventHead {
            room: id(1),
            seq: 9,
            prev: 7,
            kind: "room.message_posted.v1",
            by: Some(id(2)),
            at: "2026-01-02T03:04:05Z".parse().unwrap(),
            command_id: Some(id(3)),
        }
    }

    fn posted(body: Sealed<String>) -> RoomEvent {
        RoomEvent::MessagePosted(MessagePosted {
            space: id(5),
            room: id(1),
            message: id(4),
            author: id(2),
            body,
            reply_to: None,
            attachments: Vec::new(),
        })
    }

    #[test]
    fn an_event_shows_its_chain_and_its_body_in_clear() {
        let frame = event_frame(&head(), Some(&posted("hi".into())));
        let uuid = |n: u128| Uuid::from_u128(n).to_string();
        assert_eq!(
            parsed(&frame),
            json!({
                "t": "event", "room": uuid(1), "seq": 9, "prev": 7, "type": "room.message_posted.v1",
                "by": uuid(2), "at": "2026-01-02T03:04:05Z", "command_id": uuid(3),
                "data": {"message": uuid(4), "body": "hi", "reply_to": null},
            })
        );
    }

    #[test]
    fn a_body_whose_key_is_gone_is_null_and_never_the_sealed_text() {
        let frame = event_frame(&head(), Some(&posted(Sealed::Closed("c2VjcmV0".into()))));
        assert_eq!(parsed(&frame)["data"]["body"], Value::Null);
    }

    #[test]
    fn an_event_of_an_unknown_type_still_holds_the_chain() {
        let frame = event_frame(&head(), None);
        assert_eq!(
            (&parsed(&frame)["seq"], &parsed(&frame)["prev"]),
            (&json!(9), &json!(7))
        );
        assert_eq!(parsed(&frame)["data"], json!({}));
    }

    #[test]
    fn a_fill_holds_the_events_as_they_are() {
        let event = event_frame(&head(), Some(&posted("hi".into())));
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

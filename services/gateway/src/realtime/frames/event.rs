//! Events of rooms as clients see them.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use veza_events::{
    AccountId, AttachmentId, CommandId, MessageId, RoomId, Sealed, Timestamp,
    attachment::{AboutAttachment, AttachmentKind},
    room::{Imported, Mentions, RoomEvent},
};
use veza_readmodel::rows::Message;

use super::Frame;
use super::wire::Tag;

/// One event of a room, as clients see it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "t", rename = "event")]
#[schemars(rename = "EventFrame", transform = Tag("event"))]
pub(crate) struct EventFrame<'a> {
    room: RoomId,
    /// Its place in the room.
    seq: u64,
    /// The place of the room's event before it. Absent inside a `fill` from the read model, whose range the gateway vouches for.
    #[serde(skip_serializing_if = "Option::is_none")]
    prev: Option<u64>,
    /// Wire name of what happened.
    #[serde(rename = "type")]
    kind: &'a str,
    /// Who did it.
    by: Option<AccountId>,
    at: Timestamp,
    /// The command that did it, so that clients know their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    command_id: Option<CommandId>,
    data: EventData<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum EventData<'a> {
    /// `room.message_posted.v1`.
    Message {
        message: MessageId,
        /// Absent when the author's key is gone for good, or the message was taken back.
        body: Option<&'a str>,
        reply_to: Option<MessageId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mentions: Option<&'a Mentions>,
        #[serde(skip_serializing_if = "Option::is_none")]
        imported: Option<&'a Imported>,
        /// The name that a webhook goes by this once.
        #[serde(skip_serializing_if = "Option::is_none")]
        shown_as: Option<&'a str>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<FileData<'a>>,
    },
    /// `room.message_edited.v1`.
    Edit {
        message: MessageId,
        /// Where the message stands.
        posted: u64,
        body: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        mentions: Option<&'a Mentions>,
    },
    /// `room.reaction_added.v1`, `room.reaction_removed.v1`.
    Reaction {
        message: MessageId,
        /// Where the message stands.
        posted: u64,
        emoji: &'a str,
    },
    /// A message was taken back, pinned or unpinned.
    About {
        message: MessageId,
        /// Where the message stands.
        posted: u64,
    },
    /// Nothing that clients need, or a type that this version does not know.
    #[schemars(extend("maxProperties" = 0))]
    Nothing {},
}

/// A file of a message.
#[derive(Debug, Serialize, JsonSchema)]
struct FileData<'a> {
    id: AttachmentId,
    kind: AttachmentKind,
    size: u64,
    /// Absent when the author's key is gone for good.
    #[serde(flatten)]
    about: Option<&'a AboutAttachment>,
}

impl<'a> EventData<'a> {
    fn of(event: &'a RoomEvent) -> Self {
        match event {
            RoomEvent::Opened(_) => Self::Nothing {},
            RoomEvent::MessagePosted(event) => Self::Message {
                message: event.message,
                body: event.body.clear().map(String::as_str),
                reply_to: event.reply_to,
                mentions: event.mentions.as_ref().and_then(Sealed::clear),
                imported: event.imported.as_ref().and_then(Sealed::clear),
                shown_as: event
                    .shown_as
                    .as_ref()
                    .and_then(Sealed::clear)
                    .map(String::as_str),
                attachments: event
                    .attachments
                    .iter()
                    .map(|file| FileData {
                        id: file.attachment,
                        kind: file.kind,
                        size: file.size,
                        about: file.about.clear(),
                    })
                    .collect(),
            },
            RoomEvent::MessageEdited(event) => Self::Edit {
                message: event.message,
                posted: event.posted,
                body: event.body.clear().map(String::as_str),
                mentions: event.mentions.as_ref().and_then(Sealed::clear),
            },
            RoomEvent::MessageDeleted(event) => Self::about(event.message, event.posted),
            RoomEvent::MessagePinned(event) => Self::about(event.message, event.posted),
            RoomEvent::MessageUnpinned(event) => Self::about(event.message, event.posted),
            RoomEvent::ReactionAdded(event) => Self::Reaction {
                message: event.message,
                posted: event.posted,
                emoji: &event.emoji,
            },
            RoomEvent::ReactionRemoved(event) => Self::Reaction {
                message: event.message,
                posted: event.posted,
                emoji: &event.emoji,
            },
        }
    }

    fn about(message: MessageId, posted: u64) -> Self {
        Self::About { message, posted }
    }
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
    let frame = EventFrame {
        room: head.room,
        seq: head.seq,
        prev: Some(head.prev),
        kind: head.kind,
        by: head.by,
        at: head.at,
        command_id: head.command_id,
        data: event.map_or(EventData::Nothing {}, EventData::of),
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
            mentions: Some(&message.mentions).filter(|mentions| !mentions.is_empty()),
            imported: message.imported.as_ref(),
            shown_as: message.shown_as.as_deref(),
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

/// An event without the text of `message`, if it tells one.
pub(crate) fn redacted(frame: &Frame, message: MessageId) -> Option<Frame> {
    // Most frames are of other messages: looking for the id spares reading them.
    let id = message.to_string();
    let mentioned = frame
        .json()
        .windows(id.len())
        .any(|window| window == id.as_bytes());
    let mut event: Value = mentioned.then(|| serde_json::from_slice(frame.json()).ok())??;
    let data = event.get_mut("data")?.as_object_mut()?;
    let of_it = data.get("message").and_then(Value::as_str) == Some(id.as_str());
    if !of_it || data.get("body").is_none_or(Value::is_null) {
        return None;
    }
    data.insert("body".into(), Value::Null);
    for told in ["mentions", "attachments", "shown_as"] {
        data.remove(told);
    }
    Some(Frame::text(event.to_string().as_bytes()))
}

/// An event without the text that it gives a message which stands up to `hidden`, if it does.
pub(crate) fn without_hidden(frame: &Frame, hidden: u64) -> Option<Frame> {
    const KIND: &str = "\"room.message_edited.v1\"";
    let json = frame.json();
    if !json.windows(KIND.len()).any(|window| window == KIND.as_bytes()) {
        return None;
    }
    let mut event: Value = serde_json::from_slice(json).ok()?;
    let data = event.get_mut("data")?.as_object_mut()?;
    let of_hidden = data.get("posted")?.as_u64()? <= hidden;
    if !of_hidden || data.get("body").is_none_or(Value::is_null) {
        return None;
    }
    data.insert("body".into(), Value::Null);
    data.remove("mentions");
    Some(Frame::text(event.to_string().as_bytes()))
}

/// The message whose deletion an event tells.
pub(crate) fn deletion(frame: &Frame) -> Option<MessageId> {
    const KIND: &str = "\"room.message_deleted.v1\"";
    let json = frame.json();
    if !json.windows(KIND.len()).any(|window| window == KIND.as_bytes()) {
        return None;
    }
    let event: Value = serde_json::from_slice(json).ok()?;
    let tells = event.get("type")?.as_str()? == KIND.trim_matches('"');
    let message = event.get("data")?.get("message")?.as_str()?.parse().ok()?;
    tells.then_some(message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;
    use veza_events::room::{MessageDeleted, MessageEdited, MessagePosted};

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
            mentions: None,
            imported: None,
            shown_as: None,
            parent: None,
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
    fn a_message_that_was_taken_back_is_told_without_its_text() {
        let frame = event_frame(
            &head(),
            Some(&posted("secret 00000000-0000-0000-0000-000000000009".into())),
        );
        assert_eq!(redacted(&frame, id(9)), None, "a text that names another message");
        let told = redacted(&frame, id(4)).unwrap();
        let mut expected = parsed(&frame);
        expected["data"]["body"] = Value::Null;
        assert_eq!(parsed(&told), expected);
        assert_eq!(redacted(&told, id(4)), None, "once is enough");
    }

    #[test]
    fn a_new_text_is_told_without_itself_to_who_may_not_see_the_message() {
        let edited = MessageEdited {
            space: id(5),
            room: id(1),
            message: id(4),
            posted: 8,
            author: id(2),
            body: "\"room.message_edited.v1\"".to_owned().into(),
            mentions: None,
            parent: None,
        };
        let of_edit = EventHead {
            kind: "room.message_edited.v1",
            ..head()
        };
        let frame = event_frame(&of_edit, Some(&edited.into()));
        assert_eq!(without_hidden(&frame, 7), None);
        let told = without_hidden(&frame, 8).unwrap();
        let mut expected = parsed(&frame);
        expected["data"]["body"] = Value::Null;
        assert_eq!(parsed(&told), expected);
        let text = event_frame(&head(), Some(&posted("\"room.message_edited.v1\"".into())));
        assert_eq!(without_hidden(&text, 100), None);
    }

    #[test]
    fn a_deletion_is_told_from_a_text_about_one() {
        let deleted = MessageDeleted {
            space: id(5),
            room: id(1),
            message: id(4),
            posted: 9,
            author: id(2),
            by: id(2),
            parent: None,
        };
        let of_deletion = EventHead {
            kind: "room.message_deleted.v1",
            ..head()
        };
        let frame = event_frame(&of_deletion, Some(&deleted.into()));
        assert_eq!(deletion(&frame), Some(id(4)));
        assert_eq!(redacted(&frame, id(4)), None);
        let text = event_frame(&head(), Some(&posted("\"room.message_deleted.v1\"".into())));
        assert_eq!(deletion(&text), None);
    }
}

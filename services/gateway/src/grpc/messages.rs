//! Messages as the schema has them.

use prost_types::Timestamp;
use veza_events::AttachmentId;
use veza_events::attachment::{AboutAttachment, AttachmentKind};
use veza_events::room;
use veza_readmodel::rows;

use super::wire::{File, Mentions, Message, Reaction};

impl From<rows::Message> for Message {
    fn from(row: rows::Message) -> Self {
        let reaction = |one: rows::Reaction| Reaction {
            emoji: one.emoji,
            count: one.count,
        };
        let attachment = |one: &rows::Attachment| file(one.id, one.kind, one.size, one.about.as_ref());
        Self {
            id: row.id.to_string(),
            seq: row.seq,
            author: row.author.to_string(),
            author_name: row.author_name().unwrap_or_default().to_owned(),
            author_handle: row.author_handle.unwrap_or_default(),
            author_bot: row.author_bot,
            body: row.body,
            reply_to: row.reply_to.map(|id| id.to_string()).unwrap_or_default(),
            posted_at: Some(timestamp(row.posted_at)),
            edited_at: row.edited_at.map(timestamp),
            deleted_at: row.deleted_at.map(timestamp),
            mentions: Some(&row.mentions).filter(|of| !of.is_empty()).map(mentions),
            attachments: row.attachments.iter().map(attachment).collect(),
            reactions: row.reactions.into_iter().map(reaction).collect(),
            pinned: row.pinned,
        }
    }
}

pub(super) fn timestamp(at: veza_events::Timestamp) -> Timestamp {
    let at = at.time();
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: at.nanosecond().cast_signed(),
    }
}

pub(super) fn mentions(of: &room::Mentions) -> Mentions {
    Mentions {
        accounts: of.accounts.iter().map(ToString::to_string).collect(),
        roles: of.roles.iter().map(ToString::to_string).collect(),
        rooms: of.rooms.iter().map(ToString::to_string).collect(),
        everyone: of.everyone,
        here: of.here,
    }
}

pub(super) fn file(
    id: AttachmentId,
    kind: AttachmentKind,
    size: u64,
    about: Option<&AboutAttachment>,
) -> File {
    let kind = match kind {
        AttachmentKind::Image => "image",
        AttachmentKind::Video => "video",
        AttachmentKind::Audio => "audio",
        AttachmentKind::Voice => "voice",
        AttachmentKind::File => "file",
    };
    File {
        id: id.to_string(),
        kind: kind.to_owned(),
        size,
        name: about.map(|about| about.name.clone()),
        media_type: about.map(|about| about.media_type.clone()),
    }
}

//! What can be done about a message that is there: edit, take back, react, pin.
//!
//! The timeline is not in memory, so nobody knows for certain here what became of a message meanwhile. The
//! facts are made so that this does no harm: a deletion is final for every reader, whatever stands behind
//! it, and a reaction or pin is there or not, however often it was given. [`Seen`] only spares people a
//! change that would come to nothing.

use veza_events::{
    AccountId, MessageId, Permission, SpaceId,
    room::{
        Mentions, MessageDeleted, MessageEdited, MessagePinned, MessageUnpinned, ReactionAdded,
        ReactionRemoved, RoomEvent,
    },
};

use super::{
    MAX_DELETED_AT_ONCE, RoomContext, RoomRejection, emoji, heard, may_be_said, may_express, may_see,
};

/// A message as it was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original {
    /// Which one.
    pub message: MessageId,
    /// Where it stands in the log.
    pub posted: u64,
    /// Who wrote it.
    pub author: AccountId,
}

/// What a reader knew of a message a moment ago: it may be behind, and is never trusted with rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// It was taken back.
    pub deleted: bool,
    /// Different reactions that it has.
    pub reactions: Vec<String>,
    /// Pinned messages of the room, this one not counted.
    pub pins: usize,
}

/// What to do about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Give it another text.
    Edit {
        /// The whole new text.
        body: String,
        /// Of whom and what it speaks.
        mentions: Mentions,
    },
    /// Take it back.
    Delete,
    /// React to it.
    React {
        /// By one emoji, or the `:name:` of a custom one.
        emoji: String,
    },
    /// Take one's own reaction back.
    Unreact {
        /// Which one.
        emoji: String,
    },
    /// Put it where everybody finds it.
    Pin,
    /// The opposite.
    Unpin,
}

pub(super) fn decide(
    context: &RoomContext<'_>,
    original: &Original,
    seen: &Seen,
    change: Change,
) -> Result<Vec<RoomEvent>, RoomRejection> {
    let space = may_change(context, original, seen, &change)?;
    let (room, parent, actor) = (context.room, context.parent, context.actor);
    let Original {
        message,
        posted,
        author,
    } = *original;
    let event: RoomEvent = match change {
        Change::Edit { body, mentions } => MessageEdited {
            space,
            room,
            message,
            posted,
            author,
            body: body.into(),
            mentions: heard(context, mentions).map(Into::into),
            parent,
        }
        .into(),
        Change::Delete => MessageDeleted {
            space,
            room,
            message,
            posted,
            author,
            by: actor,
            parent,
        }
        .into(),
        Change::React { emoji } => ReactionAdded {
            space,
            room,
            message,
            posted,
            account: actor,
            emoji,
            parent,
        }
        .into(),
        Change::Unreact { emoji } => ReactionRemoved {
            space,
            room,
            message,
            posted,
            account: actor,
            emoji,
            parent,
        }
        .into(),
        Change::Pin => MessagePinned {
            space,
            room,
            message,
            posted,
            by: actor,
            parent,
        }
        .into(),
        Change::Unpin => MessageUnpinned {
            space,
            room,
            message,
            posted,
            by: actor,
            parent,
        }
        .into(),
    };
    Ok(vec![event])
}

/// One fact for each: whoever reads a timeline knows what becomes of one message.
pub(super) fn delete_all(
    context: &RoomContext<'_>,
    originals: &[Original],
) -> Result<Vec<RoomEvent>, RoomRejection> {
    may_see(context)?;
    if !context.allowed().has(Permission::ManageMessages) {
        return Err(RoomRejection::NotAllowed(Permission::ManageMessages));
    }
    if originals.is_empty() || originals.len() > MAX_DELETED_AT_ONCE {
        return Err(RoomRejection::TooManyDeleted);
    }
    let mut facts = Vec::with_capacity(originals.len());
    for original in originals {
        facts.extend(decide(context, original, &Seen::default(), Change::Delete)?);
    }
    Ok(facts)
}

fn may_change(
    context: &RoomContext<'_>,
    original: &Original,
    seen: &Seen,
    change: &Change,
) -> Result<SpaceId, RoomRejection> {
    let space = may_see(context)?;
    let manages = context.allowed().has(Permission::ManageMessages);
    let manage = Permission::ManageMessages;
    match change {
        _ if original.posted <= context.hidden_up_to() => Err(RoomRejection::MessageNotFound),
        _ if seen.deleted => Err(RoomRejection::MessageDeleted),
        Change::Edit { .. } if original.author != context.actor => Err(RoomRejection::NotTheAuthor),
        Change::Edit { body, .. } => {
            may_express(context, Permission::Post)?;
            may_be_said(context, body)?;
            Ok(space)
        }
        // One's own words can always be taken back: by the muted too, and out of an archive.
        Change::Delete if original.author == context.actor || manages => Ok(space),
        Change::React { emoji } | Change::Unreact { emoji } if !emoji::is_reaction(emoji) => {
            Err(RoomRejection::Emoji)
        }
        Change::React { emoji } => {
            may_express(context, Permission::React)?;
            let new = !seen.reactions.contains(emoji);
            if new && seen.reactions.len() >= context.limits.reactions {
                return Err(RoomRejection::TooManyReactions(context.limits.reactions));
            }
            Ok(space)
        }
        Change::Pin | Change::Unpin | Change::Delete if !manages => Err(RoomRejection::NotAllowed(manage)),
        Change::Pin if context.is_archived() => Err(RoomRejection::Archived),
        Change::Pin if seen.pins >= context.limits.pins => {
            Err(RoomRejection::TooManyPins(context.limits.pins))
        }
        Change::Unreact { .. } | Change::Pin | Change::Unpin | Change::Delete => Ok(space),
    }
}

#[cfg(test)]
mod tests;

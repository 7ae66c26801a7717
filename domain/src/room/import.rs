//! What was said elsewhere and before.

use veza_events::{
    MessageId, Permission, SpaceId,
    room::{Imported, MessagePosted},
};

use super::{Offer, RoomContext, RoomRejection, attached, can_be_shown, may_see};
use crate::names;

/// The space, for those who may put words of others into the room: as many as may change the space itself.
fn may_import(context: &RoomContext<'_>) -> Result<SpaceId, RoomRejection> {
    let id = may_see(context)?;
    let mine = context.space.permissions(context.membership, context.actor);
    match id {
        _ if context.is_archived() => Err(RoomRejection::Archived),
        id if mine.has(Permission::ManageSpace) => Ok(id),
        _ => Err(RoomRejection::NotAllowed(Permission::ManageSpace)),
    }
}

pub(super) fn imported(
    context: &RoomContext<'_>,
    message: MessageId,
    body: String,
    reply_to: Option<MessageId>,
    attachments: Vec<Offer>,
    imported: Imported,
) -> Result<MessagePosted, RoomRejection> {
    let space = may_import(context)?;
    let imported = first_said(context, imported)?;
    let attachments = attached(context, message, attachments)?;
    if attachments.is_empty() || !body.is_empty() {
        // What was said elsewhere was not said against the rules of this space.
        can_be_shown(&body, context.limits.body)?;
    }
    Ok(MessagePosted {
        space,
        room: context.room,
        message,
        author: context.actor,
        body: body.into(),
        reply_to,
        attachments,
        mentions: None,
        imported: Some(imported.into()),
        shown_as: None,
        parent: context.parent,
    })
}

fn first_said(context: &RoomContext<'_>, mut imported: Imported) -> Result<Imported, RoomRejection> {
    if imported.at > context.now {
        return Err(RoomRejection::ImportTime);
    }
    imported.author = names::shown(&imported.author).map_err(RoomRejection::ImportAuthor)?;
    imported.reactions.truncate(context.limits.reactions);
    Ok(imported)
}

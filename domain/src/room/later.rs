//! What is not said now: whether something could be, and what a rule holds back.

use veza_events::{
    Permission,
    held::MessageHeld,
    room::MessagePosted,
    space::{FilterAction, FilterRule},
};

#[cfg(test)]
mod tests;

use super::{RoomContext, RoomRejection, can_be_shown, may_be_said, may_post};

/// Refuses what would be refused if it was said now. How long the author would have to wait in a slow room does
/// not count: it is to be said later. What a rule would hold back could be said.
///
/// # Errors
/// As a post of the same text.
pub fn could_be_said(context: &RoomContext<'_>, body: &str) -> Result<(), RoomRejection> {
    may_post(context)?;
    waits_for(context, body, true).map(drop)
}

/// Refuses what the author could not say just now, whatever it is.
///
/// # Errors
/// Why the author may say nothing in the room.
pub fn could_speak(context: &RoomContext<'_>) -> Result<(), RoomRejection> {
    may_post(context).map(drop)
}

/// The rule for which a text waits until a moderator has seen it, if it may be said otherwise. Files do not wait:
/// with some, it is refused.
pub(super) fn waits_for<'a>(
    context: &RoomContext<'a>,
    body: &str,
    alone: bool,
) -> Result<Option<&'a FilterRule>, RoomRejection> {
    can_be_shown(body, context.limits.body)?;
    match catching(context, body) {
        Some(rule) if alone && rule.action == FilterAction::Hold => Ok(Some(rule)),
        Some(_) | None => may_be_said(context, body).map(|()| None),
    }
}

/// Refuses what a rule catches, whatever is to become of it.
pub(super) fn passes_filters(context: &RoomContext<'_>, body: &str) -> Result<(), RoomRejection> {
    match catching(context, body) {
        Some(rule) => Err(RoomRejection::Filtered {
            rule: rule.name.clone(),
            time_out_s: rule.time_out_s,
        }),
        None => Ok(()),
    }
}

/// The rule that catches a text of somebody who does not watch over the room: those may say what others must not.
fn catching<'a>(context: &RoomContext<'a>, body: &str) -> Option<&'a FilterRule> {
    if context.allowed().has(Permission::ManageMessages) {
        return None;
    }
    let (filters, space) = (&context.space.filters, context.space.space);
    filters.catches(body, &context.membership.roles, space)
}

/// What is stored instead of a message that a rule holds back.
pub(super) fn held_back(posted: MessagePosted, rule: &FilterRule) -> RoomRejection {
    RoomRejection::HeldBack(Box::new(MessageHeld {
        message: posted.message,
        space: posted.space,
        room: posted.room,
        parent: posted.parent,
        author: posted.author,
        body: posted.body,
        reply_to: posted.reply_to,
        mentions: posted.mentions,
        shown_as: posted.shown_as,
        rule: rule.name.clone(),
    }))
}

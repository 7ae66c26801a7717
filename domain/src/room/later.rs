//! Whether something could be said in a room, without saying it.

use super::{RoomContext, RoomRejection, may_be_said, may_post};

/// Refuses what would be refused if it was said now. How long the author would have to wait in a slow room does
/// not count: it is to be said later.
///
/// # Errors
/// As a post of the same text.
pub fn could_be_said(context: &RoomContext<'_>, body: &str) -> Result<(), RoomRejection> {
    may_post(context)?;
    may_be_said(context, body)
}

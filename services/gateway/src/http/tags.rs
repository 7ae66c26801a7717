//! Chapters of the API document.

use poem_openapi::Tags;

/// What an operation is about.
#[derive(Tags)]
pub(super) enum Chapter {
    /// People.
    Accounts,
    /// Signing in, staying and leaving.
    Sessions,
    /// Spaces, their roles, members and invitations.
    Spaces,
    /// Rooms and what is said in them.
    Rooms,
    /// Keeping the peace.
    Moderation,
    /// Accounts that programs act for.
    Bots,
    /// Files that come with messages.
    Files,
    /// Live sound and pictures.
    Calls,
    /// The way to the WebSocket.
    Realtime,
}

//! Frames that ask for something to be done, as commands.

use veza_events::{MessageId, RoomId, room::Mentions};
use veza_platform::contract::chat::MessageChange;

use super::Incoming;
use crate::changes::About;
use crate::realtime::commands::Command;

fn about(room: RoomId, message: MessageId, seq: Option<u64>) -> About {
    About {
        message,
        seen_at: seq.map(|seq| (room, seq)),
    }
}

impl Incoming {
    /// The frame as a command, with its id; `None` for frames that are none.
    pub(crate) fn into_command(self) -> Result<(u64, Command), Self> {
        match self {
            Self::Watch { id, rooms } => Ok((id, Command::Watch { id, rooms })),
            Self::Unwatch { id, rooms } => Ok((id, Command::Unwatch { id, rooms })),
            Self::Read { id, room, seq } => Ok((id, Command::Read { id, room, seq })),
            Self::Presence { id, watch, state } => Ok((id, Command::Presence { id, watch, state })),
            Self::Send {
                id,
                room,
                command_id: command,
                body,
                reply_to,
                attachments,
            } => Ok((
                id,
                Command::Send {
                    id,
                    room,
                    command,
                    body,
                    reply_to,
                    attachments,
                },
            )),
            frame => frame.into_change(),
        }
    }

    /// The same of a frame about a message.
    fn into_change(self) -> Result<(u64, Command), Self> {
        let (id, command, about, change) = match self {
            Self::Edit {
                id,
                room,
                command_id,
                message,
                seq,
                body,
            } => {
                let mentions = Mentions::default();
                (
                    id,
                    command_id,
                    about(room, message, seq),
                    MessageChange::Edit { body, mentions },
                )
            }
            Self::Delete {
                id,
                room,
                command_id,
                message,
                seq,
            } => (id, command_id, about(room, message, seq), MessageChange::Delete),
            Self::React {
                id,
                room,
                command_id,
                message,
                seq,
                emoji,
            } => (
                id,
                command_id,
                about(room, message, seq),
                MessageChange::React { emoji },
            ),
            Self::Unreact {
                id,
                room,
                command_id,
                message,
                seq,
                emoji,
            } => (
                id,
                command_id,
                about(room, message, seq),
                MessageChange::Unreact { emoji },
            ),
            Self::Pin {
                id,
                room,
                command_id,
                message,
                seq,
            } => (id, command_id, about(room, message, seq), MessageChange::Pin),
            Self::Unpin {
                id,
                room,
                command_id,
                message,
                seq,
            } => (id, command_id, about(room, message, seq), MessageChange::Unpin),
            other @ (Self::Watch { .. }
            | Self::Unwatch { .. }
            | Self::Send { .. }
            | Self::Read { .. }
            | Self::Presence { .. }
            | Self::Hello { .. }
            | Self::Resume { .. }
            | Self::Typing { .. }
            | Self::Ping {}
            | Self::Pong {}) => {
                return Err(other);
            }
        };
        Ok((
            id,
            Command::Change {
                id,
                command,
                about,
                change,
            },
        ))
    }
}

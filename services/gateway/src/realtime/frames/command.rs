//! Frames that ask for something to be done, as commands.

use veza_events::room::Mentions;
use veza_platform::contract::chat::MessageChange;

use super::Incoming;
use crate::realtime::commands::Command;

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
            frame => frame.into_change().or_else(Self::into_call),
        }
    }

    /// The same of a frame about a message.
    fn into_change(self) -> Result<(u64, Command), Self> {
        let (target, change) = match self {
            Self::Edit(frame) => {
                let (target, (body,)) = frame.split();
                let mentions = Mentions::default();
                (target, MessageChange::Edit { body, mentions })
            }
            Self::Delete(frame) => (frame.split().0, MessageChange::Delete),
            Self::React(frame) => {
                let (target, (emoji,)) = frame.split();
                (target, MessageChange::React { emoji })
            }
            Self::Unreact(frame) => {
                let (target, (emoji,)) = frame.split();
                (target, MessageChange::Unreact { emoji })
            }
            Self::Pin(frame) => (frame.split().0, MessageChange::Pin),
            Self::Unpin(frame) => (frame.split().0, MessageChange::Unpin),
            other @ (Self::Watch { .. }
            | Self::Unwatch { .. }
            | Self::Send { .. }
            | Self::Read { .. }
            | Self::Presence { .. }
            | Self::Hello { .. }
            | Self::Resume { .. }
            | Self::Typing { .. }
            | Self::CallJoin(_)
            | Self::CallOffer(_)
            | Self::CallCandidate(_)
            | Self::CallPublish(_)
            | Self::CallUnpublish(_)
            | Self::CallMute(_)
            | Self::CallModerate(_)
            | Self::CallViewport(_)
            | Self::CallLeave(_)
            | Self::Ping {}
            | Self::Pong {}) => {
                return Err(other);
            }
        };
        Ok(target.command(change))
    }
}

//! Frames about one message: all say which one, and some say more.

use schemars::JsonSchema;
use serde::Deserialize;
use veza_events::{CommandId, MessageId, RoomId};
use veza_platform::contract::chat::MessageChange;

use crate::changes::About;
use crate::realtime::commands::Command;

/// What every frame about a message says.
pub(super) struct Target {
    id: u64,
    command: CommandId,
    about: About,
}

impl Target {
    /// A command that does `change` to it.
    pub(super) fn command(self, change: MessageChange) -> (u64, Command) {
        let Self { id, command, about } = self;
        let command = Command::Change {
            id,
            command,
            about,
            change,
        };
        (id, command)
    }
}

/// `serde` can flatten a struct into another only where unknown fields are let through, and here they are refused.
macro_rules! about_a_message {
    ($($(#[$doc:meta])+ $name:ident { $($(#[$field_doc:meta])+ $field:ident: $type:ty,)* })+) => {$(
        $(#[$doc])+
        #[derive(Debug, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            /// Chosen by the client; comes back in the answer.
            pub(super) id: u64,
            /// Where.
            pub(super) room: RoomId,
            /// The same for every try.
            pub(super) command_id: CommandId,
            /// Which message.
            pub(super) message: MessageId,
            /// Where it stands, if the client knows: makes do while it cannot be looked up.
            #[serde(default)]
            pub(super) seq: Option<u64>,
            $($(#[$field_doc])+ pub(super) $field: $type,)*
        }

        impl $name {
            /// Which message, and what else the frame says.
            pub(super) fn split(self) -> (Target, ($($type,)*)) {
                let about = About {
                    message: self.message,
                    seen_at: self.seq.map(|seq| (self.room, seq)),
                };
                let target = Target { id: self.id, command: self.command_id, about };
                (target, ($(self.$field,)*))
            }
        }
    )+};
}

about_a_message! {
    /// A message gets another text.
    Edit {
        /// The whole new text.
        body: String,
    }
    /// A reaction to a message.
    Reaction {
        /// One emoji, or the `:name:` of a custom one.
        emoji: String,
    }
    /// Nothing more to say than which message.
    Only {}
}

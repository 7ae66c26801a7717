//! One type per kind of id, so that a room is never taken for a space. All are UUIDs on the wire.

use std::{collections::BTreeSet, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Name space of conversations. Stored data depends on it.
const DIRECTS: Uuid = Uuid::from_u128(0xd1ec_75d1_ec75_4d1e_8c75_d1ec_75d1_ec75);

macro_rules! ids {
    ($($(#[$doc:meta])+ $name:ident,)+) => {$(
        $(#[$doc])+
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
        )]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with this UUID.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The bare UUID, for tables and headers.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )+};
}

ids! {
    /// A person's (later also a bot's) account.
    AccountId,
    /// A file that comes with a message.
    AttachmentId,
    /// A call in a room: from who comes first to who leaves last.
    CallId,
    /// A group of rooms in the list of a space.
    CategoryId,
    /// One command of a client: repeated when the client does not know whether it arrived.
    CommandId,
    /// An invitation into a space; the code that people pass on is not the id.
    InviteId,
    /// A data key of the keyring, under which sealed fields stand.
    KeyId,
    /// A message in a room.
    MessageId,
    /// One stay of an account in a call, with one device.
    ParticipantId,
    /// A report of a message.
    ReportId,
    /// A role of a space. The role that everybody holds has the id of the space.
    RoleId,
    /// A room of a space.
    RoomId,
    /// A message that waits for its time.
    ScheduledId,
    /// A signed-in device.
    SessionId,
    /// A space: members, roles and rooms that belong together.
    SpaceId,
    /// What one participant of a call shows or lets be heard.
    TrackId,
}

impl CommandId {
    /// The id of what this command of `actor` makes: `what` tells several things of one command apart.
    ///
    /// The same command gives the same ids, so doing it twice cannot make two. A `UUIDv7` with the
    /// command's own time, and SHA-1 of actor, command and `what` (as in `UUIDv5`) where the randomness
    /// would be, so that nobody can name the id of another account's things.
    pub fn derive<T: From<Uuid>>(self, actor: Uuid, what: &str) -> T {
        let name = [self.0.as_bytes(), what.as_bytes()].concat();
        let mut bytes = *Uuid::new_v5(&actor, &name).as_bytes();
        bytes[..6].copy_from_slice(&self.0.as_bytes()[..6]);
        bytes[6] = 0x70 | bytes[6] & 0x0f;
        Uuid::from_bytes(bytes).into()
    }

    /// When the client made the id, in milliseconds since 1970; `None` if it is no `UUIDv7`.
    pub fn unix_ms(self) -> Option<u64> {
        let (seconds, nanoseconds) = self
            .0
            .get_timestamp()
            .filter(|_| self.0.get_version_num() == 7)?
            .to_unix();
        Some(seconds * 1_000 + u64::from(nanoseconds / 1_000_000))
    }
}

impl RoomId {
    /// The thread about `message`: there is one at most, and everybody knows its id.
    pub fn thread_of(message: MessageId) -> Self {
        CommandId(message.0).derive(message.0, "thread")
    }
}

impl ReportId {
    /// The report of `message` by `account`: one at most.
    pub fn of(message: MessageId, account: AccountId) -> Self {
        Self(Uuid::new_v5(&message.0, account.0.as_bytes()))
    }
}

impl RoleId {
    /// The role that every member of `space` holds.
    pub const fn everyone(space: SpaceId) -> Self {
        Self(space.0)
    }
}

impl SpaceId {
    /// The conversation of these accounts, always the same: `UUIDv5` of their ids in order.
    pub fn of_direct(accounts: &BTreeSet<AccountId>) -> Self {
        let name: Vec<u8> = accounts
            .iter()
            .flat_map(|account| *account.0.as_bytes())
            .collect();
        Self(Uuid::new_v5(&DIRECTS, &name))
    }
}

impl RoomId {
    /// The one room of a conversation.
    pub fn of_direct(space: SpaceId) -> Self {
        Self(Uuid::new_v5(&space.0, b"room"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTOR: Uuid = Uuid::from_u128(1);

    #[test]
    fn a_conversation_has_one_id_whoever_asks() {
        let account = |n| AccountId::new(Uuid::from_u128(n));
        let of = |all: &[u128]| SpaceId::of_direct(&all.iter().map(|&n| account(n)).collect());
        assert_eq!(of(&[1, 2]), of(&[2, 1, 2]));
        assert_ne!(of(&[1, 2]), of(&[1, 2, 3]));
        let stored = "fa0eb3e1-f981-5c1d-b346-51be860d9b2b";
        assert_eq!(of(&[1, 2]).to_string(), stored, "stored data depends on it");
    }

    #[test]
    fn a_command_makes_the_same_ids_each_time_and_others_for_others() {
        let command = CommandId::new("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap());
        let message: MessageId = command.derive(ACTOR, "message");
        assert_eq!(message, command.derive(ACTOR, "message"));
        assert_ne!(message.uuid(), command.derive::<Uuid>(ACTOR, "room"));
        assert_ne!(
            message.uuid(),
            command.derive::<Uuid>(Uuid::from_u128(2), "message")
        );
        assert_eq!(message.uuid().get_version_num(), 7);
        assert_eq!(CommandId::new(message.uuid()).unix_ms(), command.unix_ms());
        assert_eq!(command.unix_ms(), Some(0x0189_0a5d_ac96));
        assert_eq!(CommandId::new(Uuid::from_u128(9)).unix_ms(), None);
    }
}

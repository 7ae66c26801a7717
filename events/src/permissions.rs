//! What a role lets its holders do in a space.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! permissions {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// One thing that a role can allow. Names are stored in events: add, never rename.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Permission {
            $($(#[$doc])+ $name,)+
        }

        impl Permission {
            /// Every permission there is.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

permissions! {
    /// See the rooms and read what is said there.
    View,
    /// Post messages.
    Post,
    /// Invite others into the space.
    Invite,
    /// Create, change and archive rooms.
    ManageRooms,
    /// Mute members, and lift it.
    Mute,
    /// Remove members from the space.
    Remove,
    /// Ban accounts from the space, and lift it.
    Ban,
    /// Define roles below one's own and give them to members.
    ManageRoles,
    /// Change the space itself.
    ManageSpace,
    /// Add reactions to messages.
    React,
    /// Attach files to messages.
    Attach,
    /// Mention everybody in a room, or a whole role.
    MentionAll,
    /// Delete messages of others, pin and unpin, pass over slow mode.
    ManageMessages,
    /// Read the audit log and the reports.
    ViewAudit,
    /// Make webhooks and bring in bots.
    ManageIntegrations,
    /// Speak in calls, with voice and camera.
    Speak,
    /// Share a screen in calls.
    ShareScreen,
    /// Mute others in calls, move them and end calls.
    ModerateCalls,
    /// Record calls.
    Record,
}

/// A set of permissions: a list of names on the wire, one machine word in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permissions(u32);

impl Permissions {
    /// Nothing is allowed.
    pub const NONE: Self = Self(0);

    /// What a muted member loses, and everybody in an archived room: whatever others would see or hear.
    pub const EXPRESSION: Self = Self(
        1 << Permission::Post as u32
            | 1 << Permission::React as u32
            | 1 << Permission::Attach as u32
            | 1 << Permission::Speak as u32
            | 1 << Permission::ShareScreen as u32,
    );

    /// What can differ from room to room; the rest is a matter of the whole space.
    pub const IN_ROOMS: Self = Self(
        Self::EXPRESSION.0
            | 1 << Permission::View as u32
            | 1 << Permission::ManageRooms as u32
            | 1 << Permission::ManageRoles as u32
            | 1 << Permission::MentionAll as u32
            | 1 << Permission::ManageMessages as u32
            | 1 << Permission::ManageIntegrations as u32
            | 1 << Permission::ModerateCalls as u32
            | 1 << Permission::Record as u32,
    );

    /// Everything is allowed.
    pub fn all() -> Self {
        Permission::ALL.iter().copied().collect()
    }

    /// Whether `permission` is in the set.
    pub const fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }

    /// Whether every permission of `other` is in this set too.
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this set and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in one set and not in the other.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }

    /// The set of one permission.
    pub const fn only(permission: Permission) -> Self {
        Self(1 << permission as u32)
    }

    /// The permissions of the set in their declared order.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(move |&permission| self.has(permission))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        Self(
            permissions
                .into_iter()
                .fold(0, |bits, permission| bits | 1 << permission as u32),
        )
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Permission>::deserialize(deserializer)?
            .into_iter()
            .collect())
    }
}

impl JsonSchema for Permissions {
    fn schema_name() -> Cow<'static, str> {
        "Permissions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Permission>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_list_of_names_on_the_wire() {
        let set: Permissions = [Permission::Post, Permission::View].into_iter().collect();
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["view","post"]"#);
        assert_eq!(serde_json::from_str::<Permissions>(&json).unwrap(), set);
        assert!(Permissions::all().includes(set) && !set.includes(Permissions::all()));
        assert_eq!(
            set.without(Permissions::only(Permission::Post)),
            Permissions::only(Permission::View)
        );
    }
}

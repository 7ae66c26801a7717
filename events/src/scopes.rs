//! What the token of a bot is good for, beside what its account may do.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! scopes {
    ($($(#[$doc:meta])+ $name:ident = $wire:literal,)+) => {
        /// One sort of operations. Names are stored in events: add, never rename.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum Scope {
            $($(#[$doc])+ #[serde(rename = $wire)] $name,)+
        }

        impl Scope {
            /// Every scope there is.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $wire,)+ }
            }

            /// The scope of that name.
            pub fn named(name: &str) -> Option<Self> {
                match name { $($wire => Some(Self::$name),)+ _ => None }
            }
        }
    };
}

scopes! {
    /// Read what is said: timelines, threads, pins, files, search, the WebSocket's rooms.
    MessagesRead = "messages:read",
    /// Post, edit, delete, react, pin, upload, open threads.
    MessagesWrite = "messages:write",
    /// Read who is in a space, its roles and who may what.
    MembersRead = "members:read",
    /// Mute, time out, remove and ban, give roles, read the audit log.
    MembersManage = "members:manage",
    /// Make and change rooms, categories, roles, overrides, invitations and the space itself.
    SpacesManage = "spaces:manage",
    /// Take slash commands.
    Commands = "commands",
    /// Be in calls: watch, stream, moderate.
    Calls = "calls",
}

/// A set of scopes: a list of names on the wire, one machine word in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u32);

impl Scopes {
    /// Good for nothing.
    pub const NONE: Self = Self(0);

    /// Whether `scope` is in the set.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u32) != 0
    }

    /// Whether every scope of `other` is in this set too.
    pub const fn includes(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The scopes of the set in their declared order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |&scope| self.has(scope))
    }

    /// The set of names with blanks between them (RFC 6749, 3.3).
    ///
    /// # Errors
    /// The first name that is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let scope = |name: &str| Scope::named(name).ok_or_else(|| name.to_owned());
        text.split_ascii_whitespace().map(scope).collect()
    }

    /// The same of names among which there may be some of a newer version, which are good for nothing here.
    pub fn parse_known(text: &str) -> Self {
        text.split_ascii_whitespace().filter_map(Scope::named).collect()
    }
}

/// Names with blanks between them.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{}", scope.name())?;
        }
        Ok(())
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u32))
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scopes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Scope>::deserialize(deserializer)?.into_iter().collect())
    }
}

impl JsonSchema for Scopes {
    fn schema_name() -> Cow<'static, str> {
        "Scopes".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Scope>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_a_list_in_json_and_a_line_in_tokens() {
        let set: Scopes = [Scope::Commands, Scope::MessagesRead].into_iter().collect();
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["messages:read","commands"]"#);
        assert_eq!(serde_json::from_str::<Scopes>(&json).unwrap(), set);
        assert_eq!(set.to_string(), "messages:read commands");
        assert_eq!(Scopes::parse(" commands  messages:read "), Ok(set));
        assert_eq!(Scopes::parse("commands all"), Err("all".to_owned()));
        assert_eq!(Scopes::parse_known("commands all messages:read"), set);
        assert!(set.includes(Scopes::NONE) && !Scopes::NONE.includes(set));
        for scope in Scope::ALL {
            assert_eq!(Scope::named(scope.name()), Some(*scope));
        }
    }
}

//! Facts about one account's membership of one space. Every event carries the whole membership after
//! it, so that the last event alone is the state.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, InviteId, RoleId, RoomId, Sealed, SpaceId, Timestamp, catalogue::events};

events! {
    /// What can happen to a membership.
    pub enum MemberEvent {
        "member.joined.v1" => Joined,
        "member.left.v1" => Left,
        "member.removed.v1" => Removed seals [reason],
        "member.roles_changed.v1" => RolesChanged seals [reason],
        "member.muted.v1" => Muted seals [reason],
        "member.unmuted.v1" => Unmuted seals [reason],
        "member.timed_out.v1" => TimedOut seals [reason],
        "member.time_out_lifted.v1" => TimeOutLifted seals [reason],
        "member.banned.v1" => Banned seals [reason],
        "member.unbanned.v1" => Unbanned seals [reason],
        "member.released.v1" => Released seals [reason],
        "member.spoke.v1" => Spoke,
    }
}

/// How an account stands to a space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Was never in, left, or was removed.
    #[default]
    Out,
    /// Is in.
    Joined,
    /// Must stay out.
    Banned,
}

/// That somebody who came during a raid may only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// When the account came.
    pub since: Timestamp,
    /// Until then, unless it is let go or the raid is ended before.
    pub until: Timestamp,
}

/// A whole membership.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Membership {
    /// In, out or banned.
    pub standing: Standing,
    /// Roles beside the one that everybody holds.
    pub roles: BTreeSet<RoleId>,
    /// May read but not post.
    pub muted: bool,
    /// The same, until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timed_out_until: Option<Timestamp>,
    /// That it came during a raid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// The event of the space's stream by which the account came in; 0 in that event itself, which does not
    /// know its place. Absent when it came in before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<u64>,
    /// When the account said something last in rooms with slow mode, as long as that may matter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub last_words: BTreeMap<RoomId, Timestamp>,
}

/// Declares one membership fact: who, where, by whom, and the membership after it.
macro_rules! facts {
    ($($(#[$doc:meta])+ $name:ident $({ $(#[$field_doc:meta])+ $field:ident: $type:ty })?,)+) => {$(
        $(#[$doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            /// In which space.
            pub space: SpaceId,
            /// Whose membership.
            pub account: AccountId,
            /// Who did it; the account itself when it acted for itself.
            pub by: AccountId,
            /// The membership after it.
            pub membership: Membership,
            $($(#[$field_doc])+ pub $field: $type,)?
        }
    )+

        impl MemberEvent {
            /// The membership after the event.
            pub fn membership(&self) -> &Membership {
                match self { $(Self::$name(event) => &event.membership,)+ }
            }

            /// Whose membership of which space it is.
            pub fn of(&self) -> (SpaceId, AccountId) {
                match self { $(Self::$name(event) => (event.space, event.account),)+ }
            }

            /// Why it was done, if that was said and can be read.
            pub fn reason(&self) -> Option<&str> {
                let reason = match self {
                    Self::Joined(_) | Self::Left(_) | Self::Spoke(_) => None,
                    Self::Removed(event) => event.reason.as_ref(),
                    Self::RolesChanged(event) => event.reason.as_ref(),
                    Self::Muted(event) => event.reason.as_ref(),
                    Self::Unmuted(event) => event.reason.as_ref(),
                    Self::TimedOut(event) => event.reason.as_ref(),
                    Self::TimeOutLifted(event) => event.reason.as_ref(),
                    Self::Banned(event) => event.reason.as_ref(),
                    Self::Unbanned(event) => event.reason.as_ref(),
                    Self::Released(event) => event.reason.as_ref(),
                };
                reason.and_then(Sealed::clear).map(String::as_str)
            }

            /// Who did it.
            pub fn by(&self) -> AccountId {
                match self { $(Self::$name(event) => event.by,)+ }
            }
        }
    };
}

facts! {
    /// The account came in.
    Joined {
        /// By which invitation; absent for the owner.
        invite: Option<InviteId>
    },
    /// The account went by itself.
    Left,
    /// The account was shown the door; it may come back by an invitation.
    Removed {
        /// Why, if it was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sealed<String>>
    },
    /// The account holds other roles.
    RolesChanged {
        /// Why, if it was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sealed<String>>
    },
    /// The account may not post.
    Muted {
        /// Why, if it was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sealed<String>>
    },
    /// The account may post again.
    Unmuted {
        /// Why, if it was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sealed<String>>
    },
    /// The account may not post for some time.
    TimedOut {
        /// Why, if it was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sealed<String>>
    },
    /// The account may post again before its time.
    TimeOutLifted {
        /// Why, if it was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sealed<String>>
    },
    /// The account must stay out.
    Banned {
        /// Why, if it was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sealed<String>>
    },
    /// The account may come back.
    Unbanned {
        /// Why, if it was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sealed<String>>
    },
    /// The account may speak although it came during a raid.
    Released {
        /// Why, if it was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Sealed<String>>
    },
    /// The account says something in a room with slow mode: stored together with the message, so that of two
    /// messages at one instant the log takes one.
    Spoke {
        /// In which room, or thread.
        room: RoomId
    },
}

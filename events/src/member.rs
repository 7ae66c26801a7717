//! Facts about one account's membership of one space. Every event carries the whole membership after
//! it, so that the last event alone is the state.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{AccountId, InviteId, RoleId, SpaceId, catalogue::events};

events! {
    /// What can happen to a membership.
    pub enum MemberEvent {
        "member.joined.v1" => Joined,
        "member.left.v1" => Left,
        "member.removed.v1" => Removed,
        "member.roles_changed.v1" => RolesChanged,
        "member.muted.v1" => Muted,
        "member.unmuted.v1" => Unmuted,
        "member.banned.v1" => Banned,
        "member.unbanned.v1" => Unbanned,
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

/// A whole membership.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Membership {
    /// In, out or banned.
    pub standing: Standing,
    /// Roles beside the one that everybody holds.
    pub roles: BTreeSet<RoleId>,
    /// May read but not post.
    pub muted: bool,
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
    Removed,
    /// The account holds other roles.
    RolesChanged,
    /// The account may not post.
    Muted,
    /// The account may post again.
    Unmuted,
    /// The account must stay out.
    Banned,
    /// The account may come back.
    Unbanned,
}

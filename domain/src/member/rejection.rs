//! Why something is not done about a membership.

use super::{MAX_ROLES_HELD, MAX_TIME_OUT_S};
use crate::{Reject, RejectionKind, names::NameFault, space::SpaceRejection};

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemberRejection {
    /// What the space itself says: no such space, not allowed, a bad invitation, a rank too low.
    #[error(transparent)]
    Space(#[from] SpaceRejection),
    /// The account is not in the space.
    #[error("there is no such member")]
    NotFound,
    /// The account is in already.
    #[error("you are a member already")]
    AlreadyIn,
    /// The account must stay out.
    #[error("you are banned from this space")]
    Banned,
    /// Whose space it is stays as it is.
    #[error("the owner cannot leave, and cannot be removed, muted or banned")]
    OwnerStays,
    /// A conversation of two is not left; it can be muted, and the other blocked.
    #[error("a conversation of two cannot be left; block the other, or do not answer")]
    DirectStays,
    /// There is no such bot.
    #[error("there is no such bot")]
    BotNotFound,
    /// Its owner keeps it to themselves.
    #[error("only its owner brings this bot into spaces; ask them to make it public")]
    BotNotPublic,
    /// The bot must stay out.
    #[error("this bot is banned from the space; lift the ban first")]
    BotBanned,
    /// Longer than a time-out lasts.
    #[error("a time-out lasts at most {MAX_TIME_OUT_S} seconds")]
    TimeOut,
    /// The reason cannot be kept.
    #[error("the reason {0}")]
    Reason(NameFault),
    /// More roles than one can hold.
    #[error("a member holds at most {MAX_ROLES_HELD} roles")]
    TooManyRoles,
}

impl Reject for MemberRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Space(rejection) => rejection.code(),
            Self::NotFound => "member.not_found",
            Self::AlreadyIn => "member.already_in",
            Self::Banned => "member.banned",
            Self::OwnerStays => "member.owner_stays",
            Self::DirectStays => "direct.stays",
            Self::BotNotFound => "bot.not_found",
            Self::BotNotPublic => "bot.not_public",
            Self::BotBanned => "bot.banned",
            Self::TimeOut => "member.time_out_invalid",
            Self::Reason(_) => "member.reason_invalid",
            Self::TooManyRoles => "member.too_many_roles",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::Space(rejection) => rejection.kind(),
            Self::NotFound | Self::BotNotFound => RejectionKind::NotFound,
            Self::AlreadyIn | Self::BotBanned => RejectionKind::Conflict,
            Self::Banned | Self::OwnerStays | Self::DirectStays | Self::BotNotPublic => {
                RejectionKind::Forbidden
            }
            Self::TimeOut | Self::Reason(_) => RejectionKind::Invalid,
            Self::TooManyRoles => RejectionKind::Limit,
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Space(rejection) => rejection.field(),
            Self::TimeOut => Some("time_out_s"),
            Self::Reason(_) => Some("Veza-Reason"),
            Self::NotFound
            | Self::AlreadyIn
            | Self::Banned
            | Self::OwnerStays
            | Self::DirectStays
            | Self::BotNotFound
            | Self::BotNotPublic
            | Self::BotBanned
            | Self::TooManyRoles => None,
        }
    }
}

//! Why something is not done in a call.

use veza_events::call::TrackSource;

use super::{MAX_LAYERS, MAX_NAME};
use crate::{Reject, RejectionKind, space::SpaceRejection};

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallRejection {
    /// What the space says: no such space or room, not allowed.
    #[error(transparent)]
    Space(#[from] SpaceRejection),
    /// Nobody is in a call in this room.
    #[error("there is no call in this room; join to begin one")]
    NotOpen,
    /// Whom it is about is not in the call.
    #[error("there is no such participant in the call")]
    NotIn,
    /// There is no such track.
    #[error("there is no such track in the call")]
    NoTrack,
    /// As many as fit.
    #[error("the call has {0} participants already; somebody has to leave first")]
    Full(usize),
    /// As many devices of one account as fit.
    #[error("you are in this call with {0} devices already; leave with one of them first")]
    TooManyDevices(usize),
    /// Each source is shown once.
    #[error("you publish a track of this source already ({0:?}); unpublish it first")]
    Published(TrackSource),
    /// A name that cannot be kept, or too many of them.
    #[error(
        "a track has at most {MAX_LAYERS} layers; they and the codec have names of 1 to {MAX_NAME} letters, digits, - and _"
    )]
    Layers,
    /// One of the two has blocked the other.
    #[error("one of you has blocked the other")]
    Blocked,
    /// Nobody is made to be heard.
    #[error("only they themselves can let a muted track be heard again")]
    OnlyOwnerUnmutes,
    /// The owner of a space is above all others.
    #[error("the owner of the space cannot be taken out of a call")]
    Owner,
}

impl Reject for CallRejection {
    fn code(&self) -> &'static str {
        match self {
            Self::Space(rejection) => rejection.code(),
            Self::NotOpen => "call.not_open",
            Self::NotIn => "call.not_in",
            Self::NoTrack => "call.track_not_found",
            Self::Full(_) => "call.full",
            Self::TooManyDevices(_) => "call.too_many_devices",
            Self::Published(_) => "call.already_published",
            Self::Layers => "call.track_invalid",
            Self::Blocked => "room.blocked",
            Self::OnlyOwnerUnmutes => "call.only_owner_unmutes",
            Self::Owner => "call.owner",
        }
    }

    fn kind(&self) -> RejectionKind {
        match self {
            Self::Space(rejection) => rejection.kind(),
            Self::NotOpen | Self::NotIn | Self::NoTrack => RejectionKind::NotFound,
            Self::Full(_) | Self::TooManyDevices(_) => RejectionKind::Limit,
            Self::Published(_) => RejectionKind::Conflict,
            Self::Layers => RejectionKind::Invalid,
            Self::Blocked | Self::OnlyOwnerUnmutes | Self::Owner => RejectionKind::Forbidden,
        }
    }
}

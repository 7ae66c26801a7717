//! The facts of Veza: event types and their wire names, the envelope around them, the subjects they
//! lie under. Pure data: no I/O, no clock, no keys.
//!
//! A wire name such as `room.message_posted.v1` is the storage format. A shipped version changes only
//! by optional fields; anything else is a new version and an upcast, so that everybody else sees the
//! newest one alone.

mod catalogue;
mod envelope;
mod ids;
mod permissions;
mod scopes;
mod sealed;
mod subject;
mod timestamp;

pub mod account;
pub mod attachment;
pub mod call;
pub mod handle;
pub mod held;
pub mod member;
pub mod report;
pub mod room;
pub mod schedule;
pub mod space;

pub use catalogue::{DecodeError, Event, EventSchema, catalogue};
pub use envelope::{Envelope, EnvelopeError, header};
pub use ids::{
    AccountId, AttachmentId, CallId, CategoryId, CommandId, InviteId, KeyId, MessageId, ParticipantId,
    ReportId, RoleId, RoomId, ScheduledId, SessionId, SpaceId, TrackId,
};
pub use permissions::{Permission, Permissions};
pub use scopes::{Scope, Scopes};
pub use sealed::{Sealed, SealedField};
pub use subject::{Shards, Subject, SubjectError};
pub use timestamp::Timestamp;

//! What goes over the WebSocket: JSON objects, one a frame, `t` says which.
//!
//! Frames to clients are built once, with their WebSocket header, and the same bytes go to every socket.

mod about;
mod call;
mod command;
mod deflate;
mod event;
mod incoming;
mod outgoing;
mod resume;
mod wire;

pub(super) use deflate::join_deflated;
pub(super) use event::{
    EventFrame, EventHead, deletion, event_frame, message_json, redacted, without_hidden,
};
#[cfg(test)]
pub(super) use incoming::KINDS;
pub(super) use incoming::{BadFrame, Incoming, Level, Mood};
pub(crate) use outgoing::ResetReason;
pub(super) use outgoing::{Badge, FillBuilder, FillFrame, Outgoing, PresenceState};
pub(super) use resume::ResumeFrom;
pub(super) use wire::{CloseCode, Frame, join, split_first};

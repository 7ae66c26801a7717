//! The short commands: each looks at something or changes it once, and ends.

pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod export;
pub(crate) mod mail;
pub(crate) mod projection;
pub(crate) mod push;
pub(crate) mod setup;
pub(crate) mod status;

//! The decisions of Veza. Pure: no clock, no randomness, no I/O, no log line. Facts in, facts out.
//!
//! One page per aggregate: what is known of it, what can be asked of it, why it may refuse, and how
//! facts change what is known. Who loads the facts and stores the new ones is somebody else.

mod decider;

pub mod account;
pub mod call;
pub mod handle;
pub mod held;
pub mod member;
pub mod names;
pub mod report;
pub mod room;
pub mod schedule;
pub mod space;

pub use decider::{Decider, Reject, RejectionKind, decide_all, fold};

#[cfg(test)]
mod scenario;

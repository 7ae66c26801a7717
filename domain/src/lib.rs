//! The decisions of Veza. Pure: no clock, no randomness, no I/O, no log line. Facts in, facts out.

mod decider;

pub use decider::{Decider, Reject, RejectionKind};

//! What can go wrong with a read.

use std::time::Duration;

/// Why a read gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Postgres did not answer in time, or is known to be away.
    #[error("the read model is not reachable")]
    Unavailable {
        /// When it is worth asking again.
        retry_after: Duration,
    },
    /// The read model has not reached the position that was asked for, and did not in the time given.
    #[error("the read model is at {at}, not yet at {wanted}")]
    Behind {
        /// Where it is.
        at: u64,
        /// What was asked for.
        wanted: u64,
    },
    /// The cursor was not made by an earlier answer.
    #[error("the cursor is not one of ours")]
    BadCursor,
    /// A defect of ours: the database refused the query or holds what cannot be.
    #[error("the read model refused: {0}")]
    Defect(String),
}

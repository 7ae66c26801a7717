//! What failures of the platform's parts are to callers.

use std::time::Duration;

use veza_platform::contract::{Problem, ProblemKind};
use veza_readmodel::ReadError;

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A failed query of the read model.
pub(crate) fn of_read_model(error: ReadError) -> Problem {
    match error {
        ReadError::Unavailable { retry_after } => {
            Problem::unavailable("the read model is away", milliseconds(retry_after))
        }
        ReadError::Behind { at, wanted } => Problem {
            code: "platform.behind".into(),
            ..Problem::unavailable(format!("the read model is at {at}, not yet at {wanted}"), 1_000)
        },
        ReadError::BadCursor => Problem {
            kind: ProblemKind::Malformed,
            ..Problem::field(
                "request.cursor",
                "cursor",
                "pass `next` of an earlier answer, unchanged",
            )
        },
        error @ ReadError::Defect(_) => Problem::internal(&error),
    }
}

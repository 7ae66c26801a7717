//! Refusals as gRPC tells them: a code of its own, and ours beside it (`google.rpc.ErrorInfo`).

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use veza_platform::contract::{Problem, ProblemKind};

/// Whose codes `ErrorInfo.reason` holds.
const DOMAIN: &str = "veza";

/// The status of a problem.
pub(super) fn of(problem: &Problem) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(&problem.code, DOMAIN, []);
    if let Some(milliseconds) = problem.retry_after_ms {
        details.set_retry_info(Some(Duration::from_millis(milliseconds)));
    }
    for error in &problem.errors {
        details.add_bad_request_violation(&error.field, &error.detail);
    }
    Status::with_error_details(code(problem.kind), &problem.detail, details)
}

fn code(kind: ProblemKind) -> Code {
    match kind {
        ProblemKind::Malformed | ProblemKind::Invalid | ProblemKind::TooLarge => Code::InvalidArgument,
        ProblemKind::Unauthenticated => Code::Unauthenticated,
        ProblemKind::Forbidden => Code::PermissionDenied,
        ProblemKind::NotFound | ProblemKind::Gone => Code::NotFound,
        ProblemKind::Conflict | ProblemKind::Stale => Code::FailedPrecondition,
        ProblemKind::TooMany => Code::ResourceExhausted,
        ProblemKind::Unavailable => Code::Unavailable,
        ProblemKind::Internal => Code::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_our_code_the_fields_and_when_to_come_back() {
        let problem = Problem {
            retry_after_ms: Some(1_500),
            ..Problem::field("room.message_empty", "body", "the message is empty")
        };
        let status = of(&problem);
        assert_eq!(status.code(), Code::InvalidArgument);
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().reason, "room.message_empty");
        assert_eq!(
            details.retry_info().unwrap().retry_delay,
            Some(Duration::from_millis(1_500))
        );
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, "body");
    }
}

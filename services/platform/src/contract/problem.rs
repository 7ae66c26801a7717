//! A refusal or failure in a form that every door can show.

use serde::{Deserialize, Serialize};
use veza_domain::{Reject, RejectionKind};

/// Why a request did not succeed. Gateways map each kind to a status, exhaustively.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// Cannot be read at all: bad JSON, a wrong type, an unknown field.
    Malformed,
    /// Can be read, but its content is not acceptable.
    Invalid,
    /// Nobody is signed in, or not any more.
    Unauthenticated,
    /// Signed in, but not allowed.
    Forbidden,
    /// There is no such thing, or none the caller may know of.
    NotFound,
    /// The state is another than the caller thinks.
    Conflict,
    /// The caller has said what it saw, and that has changed since.
    Stale,
    /// Was there, and is gone for good.
    Gone,
    /// Larger than allowed.
    TooLarge,
    /// A limit on how many or how often.
    TooMany,
    /// Something that Veza needs is away; the outcome may be unknown, so repeat with the same id.
    Unavailable,
    /// A defect of ours.
    Internal,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Path of the field, `a.b[0]`.
    pub field: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// A refusal or failure: stable code, words for people, and nothing internal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// What sort it is.
    pub kind: ProblemKind,
    /// `<aggregate>.<reason>`, stable.
    pub code: String,
    /// What happened and what to do, for people.
    pub detail: String,
    /// When to try again, milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Field by field, when fields are at fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl Problem {
    /// A problem without more than code and words.
    pub fn new(kind: ProblemKind, code: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            detail: detail.into(),
            retry_after_ms: None,
            errors: Vec::new(),
        }
    }

    /// Something that is needed is away; try again after `retry_after_ms`.
    pub fn unavailable(detail: impl Into<String>, retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::new(ProblemKind::Unavailable, "platform.unavailable", detail)
        }
    }

    /// A defect of ours: the cause goes to the log, the caller learns only that.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed on a defect");
        Self::new(
            ProblemKind::Internal,
            "platform.internal",
            "something went wrong here; it was logged",
        )
    }

    /// The content of one field is not acceptable.
    pub fn field(code: impl Into<String>, field: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let error = FieldError {
            field: field.to_owned(),
            detail: detail.clone(),
        };
        Self {
            errors: vec![error],
            ..Self::new(ProblemKind::Invalid, code, detail)
        }
    }
}

impl<R: Reject> From<R> for Problem {
    fn from(rejection: R) -> Self {
        let kind = match rejection.kind() {
            RejectionKind::Invalid => ProblemKind::Invalid,
            RejectionKind::Forbidden => ProblemKind::Forbidden,
            RejectionKind::NotFound => ProblemKind::NotFound,
            RejectionKind::Conflict => ProblemKind::Conflict,
            RejectionKind::Gone => ProblemKind::Gone,
            RejectionKind::Limit => ProblemKind::TooMany,
        };
        let (code, detail) = (rejection.code(), rejection.to_string());
        let problem = match rejection.field() {
            Some(field) => Self::field(code, field, detail),
            None => Self::new(kind, code, detail),
        };
        Self {
            kind,
            retry_after_ms: rejection.retry_after_ms(),
            ..problem
        }
    }
}

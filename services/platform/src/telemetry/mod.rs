//! What the process tells about itself: logs, traces, metrics.
//!
//! Everyone logs and opens spans with `tracing`; this module decides where that goes, and carries the trace
//! from one process to the next.

mod ecs;
mod metrics;
mod process;
mod setup;
mod trace;

pub use metrics::{Metrics, Register};
pub use setup::{TelemetryError, TelemetryGuard, init};
pub use trace::{continue_from, current_trace_id, extract, extract_http, inject, inject_http, traceparent};

//! `/healthz` and `/readyz` for load balancers. What exactly is wrong stays inside: see the ops listener.

use std::sync::Arc;

use http::StatusCode;
use poem::endpoint::{make, make_sync};
use poem::{Endpoint, Response};

use crate::state::Gateway;

/// The process is alive.
pub(super) fn alive() -> impl Endpoint<Output = Response> + 'static {
    make_sync(|_| Response::builder().content_type("text/plain").body("alive\n"))
}

/// Requests may be sent here.
pub(super) fn ready(gateway: Arc<Gateway>) -> impl Endpoint<Output = Response> + 'static {
    make(move |_| {
        let gateway = Arc::clone(&gateway);
        async move {
            let (status, text) = if gateway.health.report().await.ready {
                (StatusCode::OK, "ready\n")
            } else {
                (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
            };
            Response::builder()
                .status(status)
                .content_type("text/plain")
                .body(text)
        }
    })
}

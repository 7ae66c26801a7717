//! `/.well-known/jwks.json`: the public keys of access tokens, for those who check them without us.

use std::sync::Arc;

use http::header;
use poem::endpoint::make_sync;
use poem::{Body, Endpoint, Response};
use veza_platform::contract::Problem;

use super::problem::Failure;
use crate::state::Gateway;

/// How long others may keep the keys. Keys are published much longer before they sign.
const CACHE: &str = "public, max-age=60";

pub(super) fn endpoint(gateway: Arc<Gateway>) -> impl Endpoint<Output = Response> + 'static {
    make_sync(move |_| {
        let keys = gateway.verifier.jwks();
        if keys.keys.is_empty() {
            return Err(Failure::from(Problem::unavailable(
                "no signing key is known yet",
                1_000,
            )));
        }
        let json = serde_json::to_string(&keys).expect("keys are plain data");
        Ok(Response::builder()
            .content_type("application/jwk-set+json")
            .header(header::CACHE_CONTROL, CACHE)
            .body(Body::from_string(json)))
    })
}

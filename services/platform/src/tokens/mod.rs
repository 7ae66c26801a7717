//! Access tokens: what they say, the keys that sign them, and checking them at every door.
//!
//! Keys live in one entry of the bucket `SIGNING_KEYS`: a key is published, signs from some time later on,
//! and stays published until its last token is over. Sessions that end are told through `REVOKED`. What a
//! session may do, and refresh tokens, are the accounts workers' affair.

mod claims;
mod keyset;
mod revocations;
mod signing;
mod verifier;

pub use claims::{ACR_ONE_FACTOR, Claims, Parties, TokenError};
pub use keyset::Rotation;
pub use revocations::{LONGEST_TOKEN_LIFE, Revocations};
pub use signing::SigningKeys;
pub use verifier::{Jwk, Jwks, Verifier};

/// Bucket of the signing keys.
const SIGNING_KEYS: &str = "SIGNING_KEYS";
/// The one entry in it: all keys change together, under one revision.
const KEYS_ENTRY: &str = "current";
/// Bucket of ended sessions.
const REVOKED: &str = "REVOKED";

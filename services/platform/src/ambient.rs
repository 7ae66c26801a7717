//! The only door for time, randomness and fresh ids. Everything pure takes them as arguments.

use time::OffsetDateTime;
use uuid::Uuid;

/// The current time, UTC.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// A fresh `UUIDv7` (RFC 9562): sorts by creation time to the millisecond.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

/// Fills `bytes` from the operating system's random source.
///
/// # Panics
/// When the operating system has no randomness left to give, which no caller could mend.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn fill_random(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the operating system provides randomness");
}

/// `N` fresh random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill_random(&mut bytes);
    bytes
}

//! Web Push (RFC 8030): who wants to be told where, in words that only their device can read (RFC 8291), and the
//! keys by which push services know this installation (RFC 8292).

mod encrypt;
mod keys;
mod subscriptions;

pub use encrypt::{BadKeys, MAX_PLAIN_BYTES, Receiver};
pub use keys::PushKeys;
pub use subscriptions::{Changed, PushSubscription, PushSubscriptions, Subscribers};

//! Passwords: which are good enough, and the slow hash that they are kept as.

mod hashing;
mod policy;

pub(crate) use hashing::Passwords;
pub(crate) use policy::check;

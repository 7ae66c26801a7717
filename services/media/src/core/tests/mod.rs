//! Whole conferences in one process, on virtual time: real sessions on both ends, and a network that loses, delays and
//! is narrow as a test says.

mod client;
mod codecs;
mod net;
mod scenes;

//! A client of the documented API, as anyone could write one: what the demo and the benches talk through.

mod http;
mod socket;

pub(crate) use http::{Api, Person};
pub(crate) use socket::Socket;

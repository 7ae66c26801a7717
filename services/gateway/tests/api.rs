//! The gateway before real NATS, with workers of the tests' own behind the bus, and without Postgres and
//! Redis: what it asks for, what it remembers, and what it says when something is away.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api {
    pub(crate) mod accesses;
    pub(crate) mod outages;
    pub(crate) mod site;
    pub(crate) mod tokens;
    pub(crate) mod writes;
}

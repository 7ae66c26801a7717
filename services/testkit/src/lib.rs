//! veza-testkit

//! veza-events

//! veza-migrations

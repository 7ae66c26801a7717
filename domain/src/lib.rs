//! veza-domain

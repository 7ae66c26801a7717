//! veza-servers

//! veza-gateway

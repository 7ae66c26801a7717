//! veza-projector

//! veza-chat

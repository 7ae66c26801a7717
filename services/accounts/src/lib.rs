//! veza-accounts

//! veza-readmodel

//! Names for texts that must not be stored, or can be of any form.

use aws_lc_rs::digest;

/// SHA-256 of the parts, hex. Parts are framed by their lengths, so that no two lists of parts are the same.
pub(crate) fn name_of(parts: &[&[u8]]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    hex(context.finish().as_ref())
}

/// The bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let text = String::with_capacity(bytes.len() * 2);
    bytes
        .iter()
        .fold(text, |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_lists_of_parts_apart() {
        assert_eq!(name_of(&[b"ab", b"c"]).len(), 64);
        assert_ne!(name_of(&[b"ab", b"c"]), name_of(&[b"a", b"bc"]));
        assert_eq!(name_of(&[b"ab"]), name_of(&[b"ab"]));
    }
}

//! What a program shows to act for its bot: `vzb_<key>_<secret>`. It names its key, so that one of several can be
//! taken away, and begins in a way that scanners of sources find. The log holds the digest alone.

use aws_lc_rs::{constant_time, digest};
use uuid::Uuid;
use veza_events::SessionId;

use crate::keyring::hex;

/// What all of them begin with.
const PREFIX: &str = "vzb_";
/// Hex digits of the secret part: 256 bits.
const SECRET_CHARS: usize = 64;

/// A secret as it was shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shown<'a> {
    /// Its key.
    pub key: SessionId,
    secret: &'a str,
}

/// The text for a key with this secret part, which has 64 hex digits.
pub fn encode(key: SessionId, secret: &str) -> String {
    format!("{PREFIX}{}_{secret}", key.uuid().simple())
}

/// SHA-256 of a secret part, hex: what the log holds.
pub fn digest_of(secret: &str) -> String {
    hex(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref())
}

/// Reads a text; `None` when it is none.
pub fn read(text: &str) -> Option<Shown<'_>> {
    let (key, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let fits = key.len() == 32 && secret.len() == SECRET_CHARS && plain(key) && plain(secret);
    let key = Uuid::try_parse(key).ok().filter(|_| fits)?;
    Some(Shown {
        key: key.into(),
        secret,
    })
}

impl Shown<'_> {
    /// Whether it is the secret with this digest.
    pub fn is(&self, digest: &str) -> bool {
        let own = digest_of(self.secret);
        constant_time::verify_slices_are_equal(own.as_bytes(), digest.as_bytes()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_names_its_key_and_fits_its_own_digest_alone() {
        let key = SessionId::new(Uuid::from_u128(5));
        let secret = "0f".repeat(32);
        let text = encode(key, &secret);
        let shown = read(&text).unwrap();
        assert_eq!(shown.key, key);
        assert!(shown.is(&digest_of(&secret)));
        assert!(!shown.is(&digest_of(&"0e".repeat(32))) && !shown.is(""));
        let (cut, longer) = (&text[..text.len() - 1], format!("{text}0"));
        for wrong in ["", "vzb_", "vzb__", cut, &text[4..], &longer, "vzb_💥_"] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}

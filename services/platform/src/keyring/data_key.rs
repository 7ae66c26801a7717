//! The keys themselves, and what is done with them. Key material lives in the library's own memory,
//! which it wipes on drop; our copies on the way there are wiped as well.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{aead, hkdf, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use uuid::Uuid;
use veza_events::KeyId;
use zeroize::Zeroizing;

use crate::ambient;

/// Bytes of a key.
pub(crate) const KEY_LEN: usize = 32;

/// What a ciphertext is bound to: it opens only where it was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aad(Vec<u8>);

impl Aad {
    /// For a sealed field of an event: type, event, data key.
    pub fn event(kind: &str, event: Uuid, key: KeyId) -> Self {
        Self::framed(&[kind.as_bytes(), event.as_bytes(), key.uuid().as_bytes()])
    }

    /// Several parts, each led by its length (64 bit, big endian), so that no two lists give the same bytes.
    pub fn framed(parts: &[&[u8]]) -> Self {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Self(bytes)
    }
}

/// A key that seals, opens and makes digests. Cheap to clone; `Debug` shows nothing of it.
#[derive(Clone)]
pub struct DataKey(Arc<Parts>);

/// Two keys out of one, so that sealing and digests never share one.
struct Parts {
    aead: LessSafeKey,
    mac: hmac::Key,
}

impl DataKey {
    /// The key with these 32 bytes.
    pub(crate) fn new(material: &Zeroizing<[u8; KEY_LEN]>) -> Self {
        let derive = |purpose: &[u8]| {
            let mut okm = Zeroizing::new([0; KEY_LEN]);
            hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, material.as_slice())
                .expand(&[purpose], hkdf::HKDF_SHA256)
                .and_then(|derived| derived.fill(okm.as_mut_slice()))
                .expect("32 bytes are one block of HKDF-SHA256");
            okm
        };
        Self(Arc::new(Parts {
            aead: aead_key(&derive(b"veza seal")),
            mac: hmac::Key::new(hmac::HMAC_SHA256, derive(b"veza digest").as_slice()),
        }))
    }

    /// Seals `clear` as base64 of nonce (12 random bytes) ‖ ciphertext ‖ tag.
    pub fn seal(&self, aad: &Aad, clear: &[u8]) -> String {
        BASE64.encode(seal(&self.0.aead, aad, clear))
    }

    /// Opens what [`DataKey::seal`] made with the same `aad`; `None` for anything else.
    pub fn open(&self, aad: &Aad, text: &str) -> Option<Vec<u8>> {
        open(&self.0.aead, aad, &BASE64.decode(text).ok()?)
    }

    /// A key of its own for one purpose, which `bound` names: equal for equal bytes.
    pub(crate) fn derived_aead(&self, bound: &Aad) -> LessSafeKey {
        aead_key(&Zeroizing::new(self.mac(&bound.0)))
    }

    /// HMAC-SHA256 of `bytes`, hex: equal for equal bytes, and not to be guessed without the key.
    pub fn digest(&self, bytes: &[u8]) -> String {
        hex(&self.mac(bytes))
    }

    /// [`DataKey::digest`] as bytes.
    pub fn mac(&self, bytes: &[u8]) -> [u8; 32] {
        let tag = hmac::sign(&self.0.mac, bytes);
        *tag.as_ref().first_chunk().expect("HMAC-SHA256 has 32 bytes")
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(…)")
    }
}

/// 32 fresh random bytes, wiped on drop.
pub(crate) fn fresh_material() -> Zeroizing<[u8; KEY_LEN]> {
    let mut material = Zeroizing::new([0; KEY_LEN]);
    ambient::fill_random(material.as_mut_slice());
    material
}

pub(crate) fn aead_key(material: &[u8; KEY_LEN]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, material).expect("the key has the length of AES-256"))
}

/// Nonce ‖ ciphertext ‖ tag.
pub(crate) fn seal(key: &LessSafeKey, aad: &Aad, clear: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_LEN] = ambient::random();
    let mut sealed = Vec::with_capacity(NONCE_LEN + clear.len() + AES_256_GCM.tag_len());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(clear);
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            aead::Aad::from(&aad.0),
            &mut sealed[NONCE_LEN..],
        )
        .expect("what is sealed is far below the 64 GiB that AES-GCM takes");
    sealed.extend_from_slice(tag.as_ref());
    sealed
}

/// The clear bytes of what [`seal`] made; `None` when anything differs.
pub(crate) fn open(key: &LessSafeKey, aad: &Aad, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut buffer = rest.to_vec();
    let clear = key
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            aead::Aad::from(&aad.0),
            &mut buffer,
        )
        .ok()?
        .len();
    buffer.truncate(clear);
    Some(buffer)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string cannot fail");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> DataKey {
        DataKey::new(&Zeroizing::new([seed; KEY_LEN]))
    }

    fn aad() -> Aad {
        Aad::event(
            "room.message_posted.v1",
            Uuid::from_u128(1),
            Uuid::from_u128(2).into(),
        )
    }

    #[test]
    fn what_is_sealed_opens_again_and_never_looks_the_same() {
        let sealed = key(1).seal(&aad(), b"hello");
        assert_eq!(key(1).open(&aad(), &sealed).unwrap(), b"hello");
        assert_ne!(sealed, key(1).seal(&aad(), b"hello"));
        assert_eq!(BASE64.decode(&sealed).unwrap().len(), 12 + 5 + 16);
    }

    #[test]
    fn a_sealed_text_opens_only_in_its_own_place_and_under_its_own_key() {
        let sealed = key(1).seal(&aad(), b"hello");
        let event = Uuid::from_u128(1);
        let other_key = KeyId::new(Uuid::from_u128(2));
        assert_eq!(key(2).open(&aad(), &sealed), None);
        for other in [
            Aad::event("room.message_edited.v1", event, other_key),
            Aad::event("room.message_posted.v1", Uuid::from_u128(9), other_key),
            Aad::event("room.message_posted.v1", event, Uuid::from_u128(9).into()),
        ] {
            assert_eq!(key(1).open(&other, &sealed), None);
        }
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let sealed = BASE64.decode(key(1).seal(&aad(), b"hello")).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key(1).open(&aad(), &BASE64.encode(changed)), None, "byte {at}");
        }
        for cut in 0..sealed.len() {
            assert_eq!(key(1).open(&aad(), &BASE64.encode(&sealed[..cut])), None);
        }
        assert_eq!(key(1).open(&aad(), "not base64!"), None);
    }

    #[test]
    fn framing_tells_shifted_parts_apart() {
        assert_ne!(Aad::framed(&[b"ab", b"c"]), Aad::framed(&[b"a", b"bc"]));
        assert_ne!(Aad::framed(&[b"ab"]), Aad::framed(&[b"ab", b""]));
    }

    #[test]
    fn digests_depend_on_the_key_and_on_every_byte() {
        let digest = key(1).digest(b"x");
        assert_eq!(digest.len(), 64);
        assert_eq!(digest, key(1).digest(b"x"));
        assert_ne!(digest, key(2).digest(b"x"));
        assert_ne!(digest, key(1).digest(b"y"));
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(format!("{:?}", key(1)), "DataKey(…)");
    }
}

//! Words that only the receiver can read: RFC 8291 on the coding `aes128gcm` of RFC 8188.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::ambient;

/// Browsers write without padding, some libraries with.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// A point of P-256, uncompressed.
const POINT_LENGTH: u8 = 65;
const POINT_BYTES: usize = POINT_LENGTH as usize;
const AUTH_BYTES: usize = 16;
const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// The one record must hold everything; push services take no more than 4,096 bytes.
const RECORD_BYTES: u32 = 4_096;
/// Lengths are rounded up to this: otherwise they tell which message it was.
const BUCKET_BYTES: usize = 256;
/// Longest text that can be sent.
pub const MAX_PLAIN_BYTES: usize = 3_839;

/// The keys of a subscription are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`p256dh` must be a point of P-256 and `auth` 16 bytes, both base64url as the browser gives them")]
pub struct BadKeys;

/// Who can read it.
#[derive(Clone, PartialEq, Eq)]
pub struct Receiver {
    public: [u8; POINT_BYTES],
    auth: [u8; AUTH_BYTES],
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Receiver(…)")
    }
}

impl Receiver {
    /// The keys of a subscription as a browser gives them.
    ///
    /// # Errors
    /// [`BadKeys`]
    pub fn parse(p256dh: &str, auth: &str) -> Result<Self, BadKeys> {
        let receiver = Self {
            public: bytes(p256dh)?,
            auth: bytes(auth)?,
        };
        // A point beside the curve would tell something of our key.
        let sender = PrivateKey::generate(&ECDH_P256).map_err(|_| BadKeys)?;
        receiver.shared(&sender).map(|_| receiver.clone()).ok_or(BadKeys)
    }

    /// The body of a request that tells `plain`.
    ///
    /// # Errors
    /// When it is too long.
    pub fn encrypt(&self, plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
        if plain.len() > MAX_PLAIN_BYTES {
            return Err(Unspecified);
        }
        let mut salt = [0; SALT_BYTES];
        ambient::fill_random(&mut salt);
        let sender = PrivateKey::generate(&ECDH_P256)?;
        let whole = (plain.len() + 1).next_multiple_of(BUCKET_BYTES);
        self.encrypt_by(&sender, salt, plain, whole - plain.len() - 1)
    }

    fn shared(&self, sender: &PrivateKey) -> Option<[u8; 32]> {
        let theirs = UnparsedPublicKey::new(&ECDH_P256, &self.public[..]);
        agree(sender, theirs, (), |secret| secret.try_into().map_err(|_| ())).ok()
    }

    fn encrypt_by(
        &self,
        sender: &PrivateKey,
        salt: [u8; SALT_BYTES],
        plain: &[u8],
        padding: usize,
    ) -> Result<Vec<u8>, Unspecified> {
        let ours = sender.compute_public_key()?;
        let shared = self.shared(sender).ok_or(Unspecified)?;
        let first = Salt::new(HKDF_SHA256, &self.auth).extract(&shared);
        let keyed: [u8; 32] = expand(&first, &[b"WebPush: info\0", &self.public, ours.as_ref()])?;
        let second = Salt::new(HKDF_SHA256, &salt).extract(&keyed);
        let key: [u8; 16] = expand(&second, &[b"Content-Encoding: aes128gcm\0"])?;
        let nonce: [u8; 12] = expand(&second, &[b"Content-Encoding: nonce\0"])?;

        let mut record = Vec::with_capacity(plain.len() + 1 + padding + TAG_BYTES);
        record.extend_from_slice(plain);
        // The last record, and then nothing but zeros.
        record.push(2);
        record.resize(record.len() + padding, 0);
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut record)?;

        let mut body = Vec::with_capacity(SALT_BYTES + 5 + POINT_BYTES + record.len());
        body.extend_from_slice(&salt);
        body.extend_from_slice(&RECORD_BYTES.to_be_bytes());
        body.push(POINT_LENGTH);
        body.extend_from_slice(ours.as_ref());
        body.extend_from_slice(&record);
        Ok(body)
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand<const N: usize>(key: &Prk, info: &[&[u8]]) -> Result<[u8; N], Unspecified> {
    let mut out = [0; N];
    key.expand(info, Length(N))?.fill(&mut out)?;
    Ok(out)
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], BadKeys> {
    let bytes = BASE64URL.decode(text).map_err(|_| BadKeys)?;
    bytes.try_into().map_err(|_| BadKeys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    #[test]
    fn the_example_of_rfc_8291_comes_out_as_it_stands_there() {
        let sender: [u8; 32] = bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw").unwrap();
        let sender = PrivateKey::from_private_key(&ECDH_P256, &sender).unwrap();
        let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw").unwrap();
        let receiver = Receiver::parse(PUBLIC, AUTH).unwrap();
        let plain = b"When I grow up, I want to be a watermelon";
        let body = receiver.encrypt_by(&sender, salt, plain, 0).unwrap();
        let expected = "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz\
            AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN";
        assert_eq!(BASE64URL.decode(expected).unwrap(), body);
    }

    #[test]
    fn lengths_do_not_tell_texts_apart_and_all_fit_into_a_record() {
        let receiver = Receiver::parse(PUBLIC, AUTH).unwrap();
        let length = |bytes: usize| receiver.encrypt(&vec![b'x'; bytes]).unwrap().len();
        assert_eq!(length(1), length(255));
        assert_ne!(length(255), length(256));
        assert!(length(MAX_PLAIN_BYTES) <= RECORD_BYTES as usize);
        assert!(receiver.encrypt(&vec![0; MAX_PLAIN_BYTES + 1]).is_err());
        assert_ne!(receiver.encrypt(b"x").unwrap(), receiver.encrypt(b"x").unwrap());
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        assert!(Receiver::parse(&format!("{PUBLIC}="), AUTH).is_ok());
        let beside = PUBLIC.replace("BCV", "BCX");
        for (public, auth) in [
            ("", AUTH),
            (PUBLIC, ""),
            (AUTH, AUTH),
            (PUBLIC, "BTBZ"),
            (&beside, AUTH),
            ("=?", AUTH),
        ] {
            assert_eq!(Receiver::parse(public, auth), Err(BadKeys), "{public} {auth}");
        }
    }
}

//! A device that is told through a push service: it opens what it is sent (RFC 8291), and a look at who sent it
//! (RFC 8292). Written against the RFCs and not against our own code.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_FIXED};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::Value;

/// The keys of a device.
#[derive(Debug)]
pub struct PushDevice {
    private: PrivateKey,
    public: Vec<u8>,
    auth: [u8; 16],
}

#[expect(
    clippy::disallowed_methods,
    reason = "the randomness of somebody else's device"
)]
impl Default for PushDevice {
    fn default() -> Self {
        let private = PrivateKey::generate(&ECDH_P256).expect("there is randomness");
        let public = private
            .compute_public_key()
            .expect("a private key has a public one");
        let mut auth = [0; 16];
        aws_lc_rs::rand::fill(&mut auth).expect("there is randomness");
        Self {
            public: public.as_ref().to_vec(),
            private,
            auth,
        }
    }
}

impl PushDevice {
    /// `p256dh` and `auth`, as a browser gives them.
    pub fn keys(&self) -> (String, String) {
        (BASE64URL.encode(&self.public), BASE64URL.encode(self.auth))
    }

    /// What a body says, if it was meant for this device.
    pub fn open(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (salt, rest) = body.split_at_checked(16)?;
        let (size, rest) = rest.split_at_checked(4)?;
        let (length, rest) = rest.split_first()?;
        let (sender, record) = rest.split_at_checked(usize::from(*length))?;
        let size = u32::from_be_bytes(size.try_into().ok()?) as usize;
        if record.len() > size || sender.len() != 65 {
            return None;
        }
        let theirs = UnparsedPublicKey::new(&ECDH_P256, sender);
        let shared: Vec<u8> = agree(&self.private, theirs, (), |secret| Ok(secret.to_vec())).ok()?;
        let first = Salt::new(HKDF_SHA256, &self.auth).extract(&shared);
        let keyed = expand(&first, &[b"WebPush: info\0", &self.public, sender], 32)?;
        let second = Salt::new(HKDF_SHA256, salt).extract(&keyed);
        let key = expand(&second, &[b"Content-Encoding: aes128gcm\0"], 16)?;
        let nonce = expand(&second, &[b"Content-Encoding: nonce\0"], 12)?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).ok()?);
        let nonce = Nonce::try_assume_unique_for_key(&nonce).ok()?;
        let mut record = record.to_vec();
        let plain = key.open_in_place(nonce, Aad::empty(), &mut record).ok()?;
        let end = plain.iter().rposition(|byte| *byte != 0)?;
        (plain[end] == 2).then(|| plain[..end].to_vec())
    }
}

/// What a push service reads in `Authorization`: the claims, if `key` signed them.
pub fn vapid_claims(authorization: &str, key: &str) -> Option<Value> {
    let rest = authorization.strip_prefix("vapid t=")?;
    let (token, named) = rest.split_once(", k=")?;
    let (signed, mark) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let head: Value = serde_json::from_slice(&BASE64URL.decode(head).ok()?).ok()?;
    let public = BASE64URL.decode(key).ok()?;
    let public = signature::UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
    let good = public
        .verify(signed.as_bytes(), &BASE64URL.decode(mark).ok()?)
        .is_ok();
    (named == key && good && head["alg"] == "ES256").then_some(())?;
    serde_json::from_slice(&BASE64URL.decode(claims).ok()?).ok()
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn expand(key: &Prk, info: &[&[u8]], bytes: usize) -> Option<Vec<u8>> {
    let mut out = vec![0; bytes];
    key.expand(info, Length(bytes)).ok()?.fill(&mut out).ok()?;
    Some(out)
}

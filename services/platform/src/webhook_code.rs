//! What stands at the end of a webhook's address. It names the room, so nothing has to be looked up, and carries 192
//! random bits, of which the log only holds a digest.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;
use veza_events::RoomId;

use crate::keyring::hex;

/// Random bytes in a code.
pub const SECRET_BYTES: usize = 24;

/// What a code says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookCode {
    /// The room that the webhook posts in.
    pub room: RoomId,
    /// SHA-256 of its secret part, hex: what the log holds.
    pub digest: String,
}

/// The code for `room` with this secret.
pub fn encode(room: RoomId, secret: &[u8; SECRET_BYTES]) -> String {
    URL_SAFE_NO_PAD.encode([room.uuid().as_bytes().as_slice(), secret].concat())
}

/// SHA-256 of a secret, hex.
pub fn digest_of(secret: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, secret).as_ref())
}

/// Reads a code; `None` when the text is none.
pub fn decode(code: &str) -> Option<WebhookCode> {
    let bytes = URL_SAFE_NO_PAD.decode(code).ok()?;
    let (room, secret) = bytes.split_first_chunk::<16>()?;
    (secret.len() == SECRET_BYTES).then(|| WebhookCode {
        room: Uuid::from_bytes(*room).into(),
        digest: digest_of(secret),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_leads_back_to_its_room_and_other_texts_to_none() {
        let room = RoomId::new(Uuid::from_u128(5));
        let code = encode(room, &[7; SECRET_BYTES]);
        let read = decode(&code).unwrap();
        assert_eq!((read.room, read.digest), (room, digest_of(&[7; SECRET_BYTES])));
        for wrong in ["", "abc", "💥", &code[1..], &format!("{code}AAAA")] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}

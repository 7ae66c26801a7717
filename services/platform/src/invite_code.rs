//! Codes that people pass on to bring others into a space. A code names its space, so nothing has to be
//! looked up, and carries 72 random bits, of which the log only holds a digest.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use uuid::Uuid;
use veza_events::SpaceId;

/// Random bytes in a code: guessing one of 1,000 at a million tries a second takes 70,000 years.
const SECRET_BYTES: usize = 9;

/// What a code says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteCode {
    /// The space it leads into.
    pub space: SpaceId,
    /// SHA-256 of its secret part, hex: what the log holds.
    pub digest: String,
}

/// The text is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not an invitation code; ask for the link again")]
pub struct NotACode;

/// The code for `space` with this secret.
pub fn encode(space: SpaceId, secret: [u8; SECRET_BYTES]) -> String {
    let mut bytes = space.uuid().as_bytes().to_vec();
    bytes.extend(secret);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a code.
///
/// # Errors
/// When the text is none.
pub fn decode(code: &str) -> Result<InviteCode, NotACode> {
    let bytes = URL_SAFE_NO_PAD.decode(code).map_err(|_| NotACode)?;
    let (space, secret) = bytes.split_first_chunk::<16>().ok_or(NotACode)?;
    if secret.len() != SECRET_BYTES {
        return Err(NotACode);
    }
    let digest = digest::digest(&digest::SHA256, secret);
    let hex = digest
        .as_ref()
        .iter()
        .fold(String::with_capacity(64), |hex, byte| {
            hex + &format!("{byte:02x}")
        });
    Ok(InviteCode {
        space: Uuid::from_bytes(*space).into(),
        digest: hex,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_leads_back_to_its_space_and_other_texts_to_none() {
        let space = SpaceId::new(Uuid::from_u128(5));
        let code = encode(space, [7; SECRET_BYTES]);
        let read = decode(&code).unwrap();
        assert_eq!(read.space, space);
        assert_ne!(
            read.digest,
            decode(&encode(space, [8; SECRET_BYTES])).unwrap().digest
        );
        for wrong in ["", "abc", "💥", &code[1..], &format!("{code}AAAA")] {
            assert_eq!(decode(wrong), Err(NotACode), "{wrong}");
        }
    }
}

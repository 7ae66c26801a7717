//! What links in mails carry: for whom, for what, until when, under a tag that only this installation can make. Nothing
//! is stored of a link; what has happened since it was made ends it by its number.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::{AccountId, Timestamp};

use crate::keyring::DataKey;

/// Purpose, account, number, end.
const CLEAR: usize = 1 + 16 + 4 + 8;
/// The first half of an HMAC-SHA256 (RFC 2104, section 5).
const TAG: usize = 16;
/// Keeps these tags apart from whatever else is made under the same key.
const CONTEXT: &[u8] = b"veza link by mail\0";

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To confirm an address.
    Confirm,
    /// To set another password.
    Reset,
    /// To get no mail about messages any more.
    Unsubscribe,
}

impl Purpose {
    fn byte(self) -> u8 {
        match self {
            Self::Confirm => 1,
            Self::Reset => 2,
            Self::Unsubscribe => 3,
        }
    }
}

/// What a link says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it is for.
    pub purpose: Purpose,
    /// For whom.
    pub account: AccountId,
    /// Of what it is, by its purpose.
    pub number: u32,
    /// How long it is good, to the second.
    pub expires_at: Timestamp,
}

impl Link {
    /// What the link carries, under the key of this installation.
    pub fn token(&self, key: &DataKey) -> String {
        let clear = self.clear();
        BASE64URL.encode([&clear[..], &tag(key, &clear)].concat())
    }

    /// Reads what a link carries; `None` when it was not made here for `purpose`, or is over.
    pub fn read(key: &DataKey, purpose: Purpose, token: &str, now: OffsetDateTime) -> Option<Self> {
        let bytes = BASE64URL.decode(token.trim()).ok()?;
        let (clear, given) = bytes.split_at_checked(CLEAR)?;
        verify_slices_are_equal(given, &tag(key, clear)).ok()?;
        let (&kind, rest) = clear.split_first()?;
        let (account, rest) = rest.split_first_chunk::<16>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let end = i64::from_be_bytes(*rest.first_chunk::<8>()?);
        let end = OffsetDateTime::from_unix_timestamp(end).ok()?;
        (kind == purpose.byte() && now < end).then_some(Self {
            purpose,
            account: Uuid::from_bytes(*account).into(),
            number: u32::from_be_bytes(*number),
            expires_at: end.into(),
        })
    }

    fn clear(&self) -> [u8; CLEAR] {
        let mut clear = [0; CLEAR];
        clear[0] = self.purpose.byte();
        clear[1..17].copy_from_slice(self.account.uuid().as_bytes());
        clear[17..21].copy_from_slice(&self.number.to_be_bytes());
        let end = self.expires_at.time().unix_timestamp();
        clear[21..].copy_from_slice(&end.to_be_bytes());
        clear
    }
}

fn tag(key: &DataKey, clear: &[u8]) -> [u8; TAG] {
    let whole = key.mac(&[CONTEXT, clear].concat());
    *whole.first_chunk().expect("HMAC-SHA256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::test_key;

    fn link() -> Link {
        Link {
            purpose: Purpose::Confirm,
            account: Uuid::from_u128(7).into(),
            number: 3,
            expires_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        }
    }

    fn at(text: &str) -> OffsetDateTime {
        text.parse::<Timestamp>().unwrap().time()
    }

    #[test]
    fn a_link_says_what_was_put_into_it_until_its_end() {
        let (key, token) = (test_key(1), link().token(&test_key(1)));
        let read = |now| Link::read(&key, Purpose::Confirm, &token, at(now));
        assert_eq!(read("2026-01-02T03:04:04Z"), Some(link()));
        assert_eq!(read("2026-01-02T03:04:05Z"), None);
        assert!(token.len() < 70, "it goes into one line of a mail");
    }

    #[test]
    fn a_link_is_good_for_its_purpose_alone_and_cannot_be_made_elsewhere() {
        let (key, token) = (test_key(1), link().token(&test_key(1)));
        let now = at("2026-01-01T00:00:00Z");
        assert_eq!(Link::read(&key, Purpose::Reset, &token, now), None);
        assert_eq!(Link::read(&test_key(2), Purpose::Confirm, &token, now), None);
        let bytes = BASE64URL.decode(&token).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let changed = BASE64URL.encode(changed);
            assert_eq!(
                Link::read(&key, Purpose::Confirm, &changed, now),
                None,
                "byte {at}"
            );
        }
        for cut in ["", "AQ", &token[..40], "~~~"] {
            assert_eq!(Link::read(&key, Purpose::Confirm, cut, now), None, "{cut}");
        }
    }
}

//! Refresh tokens, and what becomes of a session when one is presented. Pure: time and randomness are
//! arguments.
//!
//! A token is `<session>.<base64url of 32 random bytes and their MAC>`. By its MAC a token that was used
//! before can be told from one that was made up: only the former shows that somebody has a copy, and
//! nobody can end a stranger's session by knowing its id.
//!
//! Each use replaces the token. A used token that comes back ends the session (RFC 9700, 4.14.2), with
//! one exception: when its answer was lost, the client knows nothing newer. So for [`GRACE`] a used token is
//! good for another successor, as long as no successor was used. A thief gains nothing: of two that hold
//! the same token, the one who comes second with a successor of his own is found out.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use veza_events::{AccountId, SessionId, Timestamp};
use veza_platform::keyring::{DataKey, hex};

/// How long after its first use a token may be used again: a client notices a lost answer, and repeats,
/// well within it.
pub(crate) const GRACE: Duration = Duration::from_mins(1);
/// Random bytes of a token.
pub(crate) const RANDOM_LEN: usize = 32;
/// Bytes of the MAC that are kept.
const MAC_LEN: usize = 16;

/// A session as the workers share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Whose it is.
    pub(crate) account: AccountId,
    /// Digest of the newest token.
    pub(crate) current: String,
    /// Digest of the token that was used last; `None` before the first use.
    pub(crate) previous: Option<String>,
    /// When `previous` was used for the first time.
    pub(crate) used_at: Timestamp,
    /// How many pairs of tokens came before the newest.
    pub(crate) generation: u64,
    /// When the session ends by itself.
    pub(crate) expires_at: Timestamp,
}

/// What a presented token leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The session goes on like this.
    Continues(Session),
    /// The session is over by its age.
    Expired,
    /// Somebody has a copy.
    Reused,
}

impl Session {
    /// The session when the token with digest `presented` comes at `now` and the one with digest `next`
    /// is to replace it.
    pub(crate) fn refreshed(&self, presented: &str, next: String, now: OffsetDateTime) -> Outcome {
        if self.expires_at.time() <= now {
            return Outcome::Expired;
        }
        let in_grace = self.used_at.time() + GRACE >= now;
        let generation = self.generation + 1;
        if presented == self.current {
            Outcome::Continues(Self {
                current: next,
                previous: Some(presented.to_owned()),
                used_at: now.into(),
                generation,
                ..self.clone()
            })
        } else if self.previous.as_deref() == Some(presented) && in_grace {
            Outcome::Continues(Self {
                current: next,
                generation,
                ..self.clone()
            })
        } else {
            Outcome::Reused
        }
    }
}

/// A fresh token of `session`, and its digest.
pub(crate) fn make(key: &DataKey, session: SessionId, random: &[u8; RANDOM_LEN]) -> (String, String) {
    let mut secret = random.to_vec();
    secret.extend_from_slice(&mac(key, session, random));
    let text = format!("{session}.{}", BASE64URL.encode(&secret));
    let digest = digest_of(&text);
    (text, digest)
}

/// The session and the digest of a token; `None` if this installation never made it.
pub(crate) fn read(key: &DataKey, text: &str) -> Option<(SessionId, String)> {
    let (session, secret) = text.split_once('.')?;
    let session: SessionId = session.parse().ok()?;
    let secret = BASE64URL.decode(secret).ok()?;
    let (random, tag) = secret.split_first_chunk::<RANDOM_LEN>()?;
    let genuine = aws_lc_rs::constant_time::verify_slices_are_equal(&mac(key, session, random), tag).is_ok();
    // The id has several spellings; only the one that was given out is looked at.
    genuine.then(|| {
        (
            session,
            digest_of(&format!("{session}.{}", BASE64URL.encode(&secret))),
        )
    })
}

fn mac(key: &DataKey, session: SessionId, random: &[u8; RANDOM_LEN]) -> [u8; MAC_LEN] {
    let input = [b"refresh token\0".as_slice(), session.uuid().as_bytes(), random].concat();
    let whole = key.mac(&input);
    *whole.first_chunk().expect("the MAC has 32 bytes")
}

fn digest_of(token: &str) -> String {
    hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use time::ext::NumericalDuration;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    fn session() -> Session {
        Session {
            account: Uuid::from_u128(1).into(),
            current: "first".into(),
            previous: None,
            used_at: NOW.into(),
            generation: 0,
            expires_at: (NOW + 30.days()).into(),
        }
    }

    fn continued(outcome: Outcome) -> Session {
        let Outcome::Continues(session) = outcome else {
            panic!("{outcome:?}")
        };
        session
    }

    #[test]
    fn each_use_replaces_the_token() {
        let second = continued(session().refreshed("first", "second".into(), NOW + 5.minutes()));
        assert_eq!((second.current.as_str(), second.generation), ("second", 1));
        assert_eq!(second.expires_at, session().expires_at, "the end does not move");
        let third = continued(second.refreshed("second", "third".into(), NOW + 10.minutes()));
        assert_eq!(
            third.refreshed("first", "x".into(), NOW + 10.minutes()),
            Outcome::Reused
        );
    }

    #[test]
    fn a_lost_answer_is_made_up_for() {
        let lost = continued(session().refreshed("first", "second".into(), NOW));
        let again = continued(lost.refreshed("first", "third".into(), NOW + 50.seconds()));
        assert_eq!(again.current, "third");
        assert_eq!(
            again.refreshed("second", "x".into(), NOW + 51.seconds()),
            Outcome::Reused
        );
        continued(again.refreshed("third", "fourth".into(), NOW + 5.minutes()));
    }

    #[test]
    fn the_grace_does_not_grow_by_being_used() {
        let lost = continued(session().refreshed("first", "second".into(), NOW));
        let again = continued(lost.refreshed("first", "third".into(), NOW + 50.seconds()));
        assert_eq!(
            again.refreshed("first", "x".into(), NOW + 61.seconds()),
            Outcome::Reused
        );
    }

    #[test]
    fn once_a_successor_was_used_the_token_before_is_a_copy() {
        let second = continued(session().refreshed("first", "second".into(), NOW));
        let third = continued(second.refreshed("second", "third".into(), NOW + 1.seconds()));
        assert_eq!(
            third.refreshed("first", "x".into(), NOW + 2.seconds()),
            Outcome::Reused
        );
    }

    #[test]
    fn two_holders_of_one_token_are_found_out_whoever_is_first() {
        let thief = continued(session().refreshed("first", "thief's".into(), NOW));
        let owner = continued(thief.refreshed("first", "owner's".into(), NOW + 10.seconds()));
        assert_eq!(
            owner.refreshed("thief's", "x".into(), NOW + 5.minutes()),
            Outcome::Reused
        );
    }

    #[test]
    fn nothing_outlives_the_session() {
        let late = NOW + 30.days();
        assert_eq!(session().refreshed("first", "x".into(), late), Outcome::Expired);
    }
}

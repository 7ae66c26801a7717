//! The signing keys over time: published, then used, then retired. Pure: the time is an argument.

use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use veza_events::Timestamp;
use zeroize::Zeroizing;

use super::claims::thumbprint;
use crate::ambient;
use crate::config::AccountsConfig;
use crate::keyring::{Aad, Keks, Wrapped};

/// Added to the life of a token before its key is retired: clocks and answers on their way.
const RETIRE_MARGIN: Duration = Duration::from_mins(1);
/// How long a key is published before it signs, at most: whoever keeps a copy of the keys has it by then.
const PUBLISH_AHEAD: Duration = Duration::from_mins(10);

/// When keys change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// How long a key signs.
    pub every: Duration,
    /// How long a key is published before it signs.
    pub publish_ahead: Duration,
    /// How long a key is still published after it signed for the last time.
    pub retire_after: Duration,
}

impl Rotation {
    /// As configured.
    pub fn of(config: &AccountsConfig) -> Self {
        let every = Duration::from_secs(config.key_rotation_s);
        Self {
            every,
            publish_ahead: PUBLISH_AHEAD.min(every / 4),
            retire_after: Duration::from_secs(config.access_token_ttl_s) + RETIRE_MARGIN,
        }
    }
}

/// All keys of the installation as they lie in the bucket, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeySet {
    pub(super) keys: Vec<StoredKey>,
}

/// One key: the public half in clear, the private half wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredKey {
    /// Its thumbprint.
    pub(super) kid: String,
    /// The public half, base64url (RFC 8037).
    pub(super) x: String,
    /// The private half.
    pub(super) wrapped: Wrapped,
    /// From when it signs.
    pub(super) signs_from: Timestamp,
}

impl KeySet {
    /// The key that signs at `now`. Before the time of the first one, the first one.
    pub(super) fn signing(&self, now: OffsetDateTime) -> Option<&StoredKey> {
        let due = self.keys.iter().rev().find(|key| key.signs_from.time() <= now);
        due.or(self.keys.first())
    }

    /// The set as it should be at `now`, `None` if it is so already. At most one key is added.
    pub(super) fn maintained(&self, now: OffsetDateTime, rotation: Rotation, keks: &Keks) -> Option<Self> {
        let mut next = self.clone();
        let retired_by = now - rotation.retire_after;
        // A key is over when its successor has signed for long enough.
        while next
            .keys
            .get(1)
            .is_some_and(|successor| successor.signs_from.time() <= retired_by)
        {
            next.keys.remove(0);
        }
        match next.keys.last() {
            None => next.keys.push(StoredKey::fresh(now, keks)),
            Some(newest) if newest.signs_from.time() + rotation.every <= now + rotation.publish_ahead => {
                next.keys
                    .push(StoredKey::fresh(now + rotation.publish_ahead, keks));
            }
            Some(_) => {}
        }
        for key in &mut next.keys {
            key.wrap_anew(keks);
        }
        (next != *self).then_some(next)
    }
}

impl StoredKey {
    fn fresh(signs_from: OffsetDateTime, keks: &Keks) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        ambient::fill_random(seed.as_mut_slice());
        let pair = pair_of(seed.as_slice()).expect("any 32 bytes are a seed");
        let x = BASE64URL.encode(pair.public_key().as_ref());
        let kid = thumbprint(&x);
        Self {
            wrapped: keks.wrap(&aad(&kid), seed.as_slice()),
            kid,
            x,
            signs_from: signs_from.into(),
        }
    }

    /// The private half; `None` when the key-encryption key is not at hand.
    pub(super) fn pair(&self, keks: &Keks) -> Option<Ed25519KeyPair> {
        pair_of(&keks.unwrap(&aad(&self.kid), &self.wrapped)?)
    }

    fn wrap_anew(&mut self, keks: &Keks) {
        if self.wrapped.kek != keks.newest()
            && let Some(seed) = keks.unwrap(&aad(&self.kid), &self.wrapped)
        {
            self.wrapped = keks.wrap(&aad(&self.kid), &seed);
        }
    }
}

fn pair_of(seed: &[u8]) -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(seed).ok()
}

fn aad(kid: &str) -> Aad {
    Aad::framed(&[b"veza.signing_key", kid.as_bytes()])
}

#[cfg(test)]
mod tests {
    use time::ext::NumericalDuration;

    use super::*;

    const START: OffsetDateTime = time::macros::datetime!(2026-01-01 00:00 UTC);

    fn rotation() -> Rotation {
        Rotation {
            every: Duration::from_secs(1_000),
            publish_ahead: Duration::from_secs(100),
            retire_after: Duration::from_mins(6),
        }
    }

    fn names(set: &KeySet) -> Vec<&str> {
        set.keys.iter().map(|key| key.kid.as_str()).collect()
    }

    #[test]
    fn the_first_key_signs_at_once_and_nothing_changes_before_its_time() {
        let keks = Keks::for_test(&[1]);
        let set = KeySet::default().maintained(START, rotation(), &keks).unwrap();
        assert_eq!(set.signing(START).unwrap().kid, set.keys[0].kid);
        assert!(set.maintained(START + 899.seconds(), rotation(), &keks).is_none());
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_retired_after_its_last_token() {
        let keks = Keks::for_test(&[1]);
        let first = KeySet::default().maintained(START, rotation(), &keks).unwrap();
        let both = first
            .maintained(START + 900.seconds(), rotation(), &keks)
            .unwrap();
        let [old, new] = names(&both)[..] else {
            panic!("two keys")
        };
        assert_eq!(both.signing(START + 999.seconds()).unwrap().kid, old);
        assert_eq!(both.signing(START + 1_000.seconds()).unwrap().kid, new);
        assert!(
            both.maintained(START + 1_359.seconds(), rotation(), &keks)
                .is_none()
        );
        let one = both
            .maintained(START + 1_360.seconds(), rotation(), &keks)
            .unwrap();
        assert_eq!(names(&one), [new]);
    }

    #[test]
    fn whenever_it_is_looked_after_no_token_loses_its_key() {
        let keks = Keks::for_test(&[1]);
        for step in [7_i64, 60, 333, 1_500, 5_000] {
            let mut set = KeySet::default();
            let mut signed: Vec<(String, OffsetDateTime)> = Vec::new();
            for at in (0..20_000).step_by(usize::try_from(step).unwrap()) {
                let now = START + at.seconds();
                set = set.maintained(now, rotation(), &keks).unwrap_or(set);
                assert!(set.keys.len() <= 3, "bounded");
                signed.retain(|(_, time)| *time + 300.seconds() > now);
                for (kid, _) in &signed {
                    assert!(names(&set).contains(&kid.as_str()), "step {step}, at {at}");
                }
                signed.push((set.signing(now).unwrap().kid.clone(), now));
            }
        }
    }

    #[test]
    fn the_private_half_opens_under_the_right_key_alone_and_is_wrapped_anew() {
        let old = Keks::for_test(&[1]);
        let set = KeySet::default().maintained(START, rotation(), &old).unwrap();
        let key = &set.keys[0];
        assert!(key.pair(&Keks::for_test(&[2])).is_none());
        let x = BASE64URL.encode(key.pair(&old).unwrap().public_key().as_ref());
        assert_eq!(x, key.x);
        let both = Keks::for_test(&[1, 2]);
        let wrapped_anew = set.maintained(START, rotation(), &both).unwrap();
        assert!(wrapped_anew.keys[0].pair(&Keks::for_test(&[2])).is_some());
    }
}

//! What an access token says, and how one is made and checked against one set of keys. No I/O, no clock.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;
use veza_events::{AccountId, SessionId};

use crate::contract::{Problem, ProblemKind};

/// The `typ` of access tokens (RFC 9068, 2.1): a token made for anything else is not one.
const TYPE: &str = "at+jwt";
/// How far the clocks of two of our machines may be apart, seconds.
const LEEWAY_S: i64 = 5;
/// Longest token that is looked at, bytes; ours have about 600.
const MAX_TOKEN_BYTES: usize = 4_096;

/// How sure it is who signed in: with one factor.
pub const ACR_ONE_FACTOR: &str = "aal1";

/// The claims of an access token; all are required.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it: this installation.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
    /// Until when it is good, seconds since 1970.
    pub exp: i64,
    /// From when it is good, seconds since 1970.
    pub nbf: i64,
    /// When it was made, seconds since 1970.
    pub iat: i64,
    /// The account.
    pub sub: AccountId,
    /// The session.
    pub sid: SessionId,
    /// How many token pairs the session had before this one.
    pub ver: u64,
    /// How sure it is who signed in.
    pub acr: String,
    /// Id of this token.
    pub jti: Uuid,
    /// What the token of a bot is good for, names with blanks between them (RFC 9068, 2.2.3); absent for people,
    /// who may whatever their account may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token of this installation for this audience, or changed since it was made.
    #[error("the access token is not valid here")]
    Invalid,
    /// Its time is over.
    #[error("the access token has expired, refresh it")]
    Expired,
    /// Its session was ended.
    #[error("the session has ended, sign in again")]
    Revoked,
    /// No key is known yet: this process has only just started.
    #[error("no signing key is known yet")]
    NotReady,
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let code = match error {
            TokenError::Invalid => "session.token_invalid",
            TokenError::Expired => "session.token_expired",
            TokenError::Revoked => "session.ended",
            TokenError::NotReady => return Self::unavailable("sign-in is starting up", 1_000),
        };
        Self::new(ProblemKind::Unauthenticated, code, error.to_string())
    }
}

/// Who issues tokens, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parties {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
}

impl Parties {
    /// As configured: the issuer is the public address unless it is named.
    pub fn of(config: &crate::config::Config) -> Self {
        let accounts = &config.accounts;
        let issuer = if accounts.issuer.is_empty() {
            &config.gateway.public_url
        } else {
            &accounts.issuer
        };
        Self {
            issuer: issuer.clone(),
            audience: accounts.audience.clone(),
        }
    }
}

/// Signs `claims` with the key `kid`.
pub(super) fn sign<C: Serialize>(
    claims: &C,
    kid: &str,
    key: &EncodingKey,
) -> jsonwebtoken::errors::Result<String> {
    let header = Header {
        typ: Some(TYPE.to_owned()),
        kid: Some(kid.to_owned()),
        ..Header::new(Algorithm::EdDSA)
    };
    jsonwebtoken::encode(&header, claims, key)
}

/// The claims of `token`, if it is one of ours, for `parties`, and good at `now`. The only algorithm is
/// `EdDSA`, whatever the token says (RFC 8725, 3.1).
pub(super) fn check<'a>(
    token: &str,
    parties: &Parties,
    now: OffsetDateTime,
    key: impl FnOnce(&str) -> Option<&'a DecodingKey>,
) -> Result<Claims, TokenError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(TokenError::Invalid);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
    if header.typ.as_deref() != Some(TYPE) || header.alg != Algorithm::EdDSA {
        return Err(TokenError::Invalid);
    }
    let kid = header.kid.as_deref().ok_or(TokenError::Invalid)?;
    let key = key(kid).ok_or(TokenError::Invalid)?;
    let claims = jsonwebtoken::decode::<Claims>(token, key, &validation(parties))
        .map_err(|_| TokenError::Invalid)?
        .claims;
    let now = now.unix_timestamp();
    if claims.nbf > now.saturating_add(LEEWAY_S) || claims.iat > now.saturating_add(LEEWAY_S) {
        return Err(TokenError::Invalid);
    }
    if claims.exp.saturating_add(LEEWAY_S) <= now {
        return Err(TokenError::Expired);
    }
    Ok(claims)
}

/// Issuer and audience; the times are checked here, with the time as an argument.
fn validation(parties: &Parties) -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&[&parties.issuer]);
    validation.set_audience(&[&parties.audience]);
    validation.set_required_spec_claims(&["iss", "aud", "exp", "nbf", "sub"]);
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation
}

/// The JWK thumbprint (RFC 7638) of an Ed25519 key: its name wherever it is used.
pub(super) fn thumbprint(x: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64URL.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::{Value, json};
    use time::ext::NumericalDuration;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);

    struct Key {
        private: EncodingKey,
        public: DecodingKey,
        x: String,
    }

    fn key(seed: u8) -> Key {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let x = BASE64URL.encode(pair.public_key().as_ref());
        Key {
            private: EncodingKey::from_ed_der(pair.to_pkcs8().unwrap().as_ref()),
            public: DecodingKey::from_ed_components(&x).unwrap(),
            x,
        }
    }

    fn parties() -> Parties {
        Parties {
            issuer: "https://veza.example".into(),
            audience: "veza".into(),
        }
    }

    fn claims() -> Claims {
        Claims {
            iss: parties().issuer,
            aud: parties().audience,
            exp: (NOW + 5.minutes()).unix_timestamp(),
            nbf: NOW.unix_timestamp(),
            iat: NOW.unix_timestamp(),
            sub: Uuid::from_u128(1).into(),
            sid: Uuid::from_u128(2).into(),
            ver: 0,
            acr: ACR_ONE_FACTOR.into(),
            jti: Uuid::from_u128(3),
            scope: None,
        }
    }

    /// Checks against the one key `k1`.
    fn check_at(token: &str, now: OffsetDateTime) -> Result<Claims, TokenError> {
        let known = key(1).public;
        check(token, &parties(), now, |kid| (kid == "k1").then_some(&known))
    }

    fn signed<C: Serialize>(claims: &C) -> String {
        sign(claims, "k1", &key(1).private).unwrap()
    }

    fn with_header(header: &Value, claims: &Claims, signature: &[u8]) -> String {
        let part = |value: String| BASE64URL.encode(value);
        let claims = serde_json::to_string(claims).unwrap();
        format!(
            "{}.{}.{}",
            part(header.to_string()),
            part(claims),
            BASE64URL.encode(signature)
        )
    }

    #[test]
    fn a_token_gives_its_claims_back() {
        assert_eq!(check_at(&signed(&claims()), NOW), Ok(claims()));
    }

    #[test]
    fn a_token_is_good_in_its_time_with_five_seconds_for_clocks() {
        let token = signed(&claims());
        for (at, outcome) in [
            (-6, Err(TokenError::Invalid)),
            (-5, Ok(claims())),
            (304, Ok(claims())),
            (305, Err(TokenError::Expired)),
        ] {
            assert_eq!(check_at(&token, NOW + at.seconds()), outcome, "{at}");
        }
    }

    #[test]
    fn every_claim_is_required_and_of_its_type() {
        let whole = serde_json::to_value(claims()).unwrap();
        for name in [
            "iss", "aud", "exp", "nbf", "iat", "sub", "sid", "ver", "acr", "jti",
        ] {
            for wrong in [None, Some(Value::Null), Some(json!([])), Some(json!({}))] {
                let mut claims = whole.clone();
                let fields = claims.as_object_mut().unwrap();
                match &wrong {
                    Some(value) => fields.insert(name.into(), value.clone()),
                    None => fields.remove(name),
                };
                assert_eq!(
                    check_at(&signed(&claims), NOW),
                    Err(TokenError::Invalid),
                    "{name} {wrong:?}"
                );
            }
        }
    }

    #[test]
    fn a_token_of_another_issuer_or_for_another_audience_is_refused() {
        let others = [
            Claims {
                iss: "https://evil.example".into(),
                ..claims()
            },
            Claims {
                aud: "other".into(),
                ..claims()
            },
        ];
        for other in others {
            assert_eq!(check_at(&signed(&other), NOW), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn a_signature_of_another_key_or_none_is_refused() {
        let forged = sign(&claims(), "k1", &key(2).private).unwrap();
        let unknown = sign(&claims(), "k2", &key(1).private).unwrap();
        let cut = signed(&claims());
        let cut = &cut[..=cut.rfind('.').unwrap()];
        for token in [forged.as_str(), unknown.as_str(), cut, "", "a.b.c", "..", "\u{0}"] {
            assert_eq!(check_at(token, NOW), Err(TokenError::Invalid), "{token:?}");
        }
    }

    #[test]
    fn no_other_algorithm_or_type_is_taken_whatever_the_token_says() {
        let none = with_header(&json!({"alg": "none", "typ": TYPE, "kid": "k1"}), &claims(), b"");
        assert_eq!(check_at(&none, NOW), Err(TokenError::Invalid));

        // The public key as the secret of a MAC.
        let header = Header {
            typ: Some(TYPE.into()),
            kid: Some("k1".into()),
            ..Header::new(Algorithm::HS256)
        };
        let secret = EncodingKey::from_secret(key(1).x.as_bytes());
        let confused = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
        assert_eq!(check_at(&confused, NOW), Err(TokenError::Invalid));

        for typ in [None, Some("JWT".to_owned())] {
            let header = Header {
                typ,
                kid: Some("k1".into()),
                ..Header::new(Algorithm::EdDSA)
            };
            let other = jsonwebtoken::encode(&header, &claims(), &key(1).private).unwrap();
            assert_eq!(check_at(&other, NOW), Err(TokenError::Invalid));
        }
    }

    #[test]
    fn a_changed_token_is_refused_wherever_the_change_is() {
        let token = signed(&claims());
        for at in (0..token.len()).step_by(7) {
            let mut changed = token.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last characters of a part may carry bits that mean nothing.
            if let Ok(same) = check_at(&changed, NOW) {
                assert_eq!(same, claims());
            }
        }
        assert_eq!(check_at(&"a".repeat(100_000), NOW), Err(TokenError::Invalid));
    }

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // RFC 8037, appendix A.3.
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}

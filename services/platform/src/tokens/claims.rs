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
pub(super) fn sign(claims: &Claims, kid: &str, key: &EncodingKey) -> jsonwebtoken::errors::Result<String> {
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
    use super::*;

    #[test]
    fn a_key_is_named_by_its_thumbprint() {
        // RFC 8037, appendix A.3.
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }
}

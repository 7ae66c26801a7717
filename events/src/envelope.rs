//! What stands around an event: CloudEvents 1.0 attributes in the binary mode of its NATS binding,
//! plus who did it, by which command, and under which key its sealed fields stand.

use uuid::Uuid;

use crate::{AccountId, CommandId, KeyId, Timestamp};

/// Names of the headers.
pub mod header {
    /// Always `1.0`.
    pub const SPEC_VERSION: &str = "ce-specversion";
    /// Id of the event, `UUIDv7`.
    pub const ID: &str = "ce-id";
    /// Which role wrote it, `veza/<role>`.
    pub const SOURCE: &str = "ce-source";
    /// Wire name of the event type.
    pub const TYPE: &str = "ce-type";
    /// When it was decided, RFC 3339.
    pub const TIME: &str = "ce-time";
    /// The account that did it; absent when nobody was signed in.
    pub const ACTOR: &str = "veza-actor";
    /// The command that led to it.
    pub const CAUSE: &str = "veza-cause";
    /// Data key of the sealed fields; also keys the digest of the command.
    pub const KEY: &str = "veza-key";
    /// Keyed digest of the command, so that the same id with another body is noticed.
    pub const DIGEST: &str = "veza-digest";
}

/// The attributes of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Id of the event.
    pub id: Uuid,
    /// Which role wrote it, `veza/<role>`.
    pub source: String,
    /// Wire name of the event type.
    pub kind: String,
    /// When it was decided.
    pub time: Timestamp,
    /// Who did it.
    pub actor: Option<AccountId>,
    /// The command that led to it.
    pub cause: Option<CommandId>,
    /// Data key of the sealed fields.
    pub key: Option<KeyId>,
    /// Keyed digest of the command, hex.
    pub digest: Option<String>,
}

/// A header that an event must have is missing or cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("event header `{0}` is missing or unreadable")]
pub struct EnvelopeError(&'static str);

impl Envelope {
    /// The headers to store, in a fixed order.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            (header::SPEC_VERSION, "1.0".to_owned()),
            (header::ID, self.id.to_string()),
            (header::SOURCE, self.source.clone()),
            (header::TYPE, self.kind.clone()),
            (header::TIME, self.time.to_string()),
        ];
        headers.extend(self.actor.map(|actor| (header::ACTOR, actor.to_string())));
        headers.extend(self.cause.map(|cause| (header::CAUSE, cause.to_string())));
        headers.extend(self.key.map(|key| (header::KEY, key.to_string())));
        headers.extend(self.digest.clone().map(|digest| (header::DIGEST, digest)));
        headers
    }

    /// Reads the envelope out of stored headers; `get` looks one up by name.
    ///
    /// # Errors
    /// When a required header is missing, or any is not of its form.
    pub fn read<'a>(get: impl Fn(&'static str) -> Option<&'a str>) -> Result<Self, EnvelopeError> {
        let required = |name| get(name).ok_or(EnvelopeError(name));
        Ok(Self {
            id: parsed(&get, header::ID)?.ok_or(EnvelopeError(header::ID))?,
            source: required(header::SOURCE)?.to_owned(),
            kind: required(header::TYPE)?.to_owned(),
            time: parsed(&get, header::TIME)?.ok_or(EnvelopeError(header::TIME))?,
            actor: parsed(&get, header::ACTOR)?,
            cause: parsed(&get, header::CAUSE)?,
            key: parsed(&get, header::KEY)?,
            digest: get(header::DIGEST).map(str::to_owned),
        })
    }
}

fn parsed<'a, T: std::str::FromStr>(
    get: &impl Fn(&'static str) -> Option<&'a str>,
    name: &'static str,
) -> Result<Option<T>, EnvelopeError> {
    get(name)
        .map(|text| text.parse().map_err(|_| EnvelopeError(name)))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            id: Uuid::from_u128(1),
            source: "veza/chat".into(),
            kind: "room.message_posted.v1".into(),
            time: "2026-01-02T03:04:05Z".parse().unwrap(),
            actor: Some(Uuid::from_u128(2).into()),
            cause: None,
            key: Some(Uuid::from_u128(3).into()),
            digest: Some("ab".into()),
        }
    }

    #[test]
    fn an_envelope_reads_back_from_its_headers() {
        let headers = envelope().headers();
        let get = |name| {
            headers
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.as_str())
        };
        assert_eq!(Envelope::read(get).unwrap(), envelope());
    }

    #[test]
    fn a_missing_or_broken_header_is_named() {
        let missing = Envelope::read(|_| None).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "event header `ce-id` is missing or unreadable"
        );
    }
}

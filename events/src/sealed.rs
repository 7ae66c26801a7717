//! Fields that must not stand in clear in the log: personal data and message bodies.
//!
//! Decisions and projections handle the clear value; the log only ever takes the sealed text. Sealing
//! and opening are done by whoever has keys; here is only the shape.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser};

/// A value that is sealed in the log. On the wire a base64 text of nonce ‖ ciphertext ‖ tag.
///
/// A clear value refuses to be serialised, so forgetting to seal is an error and not a leak.
#[derive(Clone, PartialEq, Eq)]
pub enum Sealed<T> {
    /// Readable: before it is sealed, or after it was opened.
    Clear(T),
    /// As it stands in the log: not opened yet, or its key is gone for good.
    Closed(String),
}

impl<T> Sealed<T> {
    /// The clear value, `None` while closed.
    pub fn clear(&self) -> Option<&T> {
        match self {
            Self::Clear(value) => Some(value),
            Self::Closed(_) => None,
        }
    }

    /// Takes the clear value out, `None` if closed.
    pub fn into_clear(self) -> Option<T> {
        match self {
            Self::Clear(value) => Some(value),
            Self::Closed(_) => None,
        }
    }
}

impl<T> From<T> for Sealed<T> {
    fn from(value: T) -> Self {
        Self::Clear(value)
    }
}

/// Never shows the value: events end up in logs and test failures.
impl<T> std::fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clear(_) => "Sealed(clear)",
            Self::Closed(_) => "Sealed(closed)",
        })
    }
}

impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Clear(_) => Err(ser::Error::custom("a sealed field is still in clear")),
            Self::Closed(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::Closed)
    }
}

impl<T> JsonSchema for Sealed<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Sealed".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "contentEncoding": "base64",
            "description": "sealed: nonce, ciphertext and tag of AES-256-GCM"
        })
    }
}

/// A sealed field whatever its type, so that an event can be sealed or opened field by field.
pub trait SealedField {
    /// Replaces a clear value by the text that `seal` makes of its JSON. Does nothing when closed.
    fn seal(&mut self, seal: &mut dyn FnMut(&[u8]) -> String);

    /// Replaces a closed value by what `open` reads out of its text. Stays closed on `None` and on a
    /// plaintext of another shape.
    fn open(&mut self, open: &mut dyn FnMut(&str) -> Option<Vec<u8>>);
}

impl<T: Serialize + DeserializeOwned> SealedField for Sealed<T> {
    fn seal(&mut self, seal: &mut dyn FnMut(&[u8]) -> String) {
        if let Self::Clear(value) = self {
            let json = serde_json::to_vec(value).expect("sealed values are plain data");
            *self = Self::Closed(seal(&json));
        }
    }

    fn open(&mut self, open: &mut dyn FnMut(&str) -> Option<Vec<u8>>) {
        if let Self::Closed(text) = self
            && let Some(json) = open(text)
            && let Ok(value) = serde_json::from_slice(&json)
        {
            *self = Self::Clear(value);
        }
    }
}

/// An absent field has nothing to seal.
impl<T: SealedField> SealedField for Option<T> {
    fn seal(&mut self, seal: &mut dyn FnMut(&[u8]) -> String) {
        if let Some(field) = self {
            field.seal(seal);
        }
    }

    fn open(&mut self, open: &mut dyn FnMut(&str) -> Option<Vec<u8>>) {
        if let Some(field) = self {
            field.open(open);
        }
    }
}

/// Each of several is sealed by itself.
impl<T: SealedField> SealedField for Vec<T> {
    fn seal(&mut self, seal: &mut dyn FnMut(&[u8]) -> String) {
        for field in self {
            field.seal(seal);
        }
    }

    fn open(&mut self, open: &mut dyn FnMut(&str) -> Option<Vec<u8>>) {
        for field in self {
            field.open(open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_value_cannot_be_written_to_the_log() {
        assert!(serde_json::to_string(&Sealed::from("secret".to_owned())).is_err());
    }

    #[test]
    fn sealing_and_opening_give_the_value_back() {
        let mut field = Sealed::from("secret".to_owned());
        field.seal(&mut |clear| String::from_utf8(clear.iter().rev().copied().collect()).unwrap());
        assert_eq!(serde_json::to_string(&field).unwrap(), r#""\"terces\"""#);
        field.open(&mut |text| Some(text.bytes().rev().collect()));
        assert_eq!(field.clear().map(String::as_str), Some("secret"));
    }

    #[test]
    fn a_field_whose_key_is_gone_stays_closed() {
        let mut field: Sealed<String> = Sealed::Closed("x".into());
        field.open(&mut |_| None);
        assert_eq!(field.clear(), None);
    }

    #[test]
    fn debug_output_shows_no_value() {
        assert_eq!(format!("{:?}", Sealed::Clear("secret")), "Sealed(clear)");
    }
}

//! Values that must not be shown: they print and serialise redacted, and can be read from a file.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

/// What stands in for a secret wherever it would be printed.
pub const REDACTED: &str = "[redacted]";

/// A password or key. Shown and serialised as [`REDACTED`]; only [`Secret::expose`] gives it away.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value that was read from somewhere else.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that hands it to a client library.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn shown(&self) -> &'static str {
        if self.is_empty() { "" } else { REDACTED }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "[none]" } else { REDACTED })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        secret_schema("password")
    }
}

/// The address of a server, which may carry a user and a password. Shown and serialised with the
/// password replaced; [`ServiceUrl::expose`] gives the whole.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ServiceUrl(String);

impl ServiceUrl {
    /// Wraps an address that was made somewhere else (a test, `veza up`).
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The whole address, password included.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The password inside the address, if there is one.
    pub fn password(&self) -> Option<&str> {
        self.password_span().map(|(from, to)| &self.0[from..to])
    }

    /// Byte range of the password in `scheme://user:password@host/…`. The last `@` before the path
    /// ends it, so that an unescaped `@` inside a password is hidden as well.
    fn password_span(&self) -> Option<(usize, usize)> {
        let start = self.0.find("://")? + 3;
        let end = self.0[start..].rfind('@')? + start;
        let colon = self.0[start..end].find(':')? + start;
        Some((colon + 1, end))
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.password_span() {
            Some((from, to)) => write!(f, "{}***{}", &self.0[..from], &self.0[to..]),
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ServiceUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for ServiceUrl {
    fn schema_name() -> Cow<'static, str> {
        "ServiceUrl".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        secret_schema("uri")
    }
}

/// Text, or the file that holds it.
fn secret_schema(format: &str) -> Schema {
    json_schema!({
        "type": ["string", "object"],
        "format": format,
        "writeOnly": true,
        "properties": { "file": { "type": "string" } },
        "required": ["file"],
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), REDACTED);
        assert_eq!(serde_json::to_string(&secret).unwrap(), format!("{REDACTED:?}"));
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn an_address_prints_without_its_password() {
        let url = ServiceUrl::new("postgres://veza:p@ss:word@db:5432/veza?sslmode=require");
        assert_eq!(
            url.to_string(),
            "postgres://veza:***@db:5432/veza?sslmode=require"
        );
        assert_eq!(format!("{url:?}"), url.to_string());
        assert_eq!(url.password(), Some("p@ss:word"));
        assert_eq!(
            ServiceUrl::new("redis://cache:6379").to_string(),
            "redis://cache:6379"
        );
        assert_eq!(
            ServiceUrl::new("redis://me@cache:6379").to_string(),
            "redis://me@cache:6379"
        );
    }
}

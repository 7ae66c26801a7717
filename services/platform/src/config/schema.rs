//! The settings described: the one source for key names, types and documentation.

use std::sync::OnceLock;

use serde_json::Value;

use super::Config;

/// JSON Schema of [`Config`], with every section inline.
pub(super) fn schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let settings =
            schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
        let mut schema = settings
            .into_generator()
            .into_root_schema_for::<Config>()
            .to_value();
        schema["title"] = "Veza settings".into();
        schema
    })
}

/// One setting: where it stands and what fits in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    schema: &'static Value,
}

/// What text from the environment is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    List,
    Table,
}

impl Field {
    /// The root, which is a table of sections.
    pub(super) fn root() -> Self {
        Self { schema: schema() }
    }

    /// The setting named `key` in this table.
    pub(super) fn get(self, key: &str) -> Option<Self> {
        let schema = self.schema.get("properties")?.get(key)?;
        Some(Self { schema })
    }

    /// Keys of this table.
    pub(super) fn keys(self) -> impl Iterator<Item = &'static str> {
        let properties = self.schema.get("properties").and_then(Value::as_object);
        properties
            .into_iter()
            .flat_map(|map| map.keys().map(String::as_str))
    }

    /// Whether its value must not be shown.
    pub(super) fn is_secret(self) -> bool {
        self.schema.get("writeOnly").is_some()
    }

    /// Its documentation, as one line.
    pub(super) fn doc(self) -> String {
        let text = self
            .schema
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Smallest and largest number that fits.
    pub(super) fn range(self) -> (Option<f64>, Option<f64>) {
        let bound = |name| self.schema.get(name).and_then(Value::as_f64);
        (bound("minimum"), bound("maximum"))
    }

    /// What kind of value fits.
    pub(super) fn kind(self) -> Kind {
        let name = match self.schema.get("type") {
            Some(Value::Array(names)) => names.iter().find_map(Value::as_str),
            Some(name) => name.as_str(),
            None => None,
        };
        match name {
            Some("integer") => Kind::Integer,
            Some("number") => Kind::Number,
            Some("boolean") => Kind::Boolean,
            Some("array") => Kind::List,
            Some("object") => Kind::Table,
            _ => Kind::Text,
        }
    }
}

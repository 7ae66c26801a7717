//! The settings described: the one source for key names, types, bounds and documentation.

use std::fmt;
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
        sorted(schema)
    })
}

/// [`schema`] with the `…_file` twin of each secret, which only the reader of settings knows.
pub(super) fn published() -> Value {
    let mut published = schema().clone();
    let sections = published["properties"].as_object_mut().into_iter().flatten();
    for fields in sections.filter_map(|(_, section)| section.get_mut("properties")?.as_object_mut()) {
        let secrets: Vec<_> = fields
            .iter()
            .filter(|(_, field)| field.get("writeOnly").is_some())
            .map(|(key, _)| key.clone())
            .collect();
        for key in secrets {
            let doc = format!("File that holds `{key}`, instead of it.");
            fields.insert(
                format!("{key}_file"),
                serde_json::json!({ "type": "string", "description": doc }),
            );
        }
    }
    sorted(published)
}

/// The same with keys in order, whatever order the maps of `serde_json` keep in this build.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().collect();
            entries.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(
                entries
                    .into_iter()
                    .map(|(key, value)| (key, sorted(value)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// One setting or section: what fits in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    schema: &'static Value,
}

/// The kind of a value, and what text from the environment is turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    List,
    Table,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::List => "a list of texts",
            Self::Table => "a table",
        })
    }
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

    /// Whether its value must not be shown, and may come from a file.
    pub(super) fn is_secret(self) -> bool {
        self.schema.get("writeOnly").is_some()
    }

    /// Whether it may be left without a value.
    pub(super) fn is_optional(self) -> bool {
        matches!(self.schema.get("type"), Some(Value::Array(names)) if names.contains(&"null".into()))
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

    /// Whether `value` fits; if not, what it must be.
    pub(super) fn accepts(self, value: &toml::Value) -> Result<(), String> {
        let fits = match (self.kind(), value) {
            (Kind::Text, toml::Value::String(text)) => {
                let choices = self.choices();
                if !choices.is_empty() && !choices.contains(&text.as_str()) {
                    return Err(format!("must be one of {}", choices.join(", ")));
                }
                true
            }
            (Kind::Integer | Kind::Number, toml::Value::Integer(number)) => {
                #[expect(clippy::cast_precision_loss, reason = "bounds are far below 2^53")]
                self.in_range(*number as f64)?;
                true
            }
            (Kind::Number, toml::Value::Float(number)) => {
                self.in_range(*number)?;
                true
            }
            (Kind::List, toml::Value::Array(items)) => items.iter().all(toml::Value::is_str),
            (Kind::Boolean, toml::Value::Boolean(_)) | (Kind::Table, toml::Value::Table(_)) => true,
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(format!("must be {}", self.kind()))
        }
    }

    /// Values of an enumeration; none when any text fits.
    fn choices(self) -> Vec<&'static str> {
        let listed = self.schema.get("enum").and_then(Value::as_array);
        let described = self.schema.get("oneOf").and_then(Value::as_array);
        let described = described
            .into_iter()
            .flatten()
            .filter_map(|one| one.get("const")?.as_str());
        listed
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .chain(described)
            .collect()
    }

    fn in_range(self, number: f64) -> Result<(), String> {
        let bound = |name| self.schema.get(name).and_then(Value::as_f64);
        let least = bound("minimum").unwrap_or(f64::MIN);
        let is_u32 = self.schema.get("format").is_some_and(|format| format == "uint32");
        let most = bound("maximum").or(is_u32.then_some(f64::from(u32::MAX)));
        if number >= least && most.is_none_or(|most| number <= most) {
            return Ok(());
        }
        Err(match most {
            Some(most) => format!("must be between {least} and {most}"),
            None => format!("must be at least {least}"),
        })
    }
}

/// The dotted key that was probably meant by one that does not exist.
pub(super) fn suggestion(wrong: &str) -> Option<String> {
    let last = wrong.rsplit('.').next().unwrap_or(wrong);
    let sections = Field::root()
        .keys()
        .filter_map(|name| Some((name, Field::root().get(name)?)));
    let keys = sections.flat_map(|(section, field)| {
        let inner = field.keys().map(move |key| format!("{section}.{key}"));
        inner.chain([section.to_owned()])
    });
    let candidates = keys.map(|key| {
        // The right name in the wrong section is nearer than any misspelling.
        let misplaced = key.rsplit('.').next() == Some(last);
        let distance = if misplaced {
            0
        } else {
            strsim::damerau_levenshtein(wrong, &key)
        };
        (distance, key)
    });
    let (distance, key) = candidates.min()?;
    (distance <= (last.len() / 3).max(2)).then_some(key)
}

//! From text to settings: the file, the environment, secrets in files. Every refusal names the setting and
//! where it was written, and never shows a value.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::schema::{Field, Kind, suggestion};
use super::{Config, ConfigError};

/// Begins the name of every variable that is a setting.
const PREFIX: &str = "VEZA__";
/// Ends a key that names the file with the secret instead of the secret.
const FILE_SUFFIX: &str = "_file";

pub(super) fn load(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut given = Given::default();
    if let Some(path) = path {
        for (key, value) in read_file(path)? {
            given.put(&Setting {
                origin: path.display().to_string(),
                key,
                written: Written::Toml(value),
            })?;
        }
    }
    let mut variables: Vec<_> = env
        .into_iter()
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    variables.sort();
    for (name, text) in variables {
        let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
        given.put(&Setting {
            origin: name,
            key,
            written: Written::Text(text),
        })?;
    }
    given.into_config()
}

/// The settings in a file, as dotted keys.
fn read_file(path: &Path) -> Result<Vec<(String, Value)>, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Unreadable {
        path: path.to_owned(),
        cause,
    })?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        // Only the message: the error's own text quotes the line, which may hold a secret.
        let before = error
            .span()
            .map_or("", |span| text.get(..span.start).unwrap_or(""));
        let line = before.matches('\n').count() + 1;
        ConfigError::Syntax {
            path: path.to_owned(),
            line,
            reason: error.message().to_owned(),
        }
    })?;
    let mut settings = Vec::new();
    for (section, value) in table {
        let is_section = Field::root()
            .get(&section)
            .is_some_and(|field| field.kind() == Kind::Table);
        match value {
            Value::Table(fields) if is_section => {
                settings.extend(
                    fields
                        .into_iter()
                        .map(|(key, value)| (format!("{section}.{key}"), value)),
                );
            }
            value => settings.push((section, value)),
        }
    }
    Ok(settings)
}

/// One setting as somebody wrote it.
struct Setting {
    /// The file or variable.
    origin: String,
    /// Dotted.
    key: String,
    written: Written,
}

enum Written {
    Toml(Value),
    Text(String),
}

/// What has been given so far; later sources replace earlier ones.
#[derive(Default)]
struct Given {
    values: BTreeMap<String, Value>,
    /// Where each value came from.
    origins: BTreeMap<String, String>,
}

impl Given {
    fn put(&mut self, setting: &Setting) -> Result<(), ConfigError> {
        let (key, value) = setting.resolve()?;
        let again = self.origins.insert(key.clone(), setting.origin.clone());
        let same_source = again.is_some_and(|other| {
            other == setting.origin || (other.starts_with(PREFIX) && setting.origin.starts_with(PREFIX))
        });
        if same_source {
            return Err(setting.bad("is given twice, by itself and by a file"));
        }
        match value {
            Some(value) => self.values.insert(key, value),
            None => self.values.remove(&key),
        };
        Ok(())
    }

    fn into_config(self) -> Result<Config, ConfigError> {
        let mut root = Table::new();
        for (key, value) in self.values {
            let (table, name) = match key.split_once('.') {
                Some((section, name)) => {
                    let section = root.entry(section).or_insert_with(|| Value::Table(Table::new()));
                    (section.as_table_mut().expect("sections are tables"), name)
                }
                None => (&mut root, key.as_str()),
            };
            table.insert(name.to_owned(), value);
        }
        Config::deserialize(root).map_err(|error| ConfigError::BadValue {
            origin: "settings".into(),
            key: "?".into(),
            reason: error.message().to_owned(),
        })
    }
}

impl Setting {
    /// The key and value meant; no value puts an optional setting back to none.
    fn resolve(&self) -> Result<(String, Option<Value>), ConfigError> {
        if let Some(field) = find(&self.key) {
            let value = match &self.written {
                Written::Toml(Value::Table(table)) if field.is_secret() => {
                    Some(self.read_secret(&self.key, self.file_of(table)?)?)
                }
                Written::Toml(value) => Some(value.clone()),
                Written::Text(text) if text.is_empty() && field.is_optional() => None,
                Written::Text(text) => Some(self.parse(field, text)?),
            };
            if let Some(value) = &value {
                field.accepts(value).map_err(|reason| self.bad(&reason))?;
            }
            return Ok((self.key.clone(), value));
        }
        if Field::root().get(&self.key).is_some() {
            return Err(self.bad("is a section, not a setting"));
        }
        let secret = self
            .key
            .strip_suffix(FILE_SUFFIX)
            .filter(|key| find(key).is_some_and(Field::is_secret));
        let Some(secret) = secret else {
            return Err(self.unknown());
        };
        let path = match &self.written {
            Written::Toml(Value::String(path)) | Written::Text(path) => path,
            Written::Toml(_) => return Err(self.bad("must be the path of a file")),
        };
        Ok((secret.to_owned(), Some(self.read_secret(secret, path)?)))
    }

    /// The path in `{ file = "…" }`.
    fn file_of<'a>(&self, table: &'a Table) -> Result<&'a str, ConfigError> {
        let file = table
            .get("file")
            .and_then(Value::as_str)
            .filter(|_| table.len() == 1);
        file.ok_or_else(|| self.bad("must be text, or a table with `file` alone"))
    }

    fn read_secret(&self, key: &str, path: &str) -> Result<Value, ConfigError> {
        let path = PathBuf::from(path);
        match std::fs::read_to_string(&path) {
            // Editors and `echo` end a file with a line break that is not meant.
            Ok(text) => Ok(Value::String(text.trim_end_matches(['\r', '\n']).to_owned())),
            Err(cause) => Err(ConfigError::SecretFile {
                origin: self.origin.clone(),
                key: key.to_owned(),
                path,
                cause,
            }),
        }
    }

    fn parse(&self, field: Field, text: &str) -> Result<Value, ConfigError> {
        let parsed = match field.kind() {
            Kind::Text => Some(Value::String(text.to_owned())),
            Kind::Integer => text.trim().replace('_', "").parse().ok().map(Value::Integer),
            Kind::Number => text.trim().parse().ok().map(Value::Float),
            Kind::Boolean => text.trim().parse().ok().map(Value::Boolean),
            Kind::List => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Value::Array(
                    items.map(|item| Value::String(item.to_owned())).collect(),
                ))
            }
            Kind::Table => None,
        };
        parsed.ok_or_else(|| self.bad(&format!("must be {}", field.kind())))
    }

    fn bad(&self, reason: &str) -> ConfigError {
        ConfigError::BadValue {
            origin: self.origin.clone(),
            key: self.key.clone(),
            reason: reason.to_owned(),
        }
    }

    fn unknown(&self) -> ConfigError {
        let hint = suggestion(&self.key);
        ConfigError::UnknownKey {
            origin: self.origin.clone(),
            key: self.key.clone(),
            hint,
        }
    }
}

/// The setting at a dotted key; a section alone is none.
fn find(key: &str) -> Option<Field> {
    let field = match key.split_once('.') {
        Some((section, name)) => Field::root().get(section)?.get(name)?,
        None => Field::root().get(key)?,
    };
    (field.kind() != Kind::Table).then_some(field)
}

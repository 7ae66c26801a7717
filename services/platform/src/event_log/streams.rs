//! The streams and buckets that the log lives in: made from one file, kept as the file says, and never
//! changed in a way that could lose or hide events.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::admin::Admin;
use super::read::Reader;

/// Servers that are just starting may need this long to agree on who leads.
const STARTING: Duration = Duration::from_secs(30);
/// Stands for the shard in names and subjects of the file.
const SHARD: &str = "<n>";

/// The content of `nats/streams.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamsSpec {
    /// Stream configurations in the server's own words, without `num_replicas`. One whose name contains
    /// `<n>` is made once per shard.
    streams: Vec<Map<String, Value>>,
    buckets: Vec<Bucket>,
}

/// A bucket of keys and values.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bucket {
    name: String,
    description: String,
    /// Changes are announced on `live.kv.<bucket>.<key>`, so that the bucket can be watched.
    #[serde(default)]
    watched: bool,
    storage: String,
    /// Entries vanish this long after they were written; 0 keeps them.
    #[serde(default)]
    ttl_s: u64,
    /// Largest value in bytes.
    max_value_bytes: i64,
    /// Most bytes in all; new entries are refused beyond. -1 for no limit.
    #[serde(default = "unlimited")]
    max_bytes: i64,
}

fn unlimited() -> i64 {
    -1
}

/// What [`super::EventLog::apply`] did, by stream name. Buckets are streams whose names start with `KV_`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Made.
    pub created: Vec<String>,
    /// Brought in line.
    pub changed: Vec<String>,
    /// As they should be.
    pub unchanged: Vec<String>,
}

/// Why the streams could not be brought in line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The file is not a description of streams.
    #[error("nats/streams.json: {0}")]
    Invalid(String),
    /// The change could lose or hide events; nothing of this stream was changed.
    #[error("stream {stream}: {field} would change from {from} to {to}, which could lose events")]
    Dangerous {
        /// The stream.
        stream: String,
        /// The setting, in the server's words.
        field: String,
        /// As it is.
        from: String,
        /// As the file says.
        to: String,
    },
    /// The number of shards differs from that of the installation.
    #[error("this installation has {found} space streams; it cannot be run with {wanted} shards")]
    Shards {
        /// Space streams on the servers.
        found: usize,
        /// Shards in the configuration.
        wanted: usize,
    },
    /// The servers do not answer, or have no leader.
    #[error("the NATS servers do not answer, or have no leader")]
    Unavailable,
    /// The server said no.
    #[error("stream {stream}: the server refused: {description} ({code})")]
    Refused {
        /// The stream.
        stream: String,
        /// The server's error code.
        code: u64,
        /// The server's words.
        description: String,
    },
}

impl StreamsSpec {
    /// The description that this version of Veza was built with.
    pub fn builtin() -> Self {
        Self::parse(include_str!("../../../../nats/streams.json"))
            .expect("the committed file is checked by a test")
    }

    /// Reads a description.
    ///
    /// # Errors
    /// [`ApplyError::Invalid`].
    pub fn parse(text: &str) -> Result<Self, ApplyError> {
        serde_json::from_str(text).map_err(|error| ApplyError::Invalid(error.to_string()))
    }

    /// The configuration of every stream, in the server's words.
    fn expand(&self, shards: u16, replicas: u8) -> Vec<Map<String, Value>> {
        let mut all = Vec::new();
        for stream in &self.streams {
            if text(stream, "name").contains(SHARD) {
                all.extend((0..shards).map(|shard| for_shard(stream, shard)));
            } else {
                all.push(stream.clone());
            }
        }
        all.extend(self.buckets.iter().map(Bucket::stream));
        for stream in &mut all {
            stream.insert("num_replicas".to_owned(), replicas.into());
        }
        all
    }
}

impl Bucket {
    /// A bucket as the stream that holds it (NATS ADR-8).
    fn stream(&self) -> Map<String, Value> {
        let nanos = |seconds: u64| seconds * 1_000_000_000;
        let window = if self.ttl_s == 0 { 120 } else { self.ttl_s.min(120) };
        let bucket = &self.name;
        let republish = json!({ "src": format!("$KV.{bucket}.>"), "dest": format!("live.kv.{bucket}.>") });
        let stream = json!({
            "name": format!("KV_{bucket}"),
            "description": self.description,
            "subjects": [format!("$KV.{bucket}.>")],
            "republish": if self.watched { republish } else { Value::Null },
            "storage": self.storage,
            "retention": "limits",
            "discard": "new",
            "max_msgs_per_subject": 1,
            "max_msg_size": self.max_value_bytes,
            "max_bytes": self.max_bytes,
            "max_age": nanos(self.ttl_s),
            "duplicate_window": nanos(window),
            "allow_rollup_hdrs": true,
            "deny_delete": true,
            "allow_direct": true,
        });
        match stream {
            Value::Object(stream) => stream,
            _ => Map::new(),
        }
    }
}

fn for_shard(stream: &Map<String, Value>, shard: u16) -> Map<String, Value> {
    let shard = shard.to_string();
    let named = |value: &Value| match value {
        Value::String(text) => Value::String(text.replace(SHARD, &shard)),
        other => other.clone(),
    };
    let fields = stream.iter().map(|(key, value)| match value {
        Value::Array(items) => (key.clone(), items.iter().map(named).collect()),
        value => (key.clone(), named(value)),
    });
    fields.collect()
}

fn text<'a>(config: &'a Map<String, Value>, field: &str) -> &'a str {
    config.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Makes and changes streams until they are as described.
pub(super) async fn apply(
    reader: &Reader,
    spec: &StreamsSpec,
    shards: u16,
    replicas: u8,
) -> Result<Applied, ApplyError> {
    let deadline = tokio::time::Instant::now() + STARTING;
    let admin = Admin { reader, deadline };
    let wanted = spec.expand(shards, replicas);
    admin.same_shards(usize::from(shards)).await?;
    let mut applied = Applied::default();
    for config in wanted {
        let name = text(&config, "name").to_owned();
        let Some(present) = admin.present(&name).await? else {
            admin
                .ask(&format!("STREAM.CREATE.{name}"), &Value::Object(config))
                .await?;
            admin.led(&name).await?;
            applied.created.push(name);
            continue;
        };
        match changes(&name, &present, &config)? {
            None => applied.unchanged.push(name),
            Some(changed) => {
                admin
                    .ask(&format!("STREAM.UPDATE.{name}"), &Value::Object(changed))
                    .await?;
                applied.changed.push(name);
            }
        }
    }
    Ok(applied)
}

/// The present configuration with the wanted settings in it, if that is a change at all.
fn changes(
    stream: &str,
    present: &Map<String, Value>,
    wanted: &Map<String, Value>,
) -> Result<Option<Map<String, Value>>, ApplyError> {
    let mut changed = present.clone();
    for (field, to) in wanted {
        let from = present.get(field).unwrap_or(&Value::Null);
        if same(from, to) {
            continue;
        }
        if !is_safe(stream, field, from, to) {
            let (stream, field) = (stream.to_owned(), field.clone());
            return Err(ApplyError::Dangerous {
                stream,
                field,
                from: from.to_string(),
                to: to.to_string(),
            });
        }
        changed.insert(field.clone(), to.clone());
    }
    Ok((changed != *present).then_some(changed))
}

/// The server leaves out what is zero, false or empty, and says -1 for "no limit".
fn same(from: &Value, to: &Value) -> bool {
    let absent = |value: &Value| match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => matches!(number.as_i64(), Some(0 | -1)),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    };
    from == to || (absent(from) && absent(to))
}

fn is_safe(stream: &str, field: &str, from: &Value, to: &Value) -> bool {
    let bucket = stream.starts_with("KV_");
    match field {
        "description" | "republish" | "compression" | "duplicate_window" => true,
        "allow_direct" | "allow_atomic" | "deny_delete" | "deny_purge" => to.as_bool() == Some(true),
        "num_replicas" => to.as_u64() > from.as_u64(),
        "subjects" => {
            let has = |subject| to.as_array().is_some_and(|all| all.contains(subject));
            from.as_array().is_some_and(|all| all.iter().all(has))
        }
        "max_msg_size" | "max_bytes" | "max_age" => bucket,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spaces(shards: u16, replicas: u8) -> Map<String, Value> {
        let all = StreamsSpec::builtin().expand(shards, replicas);
        all.into_iter()
            .rev()
            .find(|stream| text(stream, "name").starts_with("SPACES_"))
            .unwrap()
    }

    #[test]
    fn the_committed_file_names_every_stream_and_bucket() {
        let all = StreamsSpec::builtin().expand(2, 3);
        let names: Vec<_> = all.iter().map(|stream| text(stream, "name")).collect();
        let expected = [
            "ACCOUNTS",
            "SPACES_0",
            "SPACES_1",
            "NOTICES",
            "KV_SESSIONS",
            "KV_REVOKED",
            "KV_SIGNING_KEYS",
            "KV_IDEMPOTENCY",
            "KV_UPLOADS",
            "KV_TICKETS",
            "KV_LINKS",
            "KV_NOTICED",
            "KV_READ_MARKERS",
            "KV_ACCOUNT_SETTINGS",
            "KV_PUSH_KEYS",
            "KV_PUSH_SUBSCRIPTIONS",
            "KV_NOTIFIED",
            "KV_MEDIA_WORKERS",
            "KV_CALL_PLACEMENT",
            "KV_MISSED",
            "KV_DRAFTS",
            "KV_EXPORTS",
            "KV_PURGES",
        ];
        assert_eq!(names, expected);
        assert!(all.iter().all(|stream| stream["num_replicas"] == 3));
    }

    #[test]
    fn a_shard_has_its_own_subjects() {
        assert_eq!(spaces(3, 1)["subjects"], json!(["evt.2.>"]));
    }

    #[test]
    fn what_the_server_adds_is_not_a_change() {
        let wanted = spaces(1, 1);
        let mut present = wanted.clone();
        present.insert("max_msgs".to_owned(), (-1).into());
        present.insert("first_seq".to_owned(), 1.into());
        assert_eq!(changes("SPACES_0", &present, &wanted), Ok(None));
    }

    #[test]
    fn more_replicas_are_a_change_and_fewer_are_refused() {
        assert!(
            changes("SPACES_0", &spaces(1, 1), &spaces(1, 3))
                .unwrap()
                .is_some()
        );
        let refused = changes("SPACES_0", &spaces(1, 3), &spaces(1, 1)).unwrap_err();
        assert!(matches!(refused, ApplyError::Dangerous { field, .. } if field == "num_replicas"));
    }

    #[test]
    fn limits_and_lost_subjects_are_refused() {
        for (field, value) in [
            ("max_age", json!(1)),
            ("max_msgs", json!(1)),
            ("subjects", json!([])),
            ("storage", json!("memory")),
            ("retention", json!("interest")),
            ("deny_purge", json!(false)),
        ] {
            let mut wanted = spaces(1, 1);
            wanted.insert(field.to_owned(), value);
            assert!(changes("SPACES_0", &spaces(1, 1), &wanted).is_err(), "{field}");
        }
    }
}

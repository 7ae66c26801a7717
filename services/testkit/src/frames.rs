//! What `/asyncapi.json` says of the frames of the WebSocket, held against frames.

use std::collections::BTreeMap;

use jsonschema::{Draft, Validator};
use serde_json::{Value, json};

/// The frames of a document, by their names there: `client.hello`, `server.ready`.
pub struct Frames(BTreeMap<String, Validator>);

impl Frames {
    /// Reads a document.
    pub fn of(document: &Value) -> Self {
        let mut components = document["components"].clone();
        close(&mut components);
        let messages = components["messages"]
            .as_object()
            .expect("the document has frames");
        let validators = messages.iter().map(|(name, message)| {
            let mut schema = message["payload"].clone();
            schema["components"] = components.clone();
            let options = jsonschema::options()
                .with_draft(Draft::Draft7)
                .should_validate_formats(true);
            let validator = options.build(&schema).expect("the schemas of frames are schemas");
            (name.clone(), validator)
        });
        Self(validators.collect())
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// The name of a frame, if it is as the document says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn documented(&self, by: &str, frame: &Value) -> Result<String, String> {
        let name = format!("{by}.{}", frame["t"].as_str().unwrap_or_default());
        let validator = self.0.get(&name).ok_or_else(|| format!("{name} is nowhere"))?;
        validator
            .validate(frame)
            .map_err(|error| format!("{error} at {}", error.instance_path()))?;
        Ok(name)
    }
}

/// Clients take what they do not know for granted; a test does not: what a schema does not name is an error.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
            fields.values_mut().for_each(close);
        }
        Value::Array(values) => values.iter_mut().for_each(close),
        _ => {}
    }
}

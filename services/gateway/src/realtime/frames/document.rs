//! The frames as a document: `AsyncAPI` 3, made from the types that are read and written.

use std::collections::BTreeMap;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::{Map, Value, json};
use veza_events::RoomId;

use super::incoming::Incoming;
use super::outgoing::{EventFrame, Outgoing};

/// Where schemas are found in the document.
const DEFINITIONS: &str = "/components/schemas";

/// What was missed of a room. Built by hand, out of events that are encoded already.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "t", rename = "fill", deny_unknown_fields)]
#[expect(dead_code, reason = "the shape of what is built by hand")]
struct FillFrame<'a> {
    room: RoomId,
    /// Everything behind this sequence,
    from: u64,
    /// up to and including this one.
    to: u64,
    /// The room goes on live from `to`; otherwise more follows.
    done: bool,
    events: Vec<EventFrame<'a>>,
}

/// The document, with its keys in order.
pub(crate) fn asyncapi() -> String {
    let mut incoming = Direction::new(SchemaSettings::draft2020_12().for_deserialize());
    incoming.take::<Incoming>();
    let mut outgoing = Direction::new(SchemaSettings::draft2020_12().for_serialize());
    outgoing.take::<Outgoing<'_>>();
    outgoing.take::<EventFrame<'_>>();
    outgoing.take::<FillFrame<'_>>();
    let mut messages = Map::new();
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for (side, direction, names) in [
        ("client", &incoming, &mut sent),
        ("server", &outgoing, &mut received),
    ] {
        for (kind, schema) in &direction.frames {
            let name = format!("{side}.{kind}");
            let message = json!({
                "name": kind,
                "contentType": "application/json",
                "summary": schema.get("description"),
                "payload": schema,
            });
            messages.insert(name.clone(), message);
            names.push(name);
        }
    }
    let mut schemas = incoming.definitions();
    schemas.extend(outgoing.definitions());
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Veza realtime",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "One JSON object a frame; `t` says which. What the frames mean stands in docs/realtime.md.",
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "channels": { "realtime": {
            "address": "/v1/realtime",
            "description": "A WebSocket with the subprotocol `veza.v1.json`.",
            "messages": references(sent.iter().chain(&received), "#/components/messages/"),
            "bindings": { "ws": { "method": "GET" } },
        }},
        "operations": {
            "fromClient": operation("receive", &sent),
            "toClient": operation("send", &received),
        },
        "components": { "messages": messages, "schemas": schemas },
    });
    let text = serde_json::to_string_pretty(&sorted(document)).expect("a document is plain data");
    text + "\n"
}

fn references<'a>(names: impl Iterator<Item = &'a String>, prefix: &str) -> Value {
    let references = names.map(|name| (name.clone(), json!({ "$ref": format!("{prefix}{name}") })));
    references.collect::<Map<_, _>>().into()
}

fn operation(action: &str, names: &[String]) -> Value {
    let of = |name: &String| json!({ "$ref": format!("#/channels/realtime/messages/{name}") });
    json!({
        "action": action,
        "channel": { "$ref": "#/channels/realtime" },
        "messages": names.iter().map(of).collect::<Vec<_>>(),
    })
}

/// The frames of one direction, by kind.
struct Direction {
    generator: SchemaGenerator,
    frames: BTreeMap<String, Value>,
}

impl Direction {
    fn new(settings: SchemaSettings) -> Self {
        let settings = settings.with(|settings| {
            settings.definitions_path = DEFINITIONS.into();
            settings.meta_schema = None;
        });
        Self {
            generator: settings.into_generator(),
            frames: BTreeMap::new(),
        }
    }

    /// Takes the frames that a type stands for: each variant of an enum, or the type itself.
    fn take<T: JsonSchema>(&mut self) {
        let schema = Schema::to_value(T::json_schema(&mut self.generator));
        match schema.get("oneOf").and_then(Value::as_array) {
            Some(variants) => variants.iter().for_each(|variant| self.add(variant)),
            None => self.add(&schema),
        }
    }

    fn add(&mut self, schema: &Value) {
        let kind = schema["properties"]["t"]["const"].as_str();
        let kind = kind.expect("every frame says which it is");
        self.frames.insert(kind.to_owned(), schema.clone());
    }

    fn definitions(mut self) -> Map<String, Value> {
        self.generator.take_definitions(true)
    }
}

/// The same with keys in order, whatever order the maps of `serde_json` keep in this build.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<_, _> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_document_is_made_of_the_frames_there_are() {
        crate::drift::check("schemas/asyncapi.json", &asyncapi());
    }
}

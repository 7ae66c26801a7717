//! The document about the WebSocket (`AsyncAPI` 3.0), made from the frames' own types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use veza_platform::contract::media::CallSignal;

use super::frames::{EventFrame, FillFrame, Incoming, Outgoing};
use super::upgrade::SUBPROTOCOL;

const DESCRIPTION: &str = "One JSON object a frame; `t` says which. What the frames mean together, limits and close codes are in docs/realtime.md.";
/// What answers each kind of frame from clients.
const ANSWERS: [(&str, &[&str]); 25] = [
    ("hello", &["ready", "error"]),
    ("watch", &["ok", "error"]),
    ("unwatch", &["ok"]),
    ("resume", &["fill", "reset", "error"]),
    ("send", &["ack", "error"]),
    ("edit", &["ack", "error"]),
    ("delete", &["ack", "error"]),
    ("react", &["ack", "error"]),
    ("unreact", &["ack", "error"]),
    ("pin", &["ack", "error"]),
    ("unpin", &["ack", "error"]),
    ("read", &["ok", "error"]),
    ("typing", &[]),
    ("presence", &["ok", "error"]),
    ("ping", &["pong"]),
    ("pong", &[]),
    ("call.join", &["call.joined", "error"]),
    ("call.offer", &["call.answer", "error"]),
    ("call.candidate", &["ok", "error"]),
    ("call.publish", &["call.published", "error"]),
    ("call.unpublish", &["ok", "error"]),
    ("call.mute", &["ok", "error"]),
    ("call.moderate", &["ok", "error"]),
    ("call.viewport", &["ok", "error"]),
    ("call.leave", &["ok", "error"]),
];

/// The document, as JSON.
pub fn document() -> String {
    let (client, mut schemas) = incoming();
    let (server, of_server) = outgoing();
    schemas.extend(of_server);
    let all = || names("client", &client).chain(names("server", &server));
    let channel = json!({
        "address": "/v1/realtime",
        "description": "A WebSocket. The first frame is `hello`, with a ticket of `POST /v1/realtime/tickets`.",
        "messages": all().map(|name| (name.clone(), reference("components/messages", &name))).collect::<Map<_, _>>(),
        "bindings": {"ws": {
            "method": "GET",
            "headers": {
                "type": "object",
                "required": ["Sec-WebSocket-Protocol"],
                "properties": {"Sec-WebSocket-Protocol": {"const": SUBPROTOCOL}},
            },
            "bindingVersion": "0.1.0",
        }},
    });
    let messages: Map<_, _> = messages("client", &client)
        .chain(messages("server", &server))
        .collect();
    let document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Veza realtime",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {"realtime": channel},
        "operations": operations(names("server", &server)),
        "components": {"messages": messages, "schemas": schemas},
    });
    format!("{document:#}\n")
}

type Schemas = Map<String, Value>;

/// Frames by their `t`, and the schemas that they refer to.
fn incoming() -> (Schemas, Schemas) {
    let mut generator = settings().for_deserialize().into_generator();
    let mut schemas = Map::new();
    let frames = variants(root::<Incoming>(&mut generator, &mut schemas));
    (frames, schemas)
}

fn outgoing() -> (Schemas, Schemas) {
    let mut generator = settings().for_serialize().into_generator();
    let mut schemas = Map::new();
    let mut frames = variants(root::<Outgoing<'_>>(&mut generator, &mut schemas));
    frames.extend(variants(root::<CallSignal>(&mut generator, &mut schemas)));
    frames.insert(
        "event".into(),
        root::<EventFrame<'_>>(&mut generator, &mut schemas),
    );
    frames.insert("fill".into(), root::<FillFrame<'_>>(&mut generator, &mut schemas));
    (frames, schemas)
}

fn settings() -> SchemaSettings {
    SchemaSettings::draft07().with(|settings| {
        settings.meta_schema = None;
    })
}

fn root<T: JsonSchema>(generator: &mut SchemaGenerator, schemas: &mut Schemas) -> Value {
    let mut schema = generator.root_schema_for::<T>().to_value();
    redirect(&mut schema);
    if let Some(frame) = schema.as_object_mut() {
        frame.remove("title");
        if let Some(Value::Object(more)) = frame.remove("definitions") {
            schemas.extend(more);
        }
    }
    schema
}

/// Lets references lead to where `AsyncAPI` keeps schemas.
fn redirect(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::String(to)) = fields.get_mut("$ref") {
                *to = to.replace("#/definitions/", "#/components/schemas/");
            }
            fields.values_mut().for_each(redirect);
        }
        Value::Array(values) => values.iter_mut().for_each(redirect),
        _ => {}
    }
}

/// The frames of an enum by their `t`.
fn variants(mut schema: Value) -> Schemas {
    let variants = match schema["oneOf"].take() {
        Value::Array(variants) => variants,
        _ => Vec::new(),
    };
    let named = |frame: Value| {
        let kind = frame["properties"]["t"]["const"].as_str()?.to_owned();
        Some((kind, frame))
    };
    variants.into_iter().filter_map(named).collect()
}

fn names<'a>(by: &'a str, frames: &'a Schemas) -> impl Iterator<Item = String> + 'a {
    frames.keys().map(move |kind| format!("{by}.{kind}"))
}

fn messages<'a>(by: &'a str, frames: &'a Schemas) -> impl Iterator<Item = (String, Value)> + 'a {
    frames.iter().map(move |(kind, frame)| {
        let mut payload = frame.clone();
        let summary = payload
            .as_object_mut()
            .and_then(|frame| frame.remove("description"));
        let message = json!({"name": kind, "summary": summary, "payload": payload});
        (format!("{by}.{kind}"), message)
    })
}

fn operations(server: impl Iterator<Item = String>) -> Value {
    let message = |name: &str| reference("channels/realtime/messages", name);
    let channel = json!({"$ref": "#/channels/realtime"});
    let mut operations = Map::new();
    for (kind, answers) in ANSWERS {
        let mut operation = json!({
            "action": "receive",
            "channel": channel,
            "messages": [message(&format!("client.{kind}"))],
        });
        if !answers.is_empty() {
            let answers: Vec<_> = answers
                .iter()
                .map(|kind| message(&format!("server.{kind}")))
                .collect();
            operation["reply"] = json!({"channel": channel, "messages": answers});
        }
        operations.insert(kind.to_owned(), operation);
    }
    let told: Vec<_> = server.map(|name| message(&name)).collect();
    operations.insert(
        "tell".into(),
        json!({"action": "send", "channel": channel, "messages": told}),
    );
    Value::Object(operations)
}

fn reference(to: &str, name: &str) -> Value {
    json!({"$ref": format!("#/{to}/{name}")})
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::realtime::frames::KINDS;

    #[test]
    fn the_committed_document_is_the_one_that_is_served() {
        crate::drift::check("schemas/asyncapi.json", &document());
    }

    #[test]
    fn every_kind_of_frame_from_clients_is_in_it_with_its_answers() {
        let documented: BTreeSet<_> = incoming().0.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(documented, KINDS.map(str::to_owned).into());
        assert_eq!(documented, ANSWERS.map(|(kind, _)| kind.to_owned()).into());
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn follow(value: &Value, document: &Value, count: &mut usize) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(to)) = fields.get("$ref") {
                        let pointer = to.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{to}");
                        *count += 1;
                    }
                    fields.values().for_each(|value| follow(value, document, count));
                }
                Value::Array(values) => values.iter().for_each(|value| follow(value, document, count)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(&document()).unwrap();
        let mut count = 0;
        follow(&document, &document, &mut count);
        assert!(count > 100, "{count}");
    }
}

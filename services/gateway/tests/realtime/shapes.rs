//! Every frame that a test meets is one of the committed document.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::{Value, json};

/// Refuses a frame that the document does not know.
pub(crate) fn check(frame: &Value) {
    static FRAMES: OnceLock<Validator> = OnceLock::new();
    let frames = FRAMES.get_or_init(|| {
        let document = include_str!("../../../../schemas/asyncapi.json");
        let mut document: Value = serde_json::from_str(document).unwrap();
        let messages = document["components"]["messages"].as_object().unwrap();
        let sent = messages.iter().filter(|(name, _)| name.starts_with("server."));
        let payloads: Vec<Value> = sent.map(|(_, message)| message["payload"].clone()).collect();
        let schema = json!({"oneOf": payloads, "components": document["components"].take()});
        jsonschema::validator_for(&schema).unwrap()
    });
    if let Err(error) = frames.validate(frame) {
        panic!("no frame of schemas/asyncapi.json: {error}: {frame}");
    }
}

#[test]
fn what_is_no_frame_is_noticed() {
    let refused = |frame: Value| std::panic::catch_unwind(|| check(&frame)).is_err();
    check(&json!({"t": "ping"}));
    assert!(refused(json!({"t": "dance"})));
    assert!(refused(json!({"t": "ack", "id": 1})));
    assert!(refused(json!({"t": "typing", "room": 5, "by": 6, "ttl_ms": 7})));
}

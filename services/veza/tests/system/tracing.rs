//! One trace from the request to the tables, across the processes.

use std::collections::HashSet;

use veza_client::Talker;
use veza_testkit::otlp::{OtlpReceiver, ReceivedSpan};

use crate::platform::{EVERY_ROLE, PATIENCE, Platform, words};

/// The spans of a message on its way, from the last to the first, each below the next.
fn way<const N: usize>(
    spans: &[ReceivedSpan],
    steps: [(&str, &str); N],
    seq: u64,
) -> Option<[ReceivedSpan; N]> {
    let (service, name) = steps[0];
    let seq = seq.to_string();
    let last = spans.iter().find(|span| {
        span.service == service && span.name == name && span.attributes.get("log.seq") == Some(&seq)
    })?;
    let mut found = vec![last.clone()];
    for (service, name) in &steps[1..] {
        let below = &found[found.len() - 1];
        let above = spans.iter().find(|span| span.span_id == below.parent_span_id)?;
        assert_eq!((above.service.as_str(), above.name.as_str()), (*service, *name));
        found.push(above.clone());
    }
    found.try_into().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_leaves_one_trace_from_the_door_to_the_tables() {
    let receiver = OtlpReceiver::start().await;
    let endpoint = receiver.endpoint();
    let env = [
        ("VEZA__TELEMETRY__OTLP_ENDPOINT", endpoint.as_str()),
        ("VEZA__TELEMETRY__SAMPLE_RATIO", "1"),
    ];
    let platform = Platform::with(&EVERY_ROLE, 1, &env).await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let posted = ada
        .post(&format!("/v1/rooms/{room}/messages"), &words("hi"))
        .await
        .unwrap();
    let steps = [
        ("veza-projector", "project"),
        ("veza-chat", "decide"),
        ("veza-gateway", "command"),
        ("veza-gateway", "request"),
    ];
    let seq = posted["seq"].as_u64().unwrap();
    let spans = receiver.wait_for(PATIENCE, |spans| way(spans, steps, seq)).await;
    let traces: HashSet<_> = spans.iter().map(|span| span.trace_id.as_str()).collect();
    assert_eq!(traces.len(), 1, "{spans:#?}");
    let [_, decide, _, request] = &spans;
    assert_eq!(
        (
            request.parent_span_id.as_str(),
            request.attributes["http.request.method"].as_str()
        ),
        ("", "POST")
    );
    let route = &request.attributes["http.route"];
    assert!(
        route.ends_with("/messages") && !route.contains(&room.to_string()),
        "{route}"
    );
    assert_eq!(decide.attributes["command"], "post");
    let text = format!("{:?}", receiver.spans());
    assert!(!text.contains("\"hi\""), "no trace carries what was said");

    // The same by the WebSocket, where the command is the beginning.
    let mut talker = Talker::start(ada, room);
    talker.say("ho").await;
    assert!(talker.until(PATIENCE, |so_far| !so_far.acked.is_empty()).await);
    let seq = talker.conversation().acked[0].seq;
    let [project, .., command] = receiver
        .wait_for(PATIENCE, |spans| way(spans, [steps[0], steps[1], steps[2]], seq))
        .await;
    assert_eq!(
        (project.trace_id, command.parent_span_id.as_str()),
        (command.trace_id.clone(), "")
    );
}

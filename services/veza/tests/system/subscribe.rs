//! Rooms followed over gRPC: nothing is left out, nothing comes twice, and nobody is told what is not for them.

use std::time::Duration;

use serde_json::json;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;
use veza_client::Person;
use veza_gateway::grpc::wire::chat_client::ChatClient;
use veza_gateway::grpc::wire::reset::Why;
use veza_gateway::grpc::wire::subscribe_reply::What;
use veza_gateway::grpc::wire::subscribe_request::Room;
use veza_gateway::grpc::wire::{Event, SubscribeReply, SubscribeRequest};

use crate::grpc::{reason, with_token};
use crate::platform::{PATIENCE, Platform, eventually, words};
use crate::structure::{delete, put};

const POSTED: &str = "room.message_posted.v1";

async fn subscribe(
    platform: &Platform,
    token: &str,
    rooms: &[(Uuid, Option<u64>)],
) -> Result<Streaming<SubscribeReply>, Status> {
    let channel = Channel::from_shared(platform.fleet.url()).unwrap();
    let mut chat = ChatClient::new(channel.connect().await.unwrap());
    let rooms = rooms.iter().map(|(room, after)| Room {
        room: room.to_string(),
        after: *after,
    });
    let request = SubscribeRequest {
        rooms: rooms.collect(),
    };
    Ok(chat.subscribe(with_token(request, token)).await?.into_inner())
}

async fn next(stream: &mut Streaming<SubscribeReply>) -> Result<Option<What>, Status> {
    loop {
        let reply = tokio::time::timeout(PATIENCE, stream.message()).await.unwrap()?;
        match reply {
            None => return Ok(None),
            Some(SubscribeReply { what: None }) => {}
            Some(SubscribeReply { what }) => return Ok(what),
        }
    }
}

async fn event(stream: &mut Streaming<SubscribeReply>) -> Event {
    loop {
        match next(stream).await.unwrap() {
            Some(What::Event(event)) => return event,
            Some(What::Reached(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn say(person: &Person, room: Uuid, body: &str) -> serde_json::Value {
    let path = format!("/v1/rooms/{room}/messages");
    person.post(&path, &words(body)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_told_what_happens_and_goes_on_where_it_was() {
    let platform = Platform::start().await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let (bot, _, secret) = crate::bots::make(&ada, "robot", &["messages:read"]).await;
    put(&ada, &format!("/v1/spaces/{space}/bots/{bot}"), json!({}))
        .await
        .unwrap();
    let token = platform.api().bot(bot, &secret).await.unwrap().access_token();

    let mut stream = subscribe(&platform, &token, &[(room, None)]).await.unwrap();
    let Some(What::Reached(begin)) = next(&mut stream).await.unwrap() else {
        panic!("the first reply says from where on");
    };
    let posted = say(&ada, room, "hello @ben").await;
    let id = posted["id"].as_str().unwrap();
    let message = format!("/v1/messages/{id}");
    let thumb = format!("{message}/reactions/%F0%9F%91%8D");
    eventually("the message can be reacted to", || async {
        put(&ben, &thumb, json!({})).await.ok()
    })
    .await;
    delete(&ada, &message).await.unwrap();
    let first = event(&mut stream).await;
    assert_eq!((first.r#type.as_str(), first.message.as_str()), (POSTED, id));
    assert_eq!(first.body.as_deref(), Some("hello @ben"));
    assert_eq!(first.mentions.unwrap().accounts, [ben.account.to_string()]);
    assert_eq!(
        (first.by, Some(first.seq)),
        (ada.account.to_string(), posted["seq"].as_u64())
    );
    let second = event(&mut stream).await;
    assert_eq!((second.emoji.as_str(), second.posted), ("👍", first.seq));
    let third = event(&mut stream).await;
    assert_eq!(
        (third.r#type.as_str(), third.message.as_str()),
        ("room.message_deleted.v1", id)
    );

    // What was taken back is told without its text.
    let from = [(room, Some(begin.seq))];
    let mut again = subscribe(&platform, &token, &from).await.unwrap();
    let told = [
        event(&mut again).await,
        event(&mut again).await,
        event(&mut again).await,
    ];
    let seqs = told.each_ref().map(|event| event.seq);
    assert_eq!(seqs, [first.seq, second.seq, third.seq]);
    assert_eq!((told[0].body.as_deref(), &told[0].mentions), (None, &None));
    say(&ada, room, "and on").await;
    assert_eq!(event(&mut again).await.body.as_deref(), Some("and on"));

    // From a log that is not this one.
    let beyond = [(room, Some(third.seq + 1_000_000))];
    let mut lost = subscribe(&platform, &token, &beyond).await.unwrap();
    let reset = loop {
        match next(&mut lost).await.unwrap() {
            Some(What::Reset(reset)) => break reset,
            Some(What::Reached(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((reset.why(), reset.head.is_some()), (Why::Epoch, true));
    say(&ada, room, "here").await;
    assert_eq!(event(&mut lost).await.body.as_deref(), Some("here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_a_room_any_more_is_told_so_and_nothing_else() {
    let platform = Platform::start().await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let eve = platform
        .api()
        .register("eve", "eve", crate::platform::PASSWORD)
        .await
        .unwrap();
    let refused = subscribe(&platform, &eve.access_token(), &[(room, None)]).await;
    assert_eq!(
        reason(&refused.unwrap_err()),
        (Code::NotFound, "room.not_found".into())
    );
    let refused = subscribe(&platform, &ada.access_token(), &[]).await;
    assert_eq!(
        reason(&refused.unwrap_err()),
        (Code::InvalidArgument, "request.malformed".into())
    );
    let (bot, key, secret) = crate::bots::make(&ada, "robot", &["messages:write"]).await;
    put(&ada, &format!("/v1/spaces/{space}/bots/{bot}"), json!({}))
        .await
        .unwrap();
    let writer = platform.api().bot(bot, &secret).await.unwrap().access_token();
    let refused = subscribe(&platform, &writer, &[(room, None)]).await;
    assert_eq!(
        reason(&refused.unwrap_err()),
        (Code::PermissionDenied, "session.scope".into())
    );
    delete(&ada, &format!("/v1/bots/{bot}/keys/{key}")).await.unwrap();

    let mut stream = subscribe(&platform, &ben.access_token(), &[(room, None)])
        .await
        .unwrap();
    next(&mut stream).await.unwrap();
    let out = format!("/v1/spaces/{space}/members/{}", ben.account);
    delete(&ada, &out).await.unwrap();
    say(&ada, room, "without Ben").await;
    match next(&mut stream).await.unwrap() {
        Some(What::Reset(reset)) => assert_eq!((reset.why(), reset.head), (Why::Access, None)),
        other => panic!("{other:?}"),
    }
    assert_eq!(next(&mut stream).await.unwrap(), None);

    let mut mine = subscribe(&platform, &ada.access_token(), &[(room, None)])
        .await
        .unwrap();
    next(&mut mine).await.unwrap();
    delete(&ada, "/v1/sessions/current").await.unwrap();
    // What was said before may come first.
    let over = loop {
        match next(&mut mine).await {
            Ok(Some(What::Event(_))) => {}
            Ok(other) => panic!("{other:?}"),
            Err(over) => break over,
        }
    };
    assert_eq!(reason(&over), (Code::Unauthenticated, "session.ended".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_key_ends_the_stream_within_a_second() {
    let platform = Platform::start().await;
    let ([ada], space, room) = platform.people(["ada"]).await;
    let (bot, key, secret) = crate::bots::make(&ada, "robot", &["messages:read"]).await;
    put(&ada, &format!("/v1/spaces/{space}/bots/{bot}"), json!({}))
        .await
        .unwrap();
    let token = platform.api().bot(bot, &secret).await.unwrap().access_token();
    let mut stream = subscribe(&platform, &token, &[(room, None)]).await.unwrap();
    next(&mut stream).await.unwrap();
    say(&ada, room, "heard").await;
    assert_eq!(event(&mut stream).await.body.as_deref(), Some("heard"));
    delete(&ada, &format!("/v1/bots/{bot}/keys/{key}")).await.unwrap();
    let over = tokio::time::timeout(Duration::from_secs(1), next(&mut stream)).await;
    let over = over.expect("it ends within a second").unwrap_err();
    assert_eq!(reason(&over), (Code::Unauthenticated, "session.ended".into()));
    say(&ada, room, "not heard").await;
    assert_eq!(next(&mut stream).await.ok().flatten(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_for_a_while_misses_nothing() {
    const MESSAGES: usize = 300;
    let env = [("VEZA__REALTIME__LAG_QUEUE_BYTES", "16384")];
    let platform = Platform::with(&crate::platform::EVERY_ROLE, 1, &env).await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let mut stream = subscribe(&platform, &ada.access_token(), &[(room, None)])
        .await
        .unwrap();
    let mut said = Vec::new();
    for number in 0..MESSAGES {
        let posted = say(&ada, room, &format!("{number} {}", "x".repeat(3_000))).await;
        said.push(posted["seq"].as_u64().unwrap());
    }
    let mut told = Vec::new();
    while told.len() < MESSAGES {
        told.push(event(&mut stream).await.seq);
    }
    assert_eq!(told, said);
}

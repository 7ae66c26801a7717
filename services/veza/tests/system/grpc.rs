//! Services that act for an account over gRPC: same tokens, same decisions, same refusals as over HTTP.

use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use uuid::Uuid;
use veza_gateway::grpc::wire::accounts_client::AccountsClient;
use veza_gateway::grpc::wire::chat_client::ChatClient;
use veza_gateway::grpc::wire::list_request::Range;
use veza_gateway::grpc::wire::{
    CancelScheduledRequest, ChangeRequest, ChangeScheduledRequest, EditRequest, GetAccountRequest, ListReply,
    ListRequest, ListScheduledRequest, PostReply, PostRequest, ReactRequest, ScheduleRequest, Seen,
    Timestamp, VerifyTokenRequest,
};

use veza_platform::ambient;

use crate::platform::{PASSWORD, Platform, eventually};

pub(crate) fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

pub(crate) fn wire_time(at: veza_events::Timestamp) -> Timestamp {
    let at = at.time();
    Timestamp {
        seconds: at.unix_timestamp(),
        nanos: at.nanosecond().cast_signed(),
    }
}

pub(crate) fn reason(status: &Status) -> (Code, String) {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone());
    (status.code(), reason.unwrap_or_default())
}

pub(crate) async fn post(
    chat: &mut ChatClient<Channel>,
    token: &str,
    message: PostRequest,
) -> Result<PostReply, Status> {
    Ok(chat.post(with_token(message, token)).await?.into_inner())
}

pub(crate) async fn list(
    chat: &mut ChatClient<Channel>,
    token: &str,
    message: ListRequest,
) -> Result<ListReply, Status> {
    Ok(chat.list(with_token(message, token)).await?.into_inner())
}

pub(crate) fn words(room: Uuid, body: &str) -> PostRequest {
    PostRequest {
        room: room.to_string(),
        body: body.to_owned(),
        ..PostRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_posted_once_and_read_back_as_asked() {
    let platform = Platform::start().await;
    let ([ada, eve], _, room) = platform.people(["ada", "eve"]).await;
    let channel = Channel::from_shared(platform.fleet.url())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut chat = ChatClient::new(channel);
    let token = ada.access_token();

    let once = PostRequest {
        command_id: veza_client::new_id().to_string(),
        ..words(room, "hello")
    };
    let first = post(&mut chat, &token, once.clone()).await.unwrap();
    let again = post(&mut chat, &token, once).await.unwrap();
    assert_eq!(
        (&first.message, &first.position),
        (&again.message, &again.position)
    );
    assert!(!first.duplicate && again.duplicate);
    post(&mut chat, &eve.access_token(), words(room, "hi"))
        .await
        .unwrap();

    // Own writes are seen when the position is passed on.
    let last = post(&mut chat, &token, words(room, "bye")).await.unwrap();
    let everything = ListRequest {
        room: room.to_string(),
        min_position: last.position.clone(),
        ..ListRequest::default()
    };
    let read = list(&mut chat, &token, everything.clone()).await.unwrap();
    let bodies: Vec<_> = read
        .messages
        .iter()
        .filter_map(|message| message.body.as_deref())
        .collect();
    assert_eq!(bodies, ["hello", "hi", "bye"]);
    assert_eq!(
        (read.more, read.head),
        (false, last.position.as_ref().unwrap().seq)
    );
    assert_eq!(read.messages[1].author_handle, "eve");
    let behind = ListRequest {
        range: Some(Range::After(read.messages[0].seq)),
        limit: 1,
        ..everything.clone()
    };
    let read = list(&mut chat, &token, behind).await.unwrap();
    assert_eq!((read.messages.len(), read.more), (1, true));
    assert_eq!(read.messages[0].body.as_deref(), Some("hi"));

    let too_many = ListRequest {
        limit: 201,
        ..everything
    };
    let status = list(&mut chat, &token, too_many).await.unwrap_err();
    assert_eq!(
        reason(&status),
        (Code::InvalidArgument, "request.parameter".to_owned())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_http_refuses_grpc_refuses_with_the_same_code() {
    let platform = Platform::start().await;
    let ([ada], _, room) = platform.people(["ada"]).await;
    let eve = platform.api().register("eve", "Eve", PASSWORD).await.unwrap();
    let channel = Channel::from_shared(platform.fleet.url())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut chat = ChatClient::new(channel.clone());

    let anonymous = chat.post(words(room, "hi")).await.unwrap_err();
    assert_eq!(
        reason(&anonymous),
        (Code::Unauthenticated, "session.required".to_owned())
    );
    for (token, message, code, expected) in [
        (
            "forged",
            words(room, "hi"),
            Code::Unauthenticated,
            "session.token_invalid",
        ),
        (
            &eve.access_token(),
            words(room, "hi"),
            Code::NotFound,
            "space.not_found",
        ),
        (
            &ada.access_token(),
            words(Uuid::nil(), "hi"),
            Code::NotFound,
            "room.not_found",
        ),
        (
            &ada.access_token(),
            words(room, " "),
            Code::InvalidArgument,
            "room.message_empty",
        ),
        (
            &ada.access_token(),
            PostRequest {
                room: "general".into(),
                ..words(room, "hi")
            },
            Code::InvalidArgument,
            "request.malformed",
        ),
        (
            &ada.access_token(),
            PostRequest {
                command_id: Uuid::nil().to_string(),
                ..words(room, "hi")
            },
            Code::InvalidArgument,
            "command.id_version",
        ),
    ] {
        let status = post(&mut chat, token, message).await.unwrap_err();
        assert_eq!(reason(&status), (code, expected.to_owned()));
    }
    let large = post(&mut chat, &ada.access_token(), words(room, &"a".repeat(300_000)))
        .await
        .unwrap_err();
    assert_eq!(large.code(), Code::OutOfRange);
    let foreign = ListRequest {
        room: room.to_string(),
        ..ListRequest::default()
    };
    let status = list(&mut chat, &eve.access_token(), foreign).await.unwrap_err();
    assert_eq!(reason(&status), (Code::NotFound, "room.not_found".to_owned()));

    let mut accounts = AccountsClient::new(channel);
    let token = ada.access_token();
    let mine = eventually("the account can be read", async || {
        let asked = with_token(GetAccountRequest::default(), &token);
        AccountsClient::clone(&accounts).get(asked).await.ok()
    })
    .await;
    assert_eq!(mine.into_inner().handle, "ada");
    for (access_token, account) in [(token.clone(), Some(ada.account)), ("forged".to_owned(), None)] {
        let asked = with_token(VerifyTokenRequest { access_token }, &token);
        let principal = accounts.verify_token(asked).await.unwrap().into_inner().principal;
        assert_eq!(principal.map(|one| one.account), account.map(|id| id.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_changes_messages_by_its_token_as_far_as_its_scopes_go() {
    let platform = Platform::start().await;
    let ([ada], space, room) = platform.people(["ada"]).await;
    let (bot, _, secret) = crate::bots::make(&ada, "robot", &["messages:read", "messages:write"]).await;
    let bring = format!("/v1/spaces/{space}/bots/{bot}");
    crate::structure::put(&ada, &bring, serde_json::json!({}))
        .await
        .unwrap();
    let token = platform.api().bot(bot, &secret).await.unwrap().access_token();
    let channel = Channel::from_shared(platform.fleet.url())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut chat = ChatClient::new(channel.clone());
    let posted = post(&mut chat, &token, words(room, "helo")).await.unwrap();
    let seen = Some(Seen {
        room: room.to_string(),
        seq: posted.position.as_ref().unwrap().seq,
    });
    let edit = EditRequest {
        message: posted.message.clone(),
        body: "hello".into(),
        command_id: String::new(),
        seen: seen.clone(),
    };
    let edited = chat
        .edit(with_token(edit.clone(), &token))
        .await
        .unwrap()
        .into_inner();
    let react = ReactRequest {
        message: posted.message.clone(),
        emoji: "👍".into(),
        command_id: String::new(),
        seen: seen.clone(),
    };
    chat.react(with_token(react.clone(), &token)).await.unwrap();
    let everything = ListRequest {
        room: room.to_string(),
        min_position: edited.position.clone(),
        ..ListRequest::default()
    };
    let read = list(&mut chat, &token, everything).await.unwrap();
    assert_eq!(read.messages[0].body.as_deref(), Some("hello"));
    chat.unreact(with_token(react, &token)).await.unwrap();
    let change = ChangeRequest {
        message: posted.message.clone(),
        command_id: String::new(),
        seen: seen.clone(),
    };
    let status = chat.pin(with_token(change.clone(), &token)).await.unwrap_err();
    assert_eq!(
        reason(&status),
        (Code::PermissionDenied, "room.not_allowed".to_owned())
    );
    chat.pin(with_token(change.clone(), &ada.access_token()))
        .await
        .unwrap();
    chat.unpin(with_token(change.clone(), &ada.access_token()))
        .await
        .unwrap();
    chat.delete(with_token(change, &token)).await.unwrap();
    let status = chat
        .edit(with_token(
            EditRequest {
                message: "x".into(),
                ..edit
            },
            &token,
        ))
        .await
        .unwrap_err();
    assert_eq!(
        reason(&status),
        (Code::InvalidArgument, "request.malformed".to_owned())
    );

    // A token without the scope, and what is not there.
    let (reader, _, secret) = crate::bots::make(&ada, "reader", &["messages:read"]).await;
    let token = platform.api().bot(reader, &secret).await.unwrap().access_token();
    let status = post(&mut chat, &token, words(room, "hi")).await.unwrap_err();
    assert_eq!(
        reason(&status),
        (Code::PermissionDenied, "session.scope".to_owned())
    );
    let mut accounts = AccountsClient::new(channel);
    let asked = VerifyTokenRequest {
        access_token: token.clone(),
    };
    let principal = accounts
        .verify_token(with_token(asked, &token))
        .await
        .unwrap()
        .into_inner()
        .principal;
    assert_eq!(principal.unwrap().scope.as_deref(), Some("messages:read"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_planned_changed_taken_back_and_said_at_its_time() {
    let platform = Platform::start().await;
    let ([ada, eve], _, room) = platform.people(["ada", "eve"]).await;
    let channel = Channel::from_shared(platform.fleet.url())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let mut chat = ChatClient::new(channel);
    let (adas, eves) = (ada.access_token(), eve.access_token());
    let at = |ahead: Duration| Some(wire_time((ambient::now() + ahead).into()));
    let far = at(Duration::from_hours(1));
    let plan = |body: &str, at| ScheduleRequest {
        room: room.to_string(),
        body: body.to_owned(),
        at,
        ..ScheduleRequest::default()
    };
    for (request, expected) in [
        (plan("no", None), "request.malformed"),
        (plan("no", at(Duration::ZERO)), "schedule.past"),
    ] {
        let refused = chat.schedule(with_token(request, &adas)).await.unwrap_err();
        assert_eq!(reason(&refused), (Code::InvalidArgument, expected.to_owned()));
    }
    let mut planned = Vec::new();
    for body in ["never", "first words"] {
        let done = chat.schedule(with_token(plan(body, far), &adas)).await.unwrap();
        planned.push(done.into_inner());
    }
    let all = ListScheduledRequest {
        min_position: planned[1].position.clone(),
        ..ListScheduledRequest::default()
    };
    let listed = chat.list_scheduled(with_token(all.clone(), &adas)).await.unwrap();
    let bodies: Vec<_> = listed
        .into_inner()
        .scheduled
        .into_iter()
        .filter_map(|one| one.body)
        .collect();
    assert_eq!(bodies.len(), 2, "{bodies:?}");
    let others = chat.list_scheduled(with_token(all, &eves)).await.unwrap();
    assert!(others.into_inner().scheduled.is_empty(), "nobody else sees them");

    let cancel = CancelScheduledRequest {
        scheduled: planned[0].scheduled.clone(),
        ..CancelScheduledRequest::default()
    };
    let refused = chat
        .cancel_scheduled(with_token(cancel.clone(), &eves))
        .await
        .unwrap_err();
    assert_eq!(
        reason(&refused),
        (Code::NotFound, "schedule.not_found".to_owned())
    );
    chat.cancel_scheduled(with_token(cancel, &adas)).await.unwrap();
    let change = ChangeScheduledRequest {
        scheduled: planned[1].scheduled.clone(),
        body: Some("other words".to_owned()),
        at: at(Duration::from_millis(1_500)),
        ..ChangeScheduledRequest::default()
    };
    chat.change_scheduled(with_token(change, &adas)).await.unwrap();
    let said = eventually("it is said", async || {
        let asked = ListRequest {
            room: room.to_string(),
            ..ListRequest::default()
        };
        let listed = ChatClient::clone(&chat)
            .list(with_token(asked, &eves))
            .await
            .ok()?;
        Some(listed.into_inner().messages).filter(|messages| !messages.is_empty())
    })
    .await;
    let bodies: Vec<_> = said.into_iter().filter_map(|message| message.body).collect();
    assert_eq!(bodies, ["other words"]);
}

//! The rows of gRPC, in the schema's order.

use serde_json::Value;
use tonic::Status;
use tonic::transport::Channel;
use veza_events::Timestamp;
use veza_gateway::grpc::wire::accounts_client::AccountsClient;
use veza_gateway::grpc::wire::chat_client::ChatClient;
use veza_gateway::grpc::wire::subscribe_request::Room;
use veza_gateway::grpc::wire::{
    ChangeRequest, EditRequest, GetAccountRequest, ListRequest, ListScheduledRequest, PostRequest,
    ReactRequest, ScheduleRequest, Seen, SubscribeRequest, VerifyTokenRequest,
};
use veza_platform::ambient;

use super::{Row, Who, row};
use crate::grpc::{wire_time, with_token};

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = {
    use Who::{Holds, Maker, MakerOr, Sees, SignedIn};
    &[
        row("Accounts/Get", SignedIn, r#"{"account":"{account}"}"#),
        row("Accounts/VerifyToken", SignedIn, r#"{"access_token":"none"}"#),
        row("Chat/Post {room}", Holds("post"), r#"{"room":"{room}","body":"hi"}"#),
        row("Chat/List {room}", Sees, r#"{"room":"{room}"}"#),
        row("Chat/Edit {message}", Maker(Some("post")), r#"{"message":"{message}","room":"{room}","seq":{seq},"body":"hello again"}"#),
        row("Chat/Delete {message}", MakerOr("post", "manage_messages"), r#"{"message":"{message}","room":"{room}","seq":{seq}}"#),
        row("Chat/React {message}", Holds("react"), r#"{"message":"{message}","room":"{room}","seq":{seq},"emoji":"👍"}"#),
        row("Chat/Pin {message}", Holds("manage_messages"), r#"{"message":"{message}","room":"{room}","seq":{seq}}"#),
        row("Chat/Unpin {message}", Holds("manage_messages"), r#"{"message":"{message}","room":"{room}","seq":{seq}}"#),
        row("Chat/Schedule {room}", Holds("post"), r#"{"room":"{room}","body":"later","at":"{tomorrow}"}"#),
        row("Chat/ListScheduled", SignedIn, "{}"),
        row("Chat/Subscribe {room}", Sees, r#"{"room":"{room}"}"#),
    ]
};

/// Calls that have a test of their own (`grpc.rs`): one takes back or changes what is one's own.
pub(crate) const ELSEWHERE: &[&str] = &["Chat/Unreact", "Chat/ChangeScheduled", "Chat/CancelScheduled"];

/// Makes a call out of a row's words; without a token, if there is none.
pub(crate) async fn call(channel: Channel, call: &str, words: &Value, token: &str) -> Result<(), Status> {
    let text = |name: &str| words[name].as_str().unwrap_or_default().to_owned();
    let seen = words["seq"].as_u64().map(|seq| Seen {
        room: text("room"),
        seq,
    });
    let change = || ChangeRequest {
        message: text("message"),
        seen: seen.clone(),
        ..ChangeRequest::default()
    };
    let mut chat = ChatClient::new(channel.clone());
    let mut accounts = AccountsClient::new(channel);
    match call {
        "Accounts/Get" => {
            let account = text("account");
            accounts
                .get(with_token(GetAccountRequest { account }, token))
                .await
                .map(drop)
        }
        "Accounts/VerifyToken" => {
            let access_token = text("access_token");
            let request = VerifyTokenRequest { access_token };
            accounts.verify_token(with_token(request, token)).await.map(drop)
        }
        "Chat/Post" => {
            let request = PostRequest {
                room: text("room"),
                body: text("body"),
                ..PostRequest::default()
            };
            chat.post(with_token(request, token)).await.map(drop)
        }
        "Chat/List" => {
            let request = ListRequest {
                room: text("room"),
                ..ListRequest::default()
            };
            chat.list(with_token(request, token)).await.map(drop)
        }
        "Chat/Edit" => {
            let request = EditRequest {
                message: text("message"),
                body: text("body"),
                seen,
                ..EditRequest::default()
            };
            chat.edit(with_token(request, token)).await.map(drop)
        }
        "Chat/Delete" => chat.delete(with_token(change(), token)).await.map(drop),
        "Chat/React" => {
            let request = ReactRequest {
                message: text("message"),
                emoji: text("emoji"),
                seen,
                ..ReactRequest::default()
            };
            chat.react(with_token(request, token)).await.map(drop)
        }
        "Chat/Pin" => chat.pin(with_token(change(), token)).await.map(drop),
        "Chat/Unpin" => chat.unpin(with_token(change(), token)).await.map(drop),
        "Chat/Schedule" => {
            let at: Timestamp = text("at").parse().unwrap_or_else(|_| ambient::now().into());
            let request = ScheduleRequest {
                room: text("room"),
                body: text("body"),
                at: Some(wire_time(at)),
                ..ScheduleRequest::default()
            };
            chat.schedule(with_token(request, token)).await.map(drop)
        }
        "Chat/ListScheduled" => {
            let all = ListScheduledRequest::default();
            chat.list_scheduled(with_token(all, token)).await.map(drop)
        }
        "Chat/Subscribe" => {
            let room = text("room");
            let rooms = vec![Room { room, after: None }];
            let begun = chat
                .subscribe(with_token(SubscribeRequest { rooms }, token))
                .await?;
            // A refusal may come instead of the first reply.
            begun.into_inner().message().await.map(drop)
        }
        other => panic!("nothing is known of {other}"),
    }
}

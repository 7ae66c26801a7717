//! `veza.v1.Chat`

use std::sync::Arc;
use std::time::Duration;

use prost_types::Timestamp;
use tonic::{Request, Response, Status};
use veza_events::RoomId;
use veza_platform::contract::Problem;
use veza_platform::contract::chat::Post;
use veza_platform::event_log::{self, StreamName};
use veza_readmodel::{PageOf, Range, rows, with_one_more};

use super::wire::list_request::Range as Asked;
use super::wire::{ListReply, ListRequest, Message, Position, PostReply, PostRequest, chat_server};
use super::{caller_of, command, status, uuid_of};
use crate::http::{DEFAULT_LIMIT, Identity};
use crate::problems::of_read_model;
use crate::state::Gateway;

pub(super) struct Chat(pub(super) Arc<Gateway>);

#[tonic::async_trait]
impl chat_server::Chat for Chat {
    async fn post(&self, request: Request<PostRequest>) -> Result<Response<PostReply>, Status> {
        let identity = caller_of(&request)?;
        let posted = self.say(identity, request.into_inner()).await;
        posted.map(Response::new).map_err(|problem| status::of(&problem))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListReply>, Status> {
        let identity = caller_of(&request)?;
        let listed = self.history(identity, request.into_inner()).await;
        listed.map(Response::new).map_err(|problem| status::of(&problem))
    }
}

impl Chat {
    async fn say(&self, identity: Identity, request: PostRequest) -> Result<PostReply, Problem> {
        let room: RoomId = uuid_of(&request.room, "room")?;
        let caller = command(identity, &request.command_id)?;
        let reply_to = match request.reply_to.as_str() {
            "" => None,
            id => Some(uuid_of(id, "reply_to")?),
        };
        let command = Post {
            space: self.0.rooms.place(room).await?.space,
            room,
            body: request.body,
            reply_to,
            attachments: Vec::new(),
            mentions: veza_events::room::Mentions::default(),
        };
        let posted = self.0.say(&caller, command).await?;
        Ok(PostReply {
            message: posted.message.to_string(),
            position: Some(posted.position.into()),
            duplicate: posted.duplicate,
        })
    }

    async fn history(&self, identity: Identity, request: ListRequest) -> Result<ListReply, Problem> {
        let room: RoomId = uuid_of(&request.room, "room")?;
        let gateway = &self.0;
        let place = gateway.rooms.place(room).await?;
        let hidden = gateway
            .access
            .hidden_in_room(identity.account(), place.space, place.gate)
            .await?;
        let stream = StreamName::spaces(place.shard);
        let at_least = self.reached(request.min_position, &stream).await?;
        let range = match request.range {
            None => Range::Latest,
            Some(Asked::Before(seq)) => Range::Before(seq),
            Some(Asked::After(seq)) => Range::After(seq),
        };
        let range = range.behind(hidden);
        let limit = match u16::try_from(request.limit) {
            Ok(0) => DEFAULT_LIMIT,
            Ok(limit) if limit <= PageOf::MAX => limit,
            _ => {
                return Err(Problem::field(
                    "request.parameter",
                    "limit",
                    "ask for 1 to 200 messages",
                ));
            }
        };
        let found = gateway
            .read
            .timeline(place.space, room, range, with_one_more(limit, hidden), at_least)
            .await;
        let found = found.map_err(of_read_model)?.behind(hidden, range, limit);
        Ok(ListReply {
            messages: found.messages.into_iter().map(Message::from).collect(),
            more: found.more,
            head: found.head,
        })
    }

    /// Waits until the read model has what the caller wants to see; gives how new an answer must be.
    async fn reached(&self, wanted: Option<Position>, stream: &StreamName) -> Result<u64, Problem> {
        let Some(wanted) = wanted else { return Ok(0) };
        if wanted.stream != stream.as_str() {
            let detail = "this is no position of the room's stream; pass one of an earlier reply about it";
            return Err(Problem::field("request.min_seq", "min_position", detail));
        }
        let within = Duration::from_millis(self.0.config.gateway.min_seq_wait_ms);
        let reached = self.0.read.wait_for(stream.as_str(), wanted.seq, within).await;
        reached.map_err(of_read_model)?;
        Ok(wanted.seq)
    }
}

impl From<event_log::Position> for Position {
    fn from(position: event_log::Position) -> Self {
        Self {
            stream: position.stream.to_string(),
            seq: position.seq,
        }
    }
}

impl From<rows::Message> for Message {
    fn from(row: rows::Message) -> Self {
        let posted_at = row.posted_at.time();
        Self {
            id: row.id.to_string(),
            seq: row.seq,
            author: row.author.to_string(),
            author_handle: row.author_handle.unwrap_or_default(),
            body: row.body,
            reply_to: row.reply_to.map(|id| id.to_string()).unwrap_or_default(),
            posted_at: Some(Timestamp {
                seconds: posted_at.unix_timestamp(),
                nanos: posted_at.nanosecond().cast_signed(),
            }),
        }
    }
}

//! `veza.v1.Chat`

use std::sync::Arc;

use tonic::{Request, Response, Status};
use veza_events::RoomId;
use veza_events::room::Mentions;
use veza_platform::contract::Problem;
use veza_platform::contract::chat::{MessageChange, Post, Posted};
use veza_platform::event_log::{self, StreamName};
use veza_readmodel::{Range, with_one_more};

use super::subscribe::{self, Replies};
use super::wire::list_request::Range as Asked;
use super::wire::{
    CancelScheduledRequest, ChangeRequest, ChangeScheduledRequest, EditRequest, ListReply, ListRequest,
    ListScheduledReply, ListScheduledRequest, Message, Position, PostReply, PostRequest, ReactRequest,
    ScheduleReply, ScheduleRequest, Seen, SubscribeRequest, chat_server,
};
use super::{caller_of, command, limit_of, optional, status, uuid_of};
use crate::changes::About;
use crate::http::Identity;
use crate::problems::of_read_model;
use crate::realtime::Realtime;
use crate::state::Gateway;

pub(super) struct Chat(pub(super) Arc<Gateway>, pub(super) Realtime);

#[tonic::async_trait]
impl chat_server::Chat for Chat {
    type SubscribeStream = Replies;

    async fn subscribe(&self, request: Request<SubscribeRequest>) -> Result<Response<Replies>, Status> {
        let identity = caller_of(&request)?;
        let begun = subscribe::begin(&self.1, identity, request.into_inner()).await;
        begun.map(Response::new).map_err(|problem| status::of(&problem))
    }

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

    async fn edit(&self, request: Request<EditRequest>) -> Result<Response<PostReply>, Status> {
        let identity = caller_of(&request)?;
        let EditRequest {
            message,
            body,
            command_id,
            seen,
        } = request.into_inner();
        let mentions = Mentions::default();
        let change = MessageChange::Edit { body, mentions };
        self.change(identity, (&message, seen), &command_id, change).await
    }

    async fn delete(&self, request: Request<ChangeRequest>) -> Result<Response<PostReply>, Status> {
        self.plain(request, MessageChange::Delete).await
    }

    async fn react(&self, request: Request<ReactRequest>) -> Result<Response<PostReply>, Status> {
        self.reaction(request, |emoji| MessageChange::React { emoji })
            .await
    }

    async fn unreact(&self, request: Request<ReactRequest>) -> Result<Response<PostReply>, Status> {
        self.reaction(request, |emoji| MessageChange::Unreact { emoji })
            .await
    }

    async fn pin(&self, request: Request<ChangeRequest>) -> Result<Response<PostReply>, Status> {
        self.plain(request, MessageChange::Pin).await
    }

    async fn unpin(&self, request: Request<ChangeRequest>) -> Result<Response<PostReply>, Status> {
        self.plain(request, MessageChange::Unpin).await
    }

    async fn schedule(&self, request: Request<ScheduleRequest>) -> Result<Response<ScheduleReply>, Status> {
        let identity = caller_of(&request)?;
        let planned = self.plan(identity, request.into_inner()).await;
        planned.map(Response::new).map_err(|problem| status::of(&problem))
    }

    async fn list_scheduled(
        &self,
        request: Request<ListScheduledRequest>,
    ) -> Result<Response<ListScheduledReply>, Status> {
        let identity = caller_of(&request)?;
        let listed = self.planned(identity, request.into_inner()).await;
        listed.map(Response::new).map_err(|problem| status::of(&problem))
    }

    async fn change_scheduled(
        &self,
        request: Request<ChangeScheduledRequest>,
    ) -> Result<Response<ScheduleReply>, Status> {
        let identity = caller_of(&request)?;
        let changed = self.change_plan(identity, request.into_inner()).await;
        changed.map(Response::new).map_err(|problem| status::of(&problem))
    }

    async fn cancel_scheduled(
        &self,
        request: Request<CancelScheduledRequest>,
    ) -> Result<Response<ScheduleReply>, Status> {
        let identity = caller_of(&request)?;
        let cancelled = self.cancel_plan(identity, request.into_inner()).await;
        cancelled
            .map(Response::new)
            .map_err(|problem| status::of(&problem))
    }
}

impl Chat {
    async fn plain(
        &self,
        request: Request<ChangeRequest>,
        change: MessageChange,
    ) -> Result<Response<PostReply>, Status> {
        let identity = caller_of(&request)?;
        let ChangeRequest {
            message,
            command_id,
            seen,
        } = request.into_inner();
        self.change(identity, (&message, seen), &command_id, change).await
    }

    async fn reaction(
        &self,
        request: Request<ReactRequest>,
        change: impl Fn(String) -> MessageChange,
    ) -> Result<Response<PostReply>, Status> {
        let identity = caller_of(&request)?;
        let ReactRequest {
            message,
            emoji,
            command_id,
            seen,
        } = request.into_inner();
        self.change(identity, (&message, seen), &command_id, change(emoji))
            .await
    }

    async fn change(
        &self,
        identity: Identity,
        about: (&str, Option<Seen>),
        command_id: &str,
        change: MessageChange,
    ) -> Result<Response<PostReply>, Status> {
        let changed = self.changed(identity, about, command_id, change).await;
        changed.map(Response::new).map_err(|problem| status::of(&problem))
    }

    async fn changed(
        &self,
        identity: Identity,
        (message, seen): (&str, Option<Seen>),
        command_id: &str,
        change: MessageChange,
    ) -> Result<PostReply, Problem> {
        let seen_at = match seen {
            None => None,
            Some(Seen { room, seq }) => Some((uuid_of(&room, "seen.room")?, seq)),
        };
        let about = About {
            message: uuid_of(message, "message")?,
            seen_at,
        };
        let caller = command(identity, command_id)?;
        Ok(self.0.change_message(&caller, about, change).await?.into())
    }

    async fn say(&self, identity: Identity, request: PostRequest) -> Result<PostReply, Problem> {
        let room: RoomId = uuid_of(&request.room, "room")?;
        let caller = command(identity, &request.command_id)?;
        let attachments = request.attachments.iter().map(|id| uuid_of(id, "attachments"));
        let command = Post {
            space: self.0.rooms.place(room).await?.space,
            room,
            body: request.body,
            reply_to: optional(&request.reply_to, "reply_to")?,
            attachments: attachments.collect::<Result<_, _>>()?,
            mentions: Mentions::default(),
        };
        Ok(self.0.say(&caller, command).await?.into())
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
        let limit = limit_of(request.limit)?;
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
        self.0.reached(stream, wanted.seq).await?;
        Ok(wanted.seq)
    }
}

impl From<Posted> for PostReply {
    fn from(posted: Posted) -> Self {
        Self {
            message: posted.message.to_string(),
            position: Some(posted.position.into()),
            duplicate: posted.duplicate,
            held: posted.held,
        }
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

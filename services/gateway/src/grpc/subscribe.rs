//! `Subscribe`: what happens in rooms, as the schema tells it.

use std::collections::BTreeMap;
use std::pin::Pin;

use futures::Stream;
use tonic::Status;
use veza_events::RoomId;
use veza_platform::contract::Problem;

use super::messages::{file, mentions, timestamp};
use super::wire::reset::Why;
use super::wire::subscribe_reply::What;
use super::wire::{Event, File, Reached, Reset, SubscribeReply, SubscribeRequest};
use super::{status, uuid_of};
use crate::http::Identity;
use crate::realtime::{self, Following, Happened, Realtime, ResetReason, Told};

pub(super) type Replies = Pin<Box<dyn Stream<Item = Result<SubscribeReply, Status>> + Send>>;

/// Begins to tell `identity` of rooms.
pub(super) async fn begin(
    realtime: &Realtime,
    identity: Identity,
    request: SubscribeRequest,
) -> Result<Replies, Problem> {
    let mut rooms: BTreeMap<RoomId, Option<u64>> = BTreeMap::new();
    for asked in request.rooms {
        rooms.insert(uuid_of(&asked.room, "rooms.room")?, asked.after);
    }
    if rooms.is_empty() {
        return Err(Problem::field(
            "request.malformed",
            "rooms",
            "name a room at least",
        ));
    }
    let identity = realtime::Identity {
        account: identity.account(),
        session: identity.session(),
        scopes: identity.scopes(),
    };
    let following = realtime.follow(identity, rooms).await?;
    Ok(Box::pin(futures::stream::unfold(Some(following), next)))
}

/// What is told next, and who tells what comes then: nobody once it is over.
async fn next(following: Option<Following>) -> Option<(Result<SubscribeReply, Status>, Option<Following>)> {
    let mut following = following?;
    match following.next().await {
        Ok(told) => Some((Ok(told?.into()), Some(following))),
        Err(problem) => Some((Err(status::of(&problem)), None)),
    }
}

impl From<Told> for SubscribeReply {
    fn from(told: Told) -> Self {
        let what = match told {
            Told::Nothing => None,
            Told::Reached { room, seq } => Some(What::Reached(Reached {
                room: room.to_string(),
                seq,
            })),
            Told::Event(event) => Some(What::Event((*event).into())),
            Told::Reset { room, why, head } => Some(What::Reset(Reset {
                room: room.to_string(),
                why: why_of(why).into(),
                head,
            })),
        };
        Self { what }
    }
}

fn why_of(why: ResetReason) -> Why {
    match why {
        ResetReason::TooFar => Why::TooFar,
        ResetReason::Epoch => Why::Epoch,
        ResetReason::Access => Why::Access,
    }
}

impl From<Happened> for Event {
    fn from(event: Happened) -> Self {
        let content = event.data;
        let text = |id: Option<String>| id.unwrap_or_default();
        Self {
            room: event.room.to_string(),
            seq: event.seq,
            r#type: event.kind,
            by: text(event.by.map(|id| id.to_string())),
            at: Some(timestamp(event.at)),
            command_id: text(event.command_id.map(|id| id.to_string())),
            message: text(content.message.map(|id| id.to_string())),
            posted: content.posted.unwrap_or_default(),
            body: content.body,
            reply_to: text(content.reply_to.map(|id| id.to_string())),
            emoji: content.emoji.unwrap_or_default(),
            mentions: content.mentions.as_ref().map(mentions),
            attachments: content.attachments.into_iter().map(File::from).collect(),
            shown_as: content.shown_as,
        }
    }
}

impl From<realtime::File> for File {
    fn from(of: realtime::File) -> Self {
        file(of.id, of.kind, of.size, of.about.as_ref())
    }
}

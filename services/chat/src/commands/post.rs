//! The hot path: one append, on facts that are in memory.

use std::sync::Arc;

use veza_domain::room::RoomCommand;
use veza_events::{MessageId, room::Mentions};
use veza_platform::contract::{
    Caller, Problem,
    chat::{Post, Posted},
};

use super::message::{Place, Timeline};
use crate::worker::Worker;

/// The append is fenced by the author's membership: the log refuses it if that has changed since.
pub(super) async fn post(worker: Arc<Worker>, caller: Caller, command: Post) -> Result<Posted, Problem> {
    let author = caller.account()?;
    let message: MessageId = caller.command.derive(author.uuid(), "message");
    // Names may mean others when a command is repeated; it is the same command all the same.
    let (mentions, essence) = (
        command.mentions.clone(),
        Post {
            mentions: Mentions::default(),
            ..command
        },
    );
    let say = |attachments| RoomCommand::Post {
        message,
        body: essence.body.clone(),
        reply_to: essence.reply_to,
        mentions: mentions.clone(),
        attachments,
    };
    let place = Place {
        space: essence.space,
        room: essence.room,
    };
    let timeline = Timeline::of(&worker, place, author).await?;
    timeline
        .say(&caller, &essence, message, &essence.attachments, say)
        .await
}

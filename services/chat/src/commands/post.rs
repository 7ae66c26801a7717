//! The hot path: one append, on facts that are in memory.

use std::sync::Arc;

use veza_domain::room::RoomCommand;
use veza_events::{MessageId, room::Mentions};
use veza_platform::contract::{
    Caller, Problem,
    chat::{ImportMessage, Post, Posted},
};

use super::timeline::{Place, Timeline};
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
        shown_as: None,
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

/// As a message is posted, but under the id that follows from where it comes from.
pub(super) async fn import(
    worker: Arc<Worker>,
    caller: Caller,
    command: ImportMessage,
) -> Result<Posted, Problem> {
    let actor = caller.account()?;
    let message = ImportMessage::id_of(command.space, command.imported.source, &command.key);
    let bring = |attachments| RoomCommand::Import {
        message,
        body: command.body.clone(),
        reply_to: command.reply_to,
        attachments,
        imported: command.imported.clone(),
    };
    let place = Place {
        space: command.space,
        room: command.room,
    };
    let timeline = Timeline::of(&worker, place, actor).await?;
    timeline
        .bring(&caller, &command, message, &command.attachments, bring)
        .await
}

//! The hot path: one append, on facts that are in memory.

use std::sync::Arc;

use veza_domain::{
    Decider,
    room::{Offer, Room, RoomCommand, RoomContext, slow_mode},
};
use veza_events::{MessageId, RoomId, Timestamp};
use veza_platform::{
    contract::{
        Caller, Problem,
        chat::{Post, Posted},
    },
    event_log::Expect,
};

use super::{files, now};
use crate::worker::{Parties, Queue, Worker, writes};

/// The append is fenced by the author's membership: the log refuses it if that has changed since.
pub(super) async fn post(worker: Arc<Worker>, caller: Caller, command: Post) -> Result<Posted, Problem> {
    let Post {
        space,
        room,
        ref body,
        reply_to,
        ref attachments,
    } = command;
    let author = caller.account()?;
    let message: MessageId = caller.command.derive(author.uuid(), "message");
    let timeline = worker.room_subject(space, room);
    let fence = worker.member_subject(space, author).to_string();
    let parties = Parties {
        space,
        actor: author,
        target: author,
    };

    let _turn = worker.turns.take(Queue::Member(space, author)).await;
    let last_words = last_words(&worker, parties, room).await?;
    let decide = |view: &crate::worker::View, offers: Vec<Offer>| {
        let context = RoomContext {
            room,
            space: view.structure(),
            actor: author,
            membership: view.membership(),
            limit: worker.limit,
            now: now(),
            last_words,
        };
        let say = RoomCommand::Post {
            message,
            body: body.clone(),
            reply_to,
            attachments: offers,
        };
        let expect = Expect::Fence {
            subject: fence.clone(),
            seq: view.actor.seq,
        };
        Ok(writes(&timeline, expect, Room::decide(&(), &context, say)?))
    };
    let (held, decide) = (&*worker, &decide);
    let written = worker
        .ledger
        .execute(&caller, &command, &timeline, |race| {
            files::taking(held, attachments, message, move |offers| async move {
                held.decide(race, parties, |view| decide(view, offers.clone()))
                    .await
            })
        })
        .await?;
    let position = written.last().cloned();
    Ok(Posted {
        message,
        position: position.ok_or_else(|| Problem::internal(&"a message was neither refused nor stored"))?,
        duplicate: written.duplicate,
    })
}

/// When the author said something last, if the room makes it wait.
async fn last_words(worker: &Worker, parties: Parties, room: RoomId) -> Result<Option<Timestamp>, Problem> {
    let (view, author) = (worker.view(parties).await?, parties.actor);
    match slow_mode(view.structure(), room, view.membership(), author) {
        None => Ok(None),
        Some(wait) => {
            let timeline = worker.room_subject(parties.space, room);
            worker.last_words.of(&timeline, room, author, wait, now()).await
        }
    }
}

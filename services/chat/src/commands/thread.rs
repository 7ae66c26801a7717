//! Threads: timelines that hang on a message of a room.

use std::sync::Arc;

use veza_domain::{
    Decider,
    room::{Room, RoomCommand, RoomContext},
};
use veza_events::RoomId;
use veza_platform::{
    contract::{
        Caller, Problem,
        chat::{OpenThread, RoomCreated},
    },
    event_log::{Expect, Position, StreamName},
    ledger::{Write, read_problem},
};

use super::message::original;
use super::timeline::Place;
use super::{direct, now};
use crate::worker::{Parties, Queue, View, Worker, writes};

/// The id of a thread follows from its message, so there is one at most, whoever opens it.
pub(super) async fn open(
    worker: Arc<Worker>,
    caller: Caller,
    command: OpenThread,
) -> Result<RoomCreated, Problem> {
    let OpenThread {
        space,
        room,
        message,
        posted,
    } = command;
    let actor = caller.account()?;
    let place = Place { space, room };
    original(&worker, place, message, posted).await?;
    let parent = worker.parent_of(place).await?;
    let blocked = direct::is_blocked(&worker, space, actor).await?;
    let thread = RoomId::thread_of(message);
    let timeline = worker.room_subject(space, thread);
    let parties = Parties {
        space,
        actor,
        target: actor,
    };
    let (subject, worker) = (timeline.to_string(), &worker);
    let decide = |view: &View| {
        let context = RoomContext {
            room,
            parent,
            space: view.structure(),
            actor,
            membership: view.membership(),
            limits: worker.limits,
            now: now(),
            blocked,
        };
        let open = RoomCommand::OpenThread {
            thread,
            message,
            posted,
        };
        Ok(writes(
            &timeline,
            Expect::Last(0),
            Room::decide(&(), &context, open)?,
        ))
    };
    let _turn = worker.turns.take(Queue::Member(space, actor)).await;
    let found = || async {
        let last = worker.ledger.log().last_consistent(&subject).await;
        last.map_err(read_problem)
    };
    let written = worker
        .ledger
        .execute(&caller, &command, &timeline, |race| {
            let (decide, found) = (&decide, &found);
            async move {
                let writes: Vec<Write> = worker.decide(race, parties, decide).await?;
                // Who may open it may find it.
                Ok(if found().await?.is_some() {
                    Vec::new()
                } else {
                    writes
                })
            }
        })
        .await?;
    let position = match written.last() {
        Some(position) => position.clone(),
        None => Position {
            stream: StreamName::spaces(worker.shards.of(space)),
            seq: found().await?.map_or(0, |last| last.position.seq),
        },
    };
    Ok(RoomCreated {
        room: thread,
        position,
    })
}

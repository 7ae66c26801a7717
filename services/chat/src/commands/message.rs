//! What is done about messages that are there.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use veza_domain::room::{Change, MAX_DELETED_AT_ONCE, Original, RoomCommand, RoomRejection, Seen};
use veza_events::{
    Event, MessageId,
    room::{MessagePosted, RoomEvent},
};
use veza_platform::{
    contract::{
        Caller, Problem,
        chat::{ChangeMessage, Changed, DeleteMessages, MessageChange, Posted, SeenMessage},
    },
    event_log::{Position, StreamName},
    ledger::read_problem,
};

use super::timeline::{Place, Timeline};
use crate::{sources, worker::Worker};

/// Messages that are looked up in the log at once.
const LOOKUPS: usize = 16;

pub(super) async fn change(
    worker: Arc<Worker>,
    caller: Caller,
    command: ChangeMessage,
) -> Result<Posted, Problem> {
    let actor = caller.account()?;
    let place = Place {
        space: command.space,
        room: command.room,
    };
    let original = original(&worker, place, command.message, command.posted).await?;
    let essence = command.essence();
    let ask = RoomCommand::Change {
        original,
        seen: seen_of(command.seen),
        change: change_of(command.change),
    };
    let timeline = Timeline::of(&worker, place, actor).await?;
    timeline.write(&caller, &essence, original.message, ask).await
}

/// One atomic batch: either all of them are gone, or none.
pub(super) async fn delete_all(
    worker: Arc<Worker>,
    caller: Caller,
    command: DeleteMessages,
) -> Result<Changed, Problem> {
    let actor = caller.account()?;
    let place = Place {
        space: command.space,
        room: command.room,
    };
    // More are refused without being looked up.
    let mut named = command.messages.clone();
    named.truncate(MAX_DELETED_AT_ONCE + 1);
    let originals: Vec<Original> = stream::iter(named)
        .map(|(message, posted)| original(&worker, place, message, posted))
        .buffered(LOOKUPS)
        .try_collect()
        .await?;
    let first = originals.first().map(|original| original.message);
    let timeline = Timeline::of(&worker, place, actor).await?;
    let message = first.unwrap_or_else(|| MessageId::from(command.room.uuid()));
    let done = timeline
        .write(&caller, &command, message, RoomCommand::DeleteAll { originals })
        .await?;
    Ok(Changed {
        position: done.position,
    })
}

/// The message as the log has it at `posted`: nothing that a door says of it is believed.
pub(super) async fn original(
    worker: &Worker,
    place: Place,
    message: MessageId,
    posted: u64,
) -> Result<Original, Problem> {
    let position = Position {
        stream: StreamName::spaces(worker.shards.of(place.space)),
        seq: posted,
    };
    let log = worker.ledger.log();
    let record = log.get(&position).await.map_err(read_problem)?;
    let subject = worker.room_subject(place.space, place.room).to_string();
    let event = record
        .filter(|record| record.subject == subject)
        .and_then(|record| sources::decode(&record).ok().flatten());
    match event {
        Some(Event::Room(RoomEvent::MessagePosted(MessagePosted {
            message: id,
            space,
            author,
            ..
        }))) if id == message && space == place.space => Ok(Original {
            message,
            posted,
            author,
        }),
        _ => Err(RoomRejection::MessageNotFound.into()),
    }
}

fn seen_of(seen: SeenMessage) -> Seen {
    Seen {
        deleted: seen.deleted,
        reactions: seen.reactions,
        pins: seen.pins,
    }
}

fn change_of(change: MessageChange) -> Change {
    match change {
        MessageChange::Edit { body, mentions } => Change::Edit { body, mentions },
        MessageChange::Delete => Change::Delete,
        MessageChange::React { emoji } => Change::React { emoji },
        MessageChange::Unreact { emoji } => Change::Unreact { emoji },
        MessageChange::Pin => Change::Pin,
        MessageChange::Unpin => Change::Unpin,
    }
}

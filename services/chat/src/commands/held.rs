//! Messages that a rule holds back. They are held where they would have been said (`message.rs`).

use std::sync::Arc;

use veza_domain::{
    Decider,
    held::{Held, HeldCommand, HeldContext, HeldState},
    room::RoomContext,
};
use veza_events::{Event, Subject, room::RoomEvent};
use veza_platform::{
    contract::{
        Caller, Problem,
        chat::{Changed, DecideHeld},
    },
    event_log::Expect,
    ledger::Write,
};

use super::{direct, now};
use crate::worker::{Parties, Worker, writes};

/// Lets a message be said, or not. The message in the timeline is fenced by its author's membership, so that who was
/// banned meanwhile says nothing more.
pub(super) async fn decide(
    worker: Arc<Worker>,
    caller: Caller,
    command: DecideHeld,
) -> Result<Changed, Problem> {
    let subject = worker.held_subject(command.space, command.message);
    let written = worker
        .ledger
        .execute(&caller, &command, &subject, |_| {
            decided(&worker, &caller, &command, &subject)
        })
        .await?;
    let position = written.last().cloned();
    let position = position.ok_or_else(|| Problem::internal(&"a decision was neither refused nor stored"))?;
    Ok(Changed { position })
}

/// Decides on what the log has. There are few, so that everything is read there.
async fn decided(
    worker: &Worker,
    caller: &Caller,
    &DecideHeld { space, approve, .. }: &DecideHeld,
    subject: &Subject,
) -> Result<Vec<Write>, Problem> {
    let actor = caller.account()?;
    let (state, seq) = state(worker, subject).await?;
    let author = state.message.as_ref().map_or(actor, |held| held.author);
    let view_of = |account| {
        worker.view_anew(Parties {
            space,
            actor: account,
            target: account,
        })
    };
    let (view, authors) = futures::try_join!(view_of(actor), view_of(author))?;
    let context = HeldContext {
        actor,
        membership: view.membership(),
        author: RoomContext {
            room: state
                .message
                .as_ref()
                .map_or(space.uuid().into(), |held| held.room),
            parent: state.message.as_ref().and_then(|held| held.parent),
            space: authors.structure(),
            actor: author,
            membership: authors.membership(),
            limits: worker.limits,
            now: now(),
            blocked: direct::is_blocked(worker, space, author).await?,
        },
    };
    let ask = if approve {
        HeldCommand::Approve
    } else {
        HeldCommand::Reject
    };
    let facts = Held::decide(&state, &context, ask)?;
    let mut all = Vec::new();
    if let (HeldCommand::Approve, Some(posted)) = (ask, state.posted()) {
        let fence = Expect::Fence {
            subject: worker.member_subject(space, author).to_string(),
            seq: authors.actor.seq,
        };
        let timeline = worker.room_subject(space, posted.room);
        all.extend(writes(&timeline, fence, vec![RoomEvent::from(posted)]));
    }
    all.extend(writes(subject, Expect::Last(seq), facts));
    Ok(all)
}

async fn state(worker: &Worker, subject: &Subject) -> Result<(HeldState, u64), Problem> {
    let (mut state, mut seq) = (HeldState::default(), 0);
    for recorded in worker.ledger.load(subject, 0).await? {
        if let Event::Held(event) = &recorded.event {
            Held::evolve(&mut state, event);
        }
        seq = recorded.position.seq;
    }
    Ok((state, seq))
}

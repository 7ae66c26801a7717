//! Reports of messages.

use std::sync::Arc;

use veza_domain::{
    Decider,
    report::{Report, ReportCommand, ReportContext, ReportState},
};
use veza_events::{Event, ReportId, Subject};
use veza_platform::{
    contract::{
        Caller, Command, Problem,
        chat::{Changed, InSpace, ReportMessage, Reported, ResolveReport},
    },
    event_log::{Expect, Position, StreamName},
    ledger::read_problem,
};

use super::message::original;
use super::timeline::Place;
use crate::{
    sources,
    worker::{Parties, Worker, writes},
};

pub(super) async fn file(
    worker: Arc<Worker>,
    caller: Caller,
    command: ReportMessage,
) -> Result<Reported, Problem> {
    let ReportMessage {
        space,
        room,
        message,
        posted,
        reason,
        ref note,
    } = command;
    let place = Place { space, room };
    let original = original(&worker, place, message, posted).await?;
    let report = ReportId::of(message, caller.account()?);
    let file = ReportCommand::File {
        report,
        room,
        gate: worker.parent_of(place).await?.unwrap_or(room),
        original,
        reason,
        note: note.clone(),
    };
    let position = changed(&worker, &caller, &command, report, &file).await?;
    Ok(Reported { report, position })
}

pub(super) async fn resolve(
    worker: Arc<Worker>,
    caller: Caller,
    command: ResolveReport,
) -> Result<Changed, Problem> {
    let resolve = ReportCommand::Resolve {
        action: command.action,
        note: command.note.clone(),
    };
    let position = changed(&worker, &caller, &command, command.report, &resolve).await?;
    Ok(Changed { position })
}

/// Changes a report by its own sequence. There are few, so that everything is read in the log.
async fn changed<C: Command + InSpace>(
    worker: &Worker,
    caller: &Caller,
    command: &C,
    report: ReportId,
    ask: &ReportCommand,
) -> Result<Position, Problem> {
    let (actor, space) = (caller.account()?, command.space());
    let subject = Subject::Report(worker.shards.of(space), report);
    let parties = Parties {
        space,
        actor,
        target: actor,
    };
    let written = worker
        .ledger
        .execute(caller, command, &subject, |_| {
            let subject = &subject;
            async move {
                let (view, (state, seq)) =
                    futures::try_join!(worker.view_anew(parties), state(worker, subject))?;
                let context = ReportContext {
                    space: view.structure(),
                    actor,
                    membership: view.membership(),
                };
                let facts = Report::decide(&state, &context, ask.clone())?;
                Ok(writes(subject, Expect::Last(seq), facts))
            }
        })
        .await?;
    match written.last() {
        Some(position) => Ok(position.clone()),
        None => Ok(Position {
            stream: StreamName::spaces(worker.shards.of(space)),
            seq: state(worker, &subject).await?.1,
        }),
    }
}

async fn state(worker: &Worker, subject: &Subject) -> Result<(ReportState, u64), Problem> {
    let records = worker.ledger.log().load(&subject.to_string(), 0).await;
    let (mut state, mut seq) = (ReportState::default(), 0);
    for record in records.map_err(read_problem)? {
        if let Some(Event::Report(event)) = sources::decode(&record)? {
            Report::evolve(&mut state, &event);
        }
        seq = record.position.seq;
    }
    Ok((state, seq))
}

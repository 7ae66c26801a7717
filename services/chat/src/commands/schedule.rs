//! Messages that wait for their time. Written by their authors, said by whichever worker is first when the time comes:
//! the message and the fact that it was sent are one batch, so that the log takes one of two.

use std::sync::Arc;

use veza_domain::{
    Decider,
    room::{RoomCommand, RoomContext},
    schedule::{Plan, Schedule, ScheduleCommand, ScheduleContext, ScheduleLimits, ScheduleRejection},
};
use veza_events::{
    AccountId, Event, MessageId, RoomId, ScheduledId, Sealed, SpaceId, Subject, room::Mentions,
    schedule::ScheduleEvent,
};
use veza_platform::{
    contract::{
        Caller, Command, Problem, ProblemKind,
        chat::{
            CancelScheduled, ChangeScheduled, Changed, InSpace, MessageScheduled, Post, RefuseScheduled,
            ScheduleMessage,
        },
    },
    event_log::{Expect, Position, StreamName},
    ledger::{Write, read_problem},
};

use super::{
    direct, now,
    timeline::{Due, Place, Timeline},
};
use crate::{
    cache::Reading,
    sources::Schedules,
    worker::{Parties, Queue, Worker, writes},
};

/// One message that waits: whose, where, which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Waiting {
    pub(crate) space: SpaceId,
    pub(crate) account: AccountId,
    pub(crate) scheduled: ScheduledId,
}

/// What became of a message whose time came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was said.
    Sent,
    /// It must not be said, and its author is told.
    Refused,
    /// Somebody else was faster, or its author has thought otherwise.
    Over,
    /// It is to be tried again in so many milliseconds.
    Later(u64),
}

pub(super) async fn add(
    worker: Arc<Worker>,
    caller: Caller,
    command: ScheduleMessage,
) -> Result<MessageScheduled, Problem> {
    let author = caller.account()?;
    let scheduled = caller.command.derive(author.uuid(), "scheduled");
    // Names may mean others when a command is repeated; it is the same command all the same.
    let mut essence = command.clone();
    essence.mentions = Mentions::default();
    let ask = ScheduleCommand::Add {
        scheduled,
        body: command.body,
        reply_to: command.reply_to,
        mentions: command.mentions,
        at: command.at,
    };
    let position = changed(&worker, &caller, &essence, Some(command.room), &ask).await?;
    Ok(MessageScheduled { scheduled, position })
}

pub(super) async fn change(
    worker: Arc<Worker>,
    caller: Caller,
    command: ChangeScheduled,
) -> Result<Changed, Problem> {
    let mut essence = command.clone();
    essence.mentions = Mentions::default();
    let room = room_of(&worker, command.space, caller.account()?, command.scheduled).await?;
    let ask = ScheduleCommand::Change {
        scheduled: command.scheduled,
        text: command.body.map(|body| (body, command.mentions)),
        at: command.at,
    };
    let position = changed(&worker, &caller, &essence, room, &ask).await?;
    Ok(Changed { position })
}

pub(super) async fn cancel(
    worker: Arc<Worker>,
    caller: Caller,
    command: CancelScheduled,
) -> Result<Changed, Problem> {
    let scheduled = command.scheduled;
    let ask = ScheduleCommand::Cancel { scheduled };
    let position = changed(&worker, &caller, &command, None, &ask).await?;
    Ok(Changed { position })
}

/// The room that a message waits for. `None` when it does not wait any more, which is then refused; or was changed
/// before, which the ledger finds out.
async fn room_of(
    worker: &Worker,
    space: SpaceId,
    author: AccountId,
    scheduled: ScheduledId,
) -> Result<Option<RoomId>, Problem> {
    let known = worker.schedules.get_anew((space, author)).await?;
    Ok(known.state.plans.get(&scheduled).map(|plan| plan.room))
}

/// Changes what a member wants to say later, by its own sequence.
async fn changed<C: Command + InSpace>(
    worker: &Worker,
    caller: &Caller,
    command: &C,
    room: Option<RoomId>,
    ask: &ScheduleCommand,
) -> Result<Position, Problem> {
    let (author, space) = (caller.account()?, command.space());
    let key = (space, author);
    let subject = worker.schedule_subject(space, author);
    let parties = Parties {
        space,
        actor: author,
        target: author,
    };
    let room = room.unwrap_or_else(|| space.uuid().into());
    let parent = worker.parent_of(Place { space, room }).await?;
    let blocked = direct::is_blocked(worker, space, author).await?;
    let _turn = worker.turns.take(Queue::Member(space, author)).await;
    let written = worker
        .ledger
        .execute(caller, command, &subject, |_| {
            let subject = &subject;
            async move {
                let (view, known) =
                    futures::try_join!(worker.view_anew(parties), worker.schedules.get_anew(key))?;
                let context = ScheduleContext {
                    room: RoomContext {
                        room,
                        parent,
                        space: view.structure(),
                        actor: author,
                        membership: view.membership(),
                        limits: worker.limits,
                        now: now(),
                        blocked,
                    },
                    limits: worker.schedule_limits,
                };
                let facts = Schedule::decide(&known.state, &context, ask.clone())?;
                Ok(writes(subject, Expect::Last(known.seq), facts))
            }
        })
        .await?;
    worker.schedules.doubt(key);
    match written.last() {
        Some(position) => Ok(position.clone()),
        None => worker.head(&subject).await,
    }
}

/// Says a message whose time has come. May be asked any number of times, of any worker.
///
/// # Errors
/// What is away; it is to be tried again.
pub(crate) async fn send(worker: &Worker, waiting: Waiting) -> Result<Outcome, Problem> {
    let Waiting {
        space,
        account,
        scheduled,
    } = waiting;
    let known = worker.schedules.get_anew((space, account)).await?;
    let plan = match known.state.plans.get(&scheduled) {
        Some(plan) if !plan.refused && plan.at <= now() => plan,
        Some(_) | None => return Ok(Outcome::Over),
    };
    let Some((body, mentions)) = text_of(worker, space, plan).await? else {
        // The key is gone, and with it what was to be said.
        return refuse(worker, waiting, "schedule.unreadable").await;
    };
    let caller = Caller::asking(account);
    let message: MessageId = caller.command.derive(account.uuid(), "message");
    let essence = Post {
        space,
        room: plan.room,
        body,
        reply_to: plan.reply_to,
        attachments: Vec::new(),
        mentions: Mentions::default(),
    };
    let place = Place {
        space,
        room: plan.room,
    };
    let say = || RoomCommand::Post {
        message,
        body: essence.body.clone(),
        reply_to: essence.reply_to,
        mentions: mentions.clone(),
        attachments: Vec::new(),
        shown_as: None,
    };
    let timeline = Timeline::of(worker, place, account).await?;
    let due = Due { scheduled, message };
    let Err(problem) = timeline.say_due(&caller, &essence, due, say).await else {
        return Ok(Outcome::Sent);
    };
    match (problem.kind, problem.retry_after_ms) {
        (ProblemKind::Unavailable | ProblemKind::Internal, _) => Err(problem),
        _ if problem.code == "command.conflict" => Err(problem),
        _ if problem.code == "schedule.not_found" => Ok(Outcome::Over),
        // The room is slow; the author would wait as well.
        (ProblemKind::TooMany, Some(wait_ms)) => Ok(Outcome::Later(wait_ms)),
        _ => refuse(worker, waiting, &problem.code).await,
    }
}

async fn refuse(worker: &Worker, waiting: Waiting, code: &str) -> Result<Outcome, Problem> {
    let Waiting { space, scheduled, .. } = waiting;
    let code = code.to_owned();
    let command = RefuseScheduled {
        space,
        scheduled,
        code: code.clone(),
    };
    let ask = ScheduleCommand::Refuse { scheduled, code };
    let caller = Caller::asking(waiting.account);
    match changed(worker, &caller, &command, None, &ask).await {
        Ok(_) => Ok(Outcome::Refused),
        Err(problem) if problem.code == "schedule.not_found" => Ok(Outcome::Over),
        Err(problem) => Err(problem),
    }
}

/// What is to be said, and of whom it speaks; `None` once its key is gone.
async fn text_of(
    worker: &Worker,
    space: SpaceId,
    plan: &Plan,
) -> Result<Option<(String, Mentions)>, Problem> {
    let position = Position {
        stream: StreamName::spaces(worker.shards.of(space)),
        seq: plan.text,
    };
    let record = worker.ledger.log().get(&position).await.map_err(read_problem)?;
    let record =
        record.ok_or_else(|| Problem::unavailable("the event log is catching up; try again", 250))?;
    let recorded = worker.ledger.read(record).await;
    let event = recorded.map_err(|error| Problem::internal(&error))?.event;
    let (body, mentions) = match event {
        Event::Schedule(ScheduleEvent::MessageAdded(event)) => (Some(event.body), event.mentions),
        Event::Schedule(ScheduleEvent::MessageChanged(event)) => (event.body, event.mentions),
        _ => {
            return Err(Problem::internal(
                &"the text of a scheduled message is not where it was",
            ));
        }
    };
    let mentions = mentions.and_then(Sealed::into_clear).unwrap_or_default();
    Ok(body.and_then(Sealed::into_clear).map(|body| (body, mentions)))
}

/// That a message is sent, as part of the batch that says it: decided on what the log has, so that of two workers
/// one is refused.
pub(super) struct Sent {
    known: Reading<Schedules>,
    subject: Subject,
    limits: ScheduleLimits,
    due: Due,
}

impl Sent {
    pub(super) async fn of(
        worker: &Worker,
        (space, account): (SpaceId, AccountId),
        due: Due,
    ) -> Result<Self, Problem> {
        Ok(Self {
            known: worker.schedules.get_anew((space, account)).await?,
            subject: worker.schedule_subject(space, account),
            limits: worker.schedule_limits,
            due,
        })
    }

    pub(super) fn writes(&self, room: &RoomContext<'_>) -> Result<Vec<Write>, ScheduleRejection> {
        let context = ScheduleContext {
            room: *room,
            limits: self.limits,
        };
        let Due { scheduled, message } = self.due;
        let send = ScheduleCommand::Send { scheduled, message };
        let facts = Schedule::decide(&self.known.state, &context, send)?;
        Ok(writes(&self.subject, Expect::Last(self.known.seq), facts))
    }
}

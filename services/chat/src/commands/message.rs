//! What is done about messages that are there, and how anything gets into a timeline.

use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};
use veza_domain::{
    Decider,
    member::{Member, MemberCommand, MemberContext},
    room::{
        Change, MAX_DELETED_AT_ONCE, Offer, Original, Room, RoomCommand, RoomContext, RoomRejection, Seen,
        slow_mode,
    },
};
use veza_events::{
    AccountId, AttachmentId, Event, MessageId, RoomId, ScheduledId, SpaceId,
    room::{MessagePosted, RoomEvent},
};
use veza_platform::{
    contract::{
        Caller, Command, Problem,
        chat::{ChangeMessage, Changed, DeleteMessages, MessageChange, Posted, SeenMessage},
    },
    event_log::{Expect, Position, StreamName},
    ledger::{Write, read_problem},
};

use super::{direct, files, member, now, schedule::Sent};
use crate::{
    sources,
    worker::{Parties, Queue, View, Worker, writes},
};

/// Messages that are looked up in the log at once.
const LOOKUPS: usize = 16;

/// A room as a door names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) space: SpaceId,
    pub(super) room: RoomId,
}

/// The timeline of a room, on behalf of somebody.
pub(super) struct Timeline<'a> {
    worker: &'a Worker,
    place: Place,
    /// The room that it hangs on, when it is a thread.
    parent: Option<RoomId>,
    actor: AccountId,
}

/// Whether something is said, and with which files.
#[derive(Clone, Copy, Debug)]
enum Said<'a> {
    /// By who asks, just now.
    Now(&'a [AttachmentId]),
    /// By somebody else, elsewhere and before.
    Before(&'a [AttachmentId]),
    /// By its author, some time ago and for now.
    Due(Due),
    /// Something is done about what was said.
    Nothing,
}

impl<'a> Said<'a> {
    fn files(self) -> &'a [AttachmentId] {
        match self {
            Self::Now(files) | Self::Before(files) => files,
            Self::Due(_) | Self::Nothing => &[],
        }
    }
}

/// A message whose time has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    /// Which one it was.
    pub(super) scheduled: ScheduledId,
    /// What it becomes.
    pub(super) message: MessageId,
}

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

impl<'a> Timeline<'a> {
    pub(super) async fn of(worker: &'a Worker, place: Place, actor: AccountId) -> Result<Self, Problem> {
        Ok(Self {
            worker,
            place,
            parent: worker.parent_of(place).await?,
            actor,
        })
    }

    /// Says something, where a slow room may make the author wait.
    pub(super) async fn say<C: Command>(
        &self,
        caller: &Caller,
        essence: &C,
        message: MessageId,
        files: &[AttachmentId],
        ask: impl Fn(Vec<Offer>) -> RoomCommand,
    ) -> Result<Posted, Problem> {
        self.append(caller, essence, message, Said::Now(files), ask).await
    }

    /// Says what was written before and is due now: once, whoever else tries.
    pub(super) async fn say_due<C: Command>(
        &self,
        caller: &Caller,
        essence: &C,
        due: Due,
        ask: impl Fn() -> RoomCommand,
    ) -> Result<Posted, Problem> {
        let said = self.append(caller, essence, due.message, Said::Due(due), |_| ask());
        let posted = said.await;
        self.worker.schedules.doubt((self.place.space, self.actor));
        posted
    }

    /// Brings what was said elsewhere: nobody waits for it.
    pub(super) async fn bring<C: Command>(
        &self,
        caller: &Caller,
        essence: &C,
        message: MessageId,
        files: &[AttachmentId],
        ask: impl Fn(Vec<Offer>) -> RoomCommand,
    ) -> Result<Posted, Problem> {
        self.append(caller, essence, message, Said::Before(files), ask)
            .await
    }

    /// Decides and appends, fenced by the membership of who asks.
    pub(super) async fn write<C: Command>(
        &self,
        caller: &Caller,
        essence: &C,
        message: MessageId,
        ask: RoomCommand,
    ) -> Result<Posted, Problem> {
        self.append(caller, essence, message, Said::Nothing, |_| ask.clone())
            .await
    }

    async fn append<C: Command>(
        &self,
        caller: &Caller,
        essence: &C,
        message: MessageId,
        said: Said<'_>,
        ask: impl Fn(Vec<Offer>) -> RoomCommand,
    ) -> Result<Posted, Problem> {
        let Self {
            worker,
            place: Place { space, room },
            parent,
            actor,
        } = *self;
        let timeline = worker.room_subject(space, room);
        let fence = worker.member_subject(space, actor).to_string();
        let parties = Parties {
            space,
            actor,
            target: actor,
        };
        let _turn = worker.turns.take(Queue::Member(space, actor)).await;
        let blocked = direct::is_blocked(worker, space, actor).await?;
        // The rule that refused it last, and for how long the author is to be silent.
        let caught: Mutex<Option<(String, u32)>> = Mutex::default();
        let decide = |view: &View, offers: Vec<Offer>, sent: Option<&Sent>| {
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
            let decided = Room::decide(&(), &context, ask(offers));
            *caught.lock().unwrap_or_else(PoisonError::into_inner) = match &decided {
                Err(RoomRejection::Filtered { rule, time_out_s }) => time_out_s.map(|s| (rule.clone(), s)),
                Err(_) | Ok(_) => None,
            };
            let facts = decided?;
            let mut all = match said {
                Said::Now(_) | Said::Due(_) => self.spoke(view)?,
                Said::Before(_) | Said::Nothing => Vec::new(),
            };
            let expect = if all.is_empty() {
                let (subject, seq) = (fence.clone(), view.actor.seq);
                Expect::Fence { subject, seq }
            } else {
                Expect::Any
            };
            all.extend(writes(&timeline, expect, facts));
            if let Some(sent) = sent {
                all.extend(sent.writes(&context)?);
            }
            Ok(all)
        };
        let done = worker
            .ledger
            .execute(caller, essence, &timeline, |race| {
                let (files, decide) = (said.files(), &decide);
                files::taking(worker, files, message, move |offers| async move {
                    let sent = match said {
                        Said::Due(due) => Some(Sent::of(worker, (space, actor), due).await?),
                        Said::Now(_) | Said::Before(_) | Said::Nothing => None,
                    };
                    worker
                        .decide(race, parties, |view| decide(view, offers.clone(), sent.as_ref()))
                        .await
                })
            })
            .await;
        let written = match done {
            Err(problem) => {
                let caught = caught.into_inner().unwrap_or_else(PoisonError::into_inner);
                self.silence(caller, essence, parties, caught).await;
                return Err(problem);
            }
            Ok(written) => written,
        };
        if written.positions.len() > 1 {
            worker.members.doubt((space, actor));
        }
        let position = written.last().cloned();
        Ok(Posted {
            message,
            position: position
                .ok_or_else(|| Problem::internal(&"a message was neither refused nor stored"))?,
            duplicate: written.duplicate,
        })
    }
}

impl Timeline<'_> {
    /// Times the author out as the rule says that caught what it wanted to say. When that cannot be stored just
    /// now, the text was refused all the same.
    async fn silence<C: Command>(
        &self,
        caller: &Caller,
        essence: &C,
        parties: Parties,
        caught: Option<(String, u32)>,
    ) {
        let Some((rule, seconds)) = caught else {
            return;
        };
        let (worker, space) = (self.worker, self.place.space);
        let primary = worker.member_subject(space, self.actor);
        let reason = format!("the rule `{rule}`");
        let decide = |view: &View| {
            let context = MemberContext {
                reason: Some(&reason),
                ..member::about(view, self.actor, self.actor)
            };
            let silence = MemberCommand::BeTimedOut { seconds };
            let silenced = Member::decide(&view.target.state, &context, silence)?;
            Ok(writes(&primary, Expect::Last(view.target.seq), silenced))
        };
        let done = worker
            .ledger
            .execute(caller, essence, &primary, |race| {
                worker.decide(race, parties, decide)
            })
            .await;
        worker.members.doubt((space, self.actor));
        if let Err(problem) = done {
            tracing::warn!(space.id = %space, error.message = %problem, "a rule could not silence somebody");
        }
    }

    /// That the author speaks now, if the room makes it wait afterwards. It changes the membership that the
    /// decision was made on, so of two messages at one instant the log takes one, whoever decided on them.
    fn spoke(&self, view: &View) -> Result<Vec<Write>, Problem> {
        let Place { space, room } = self.place;
        let gate = self.parent.unwrap_or(room);
        if slow_mode(view.structure(), gate, view.membership(), self.actor).is_none() {
            return Ok(Vec::new());
        }
        let context = member::about(view, self.actor, self.actor);
        let spoke = Member::decide(&view.actor.state, &context, MemberCommand::Speak { room })?;
        let subject = self.worker.member_subject(space, self.actor);
        Ok(writes(&subject, Expect::Last(view.actor.seq), spoke))
    }
}

impl Worker {
    /// The room that a thread hangs on; `None` for a room of the space, and for one that is not there.
    pub(super) async fn parent_of(&self, place: Place) -> Result<Option<RoomId>, Problem> {
        if self
            .spaces
            .get(place.space)
            .await?
            .state
            .rooms
            .contains_key(&place.room)
        {
            return Ok(None);
        }
        if let Some(parent) = self.threads.get(&place.room) {
            return Ok(Some(parent));
        }
        let subject = self.room_subject(place.space, place.room).to_string();
        // Every event of a thread names its space and what it hangs on, so the last one is enough.
        let Some(last) = self.ledger.log().last(&subject).await.map_err(read_problem)? else {
            return Ok(None);
        };
        match sources::decode(&last)? {
            Some(Event::Room(event)) if event.space() == place.space => {
                let parent = event.parent();
                if let Some(parent) = parent {
                    self.threads.insert(place.room, parent);
                }
                Ok(parent)
            }
            _ => Ok(None),
        }
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

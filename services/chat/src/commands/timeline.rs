//! How anything gets into a timeline.

use std::sync::{Mutex, PoisonError};

use veza_domain::{
    Decider,
    member::{Member, MemberCommand, MemberContext},
    room::{Offer, Room, RoomCommand, RoomContext, RoomRejection, slow_mode},
};
use veza_events::{
    AccountId, AttachmentId, Event, MessageId, RoomId, ScheduledId, SpaceId, Subject, held::HeldEvent,
    room::RoomEvent,
};
use veza_platform::{
    contract::{Caller, Command, Problem, chat::Posted},
    event_log::Expect,
    ledger::{About, Write, Written, read_problem},
};

use super::{direct, files, member, now, schedule::Sent};
use crate::{
    sources,
    worker::{Parties, Queue, View, Worker, writes},
};

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

    /// Whether there was no such message before.
    fn anew(self) -> bool {
        match self {
            Self::Now(_) | Self::Before(_) | Self::Due(_) => true,
            Self::Nothing => false,
        }
    }
}

/// What a rule of the space did to a text when it was decided on last.
#[derive(Debug, Default)]
struct Ruled {
    /// The rule that refused it, and for how long its author is to be silent.
    silenced: Option<(String, u32)>,
    /// It is to wait for a moderator.
    held: bool,
}

impl<T> From<&Result<T, RoomRejection>> for Ruled {
    fn from(decided: &Result<T, RoomRejection>) -> Self {
        match decided {
            Err(RoomRejection::Filtered { rule, time_out_s }) => Self {
                silenced: time_out_s.map(|seconds| (rule.clone(), seconds)),
                held: false,
            },
            decided => Self {
                silenced: None,
                held: matches!(decided, Err(RoomRejection::HeldBack(_))),
            },
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
        let (worker, space, actor) = (self.worker, self.place.space, self.actor);
        let timeline = worker.room_subject(space, self.place.room);
        let waiting = worker.held_subject(space, message);
        let parties = Parties {
            space,
            actor,
            target: actor,
        };
        let _turn = worker.turns.take(Queue::Member(space, actor)).await;
        let blocked = direct::is_blocked(worker, space, actor).await?;
        let ruled: Mutex<Ruled> = Mutex::default();
        let decide = |view: &View, command: RoomCommand, sent: Option<&Sent>| {
            let context = self.context(view, blocked);
            let decided = Room::decide(&(), &context, command);
            *ruled.lock().unwrap_or_else(PoisonError::into_inner) = Ruled::from(&decided);
            let mut all = self.writes(view, said, decided)?;
            if let Some(sent) = sent {
                all.extend(sent.writes(&context)?);
            }
            Ok(all)
        };
        let about = About {
            or: said.anew().then_some(&waiting),
            ..About::from(&timeline)
        };
        let done = worker
            .ledger
            .execute(caller, essence, about, |race| {
                let (files, decide, ask) = (said.files(), &decide, &ask);
                files::taking(worker, files, message, move |offers| async move {
                    let sent = match said {
                        Said::Due(due) => Some(Sent::of(worker, (space, actor), due).await?),
                        Said::Now(_) | Said::Before(_) | Said::Nothing => None,
                    };
                    worker
                        .decide(race, parties, |view| {
                            decide(view, ask(offers.clone()), sent.as_ref())
                        })
                        .await
                })
            })
            .await;
        let Ruled { silenced, held } = ruled.into_inner().unwrap_or_else(PoisonError::into_inner);
        let written = match done {
            Err(problem) => {
                self.silence(caller, essence, parties, silenced).await;
                return Err(problem);
            }
            Ok(written) => written,
        };
        let held = match written {
            Written { duplicate: true, .. } if said.anew() => waits(worker, &waiting).await?,
            _ => held,
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
            held,
        })
    }
}

impl Timeline<'_> {
    fn context<'a>(&self, view: &'a View, blocked: bool) -> RoomContext<'a> {
        RoomContext {
            room: self.place.room,
            parent: self.parent,
            space: view.structure(),
            actor: self.actor,
            membership: view.membership(),
            limits: self.worker.limits,
            now: now(),
            blocked,
        }
    }

    /// What is written when it was decided so: into the timeline, or beside it while it waits for a moderator.
    fn writes(
        &self,
        view: &View,
        said: Said<'_>,
        decided: Result<Vec<RoomEvent>, RoomRejection>,
    ) -> Result<Vec<Write>, Problem> {
        let (worker, Place { space, room }) = (self.worker, self.place);
        let (subject, facts) = match decided {
            Err(RoomRejection::HeldBack(held)) => (
                worker.held_subject(space, held.message),
                vec![HeldEvent::from(*held).into()],
            ),
            decided => (
                worker.room_subject(space, room),
                decided?.into_iter().map(Event::from).collect(),
            ),
        };
        let mut all = match said {
            Said::Now(_) | Said::Due(_) => self.spoke(view)?,
            Said::Before(_) | Said::Nothing => Vec::new(),
        };
        let expect = if all.is_empty() {
            let subject = worker.member_subject(space, self.actor).to_string();
            let seq = view.actor.seq;
            Expect::Fence { subject, seq }
        } else {
            Expect::Any
        };
        all.extend(writes(&subject, expect, facts));
        Ok(all)
    }

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

/// Whether a message is held back, and nobody has decided on it.
async fn waits(worker: &Worker, message: &Subject) -> Result<bool, Problem> {
    let last = worker.ledger.log().last(&message.to_string()).await;
    let event = match last.map_err(read_problem)? {
        Some(record) => sources::decode(&record)?,
        None => None,
    };
    Ok(matches!(event, Some(Event::Held(HeldEvent::MessageHeld(_)))))
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

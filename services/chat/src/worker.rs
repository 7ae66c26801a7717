//! What all commands share: the facts that decisions look at, and the way from a decision into the log.

use std::{future::Future, sync::Arc, time::Duration};

use veza_domain::{
    member::at_present,
    room::{BodyLimit, RoomLimits},
    schedule::ScheduleLimits,
    space::SpaceState,
};
use veza_events::{AccountId, Event, MessageId, RoomId, Shards, SpaceId, Subject, member::Membership};
use veza_platform::{
    ambient,
    contract::{Caller, Command, Problem, ProblemKind, chat::InSpace},
    event_log::{Expect, Position, StreamName},
    ledger::{About, Ledger, Write, Written},
    runtime::Runtime,
    uploads::Uploads,
};

use crate::{
    cache::{Cache, Reading},
    metrics::{self, CacheMetrics},
    sources::{Members, People, Schedules, Spaces},
    turns::Turns,
};

/// How often a change that lost all its races is tried anew. With three replicas every message of an
/// author is a race for who changes that author's membership, and a ban must get through a flood.
const MAX_PUSHES: u32 = 4;

/// The state of a chat worker, none of which is lost with it.
pub(crate) struct Worker {
    pub(crate) ledger: Ledger,
    pub(crate) spaces: Cache<Spaces>,
    pub(crate) members: Cache<Members>,
    pub(crate) people: Cache<People>,
    pub(crate) schedules: Cache<Schedules>,
    pub(crate) turns: Turns<Queue>,
    pub(crate) shards: Shards,
    pub(crate) uploads: Uploads,
    /// Where threads hang; a thread never moves.
    pub(crate) threads: moka::sync::Cache<RoomId, RoomId>,
    pub(crate) limits: RoomLimits,
    pub(crate) schedule_limits: ScheduleLimits,
}

/// What is done one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Queue {
    /// Changes of a space.
    Space(SpaceId),
    /// Changes of one membership, and what that member says.
    Member(SpaceId, AccountId),
}

/// Who is involved in a decision.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parties {
    pub(crate) space: SpaceId,
    /// Who asks.
    pub(crate) actor: AccountId,
    /// Whose membership it is about.
    pub(crate) target: AccountId,
}

/// The facts that a decision looks at.
pub(crate) struct View {
    pub(crate) space: Reading<Spaces>,
    pub(crate) actor: Reading<Members>,
    pub(crate) target: Reading<Members>,
    /// The membership of who asks as it counts now, where that is not as it stands.
    present: Option<Membership>,
}

impl View {
    fn new(space: Reading<Spaces>, actor: Reading<Members>, target: Reading<Members>) -> Self {
        let present = at_present(&actor.state, &space.state, ambient::now().into());
        Self {
            space,
            actor,
            target,
            present,
        }
    }

    pub(crate) fn structure(&self) -> &SpaceState {
        &self.space.state
    }

    pub(crate) fn membership(&self) -> &Membership {
        self.present.as_ref().unwrap_or(&self.actor.state)
    }
}

impl Worker {
    pub(crate) fn new(rt: &Runtime, ledger: Ledger) -> Self {
        let config = &rt.config.chat;
        let shards = Shards::new(u16::try_from(rt.config.nats.shards).unwrap_or(u16::MAX));
        let lookups = CacheMetrics::register(&rt.metrics);
        let log = ledger.log().clone();
        let people_log = log.clone();
        let spaces = Spaces {
            log: log.clone(),
            shards,
        };
        let spaces = Cache::new(spaces, config.cached_spaces, lookups.of("spaces"));
        let members = Cache::new(
            Members { log, shards },
            config.cached_members,
            lookups.of("members"),
        );
        let people = Cache::new(
            People { log: people_log },
            config.cached_people,
            lookups.of("people"),
        );
        let schedules = Schedules {
            log: ledger.log().clone(),
            shards,
        };
        let schedules = Cache::new(schedules, config.cached_schedules, lookups.of("schedules"));
        let (held_people, held_schedules) = (people.clone(), schedules.clone());
        let (held_spaces, held_members) = (spaces.clone(), members.clone());
        metrics::register_sizes(
            &rt.metrics,
            vec![
                ("spaces", Box::new(move || held_spaces.len())),
                ("members", Box::new(move || held_members.len())),
                ("people", Box::new(move || held_people.len())),
                ("schedules", Box::new(move || held_schedules.len())),
            ],
        );
        let uploads = Uploads::new(ledger.log(), ledger.keys().clone());
        Self {
            uploads,
            ledger,
            spaces,
            members,
            people,
            schedules,
            turns: Turns::default(),
            shards,
            threads: moka::sync::Cache::new(config.cached_threads),
            limits: RoomLimits {
                body: BodyLimit {
                    chars: config.max_message_chars,
                    bytes: config.max_message_bytes,
                    attachments: rt.config.files.max_per_message,
                },
                reactions: config.max_reactions_per_message,
                pins: config.max_pins_per_room,
            },
            schedule_limits: ScheduleLimits {
                messages: config.max_scheduled_per_member,
                horizon: Duration::from_secs(config.schedule_horizon_s),
            },
        }
    }

    /// Holds nothing any more: events may have been missed.
    pub(crate) fn forget(&self) {
        tracing::info!("the live feed has a gap, everything held in memory is read again");
        self.spaces.clear();
        self.members.clear();
        self.people.clear();
        self.schedules.clear();
    }

    pub(crate) fn space_subject(&self, space: SpaceId) -> Subject {
        Subject::Space(self.shards.of(space), space)
    }

    pub(crate) fn member_subject(&self, space: SpaceId, account: AccountId) -> Subject {
        Subject::Member(self.shards.of(space), space, account)
    }

    pub(crate) fn held_subject(&self, space: SpaceId, message: MessageId) -> Subject {
        Subject::Held(self.shards.of(space), message)
    }

    pub(crate) fn schedule_subject(&self, space: SpaceId, account: AccountId) -> Subject {
        Subject::Schedule(self.shards.of(space), space, account)
    }

    pub(crate) fn room_subject(&self, space: SpaceId, room: RoomId) -> Subject {
        Subject::Room(self.shards.of(space), room)
    }

    /// The facts as far as this worker has heard of them.
    pub(crate) async fn view(&self, parties: Parties) -> Result<View, Problem> {
        let member = |account| self.members.get((parties.space, account));
        gather(parties, self.spaces.get(parties.space), member).await
    }

    /// The facts as the log has them now.
    pub(crate) async fn view_anew(&self, parties: Parties) -> Result<View, Problem> {
        let member = |account| self.members.get_anew((parties.space, account));
        gather(parties, self.spaces.get_anew(parties.space), member).await
    }

    /// Decides on what is in memory; after a lost race on what is in the log. A refusal that may come from
    /// a memory that is behind is decided again on the log, and so is "there is nothing to do": nobody is
    /// answered from the past.
    pub(crate) async fn decide(
        &self,
        race: u32,
        parties: Parties,
        decide: impl Fn(&View) -> Result<Vec<Write>, Problem>,
    ) -> Result<Vec<Write>, Problem> {
        if race == 0 {
            match decide(&self.view(parties).await?) {
                Ok(writes) if writes.is_empty() => {}
                Err(problem) if hangs_on_facts(problem.kind) => {}
                outcome => return outcome,
            }
        }
        decide(&self.view_anew(parties).await?)
    }

    /// Changes a space or who is in it: decide, append, answer where.
    pub(crate) async fn change<C: Command + InSpace>(
        &self,
        caller: &Caller,
        command: &C,
        about: impl Into<About<'_>>,
        parties: Parties,
        decide: impl Fn(&View) -> Result<Vec<Write>, Problem>,
    ) -> Result<Position, Problem> {
        let (about, decide) = (about.into(), &decide);
        let mut pushes = 0;
        let written = loop {
            let done = self
                .ledger
                .execute(caller, command, about, |race| self.decide(race, parties, decide));
            match done.await {
                Err(problem) if problem.code == "command.conflict" && pushes < MAX_PUSHES => pushes += 1,
                done => break done?,
            }
        };
        self.doubt(about.primary, &written);
        match written.last() {
            Some(position) => Ok(position.clone()),
            None => self.head(about.primary).await,
        }
    }

    /// What was just written is not in memory yet.
    fn doubt(&self, primary: &Subject, written: &Written) {
        match *primary {
            Subject::Space(_, space) => self.spaces.doubt(space),
            Subject::Member(_, space, account) => {
                self.members.doubt((space, account));
                if written.positions.len() > 1 {
                    self.spaces.doubt(space);
                }
            }
            Subject::Schedule(_, space, account) => self.schedules.doubt((space, account)),
            Subject::Account(_)
            | Subject::Handle(_)
            | Subject::Room(..)
            | Subject::Report(..)
            | Subject::Call(..)
            | Subject::Held(..) => {}
        }
    }

    /// Where an aggregate stands that did not have to change.
    pub(crate) async fn head(&self, subject: &Subject) -> Result<Position, Problem> {
        let seq = match *subject {
            Subject::Space(_, space) => self.spaces.get(space).await?.seq,
            Subject::Member(_, space, account) => self.members.get((space, account)).await?.seq,
            Subject::Schedule(_, space, account) => self.schedules.get((space, account)).await?.seq,
            Subject::Account(_)
            | Subject::Handle(_)
            | Subject::Room(..)
            | Subject::Report(..)
            | Subject::Call(..)
            | Subject::Held(..) => 0,
        };
        Ok(Position {
            stream: StreamName::from(subject.stream().as_str()),
            seq,
        })
    }
}

async fn gather<S, M>(parties: Parties, space: S, member: impl Fn(AccountId) -> M) -> Result<View, Problem>
where
    S: Future<Output = Result<Reading<Spaces>, Problem>>,
    M: Future<Output = Result<Reading<Members>, Problem>>,
{
    if parties.actor == parties.target {
        let (space, actor) = futures::try_join!(space, member(parties.actor))?;
        let target = Arc::clone(&actor);
        return Ok(View::new(space, actor, target));
    }
    let (space, actor, target) = futures::try_join!(space, member(parties.actor), member(parties.target))?;
    Ok(View::new(space, actor, target))
}

/// Whether other facts could have led to another answer.
fn hangs_on_facts(kind: ProblemKind) -> bool {
    match kind {
        ProblemKind::Forbidden
        | ProblemKind::NotFound
        | ProblemKind::Conflict
        | ProblemKind::Gone
        | ProblemKind::TooMany => true,
        ProblemKind::Malformed
        | ProblemKind::Invalid
        | ProblemKind::Unauthenticated
        | ProblemKind::TooLarge
        | ProblemKind::Stale
        | ProblemKind::Unavailable
        | ProblemKind::Internal => false,
    }
}

/// What to append: the first event of an aggregate expects `expect`, the others follow it.
pub(crate) fn writes<E: Into<Event>>(subject: &Subject, expect: Expect, events: Vec<E>) -> Vec<Write> {
    let mut expect = Some(expect);
    let write = |event: E| Write {
        subject: subject.clone(),
        expect: expect.take().unwrap_or(Expect::Any),
        event: event.into(),
    };
    events.into_iter().map(write).collect()
}

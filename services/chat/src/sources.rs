//! How spaces and memberships are read from the log. Nothing in them is sealed, so no key is looked up and
//! Postgres may be away.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use veza_domain::{
    Decider,
    member::{BotFacts, Member},
    schedule::Schedule,
    space::Space,
};
use veza_events::{
    AccountId, DecodeError, Event, Shards, SpaceId, Subject, account::AccountEvent, member::Membership,
    schedule::ScheduleEvent,
};
use veza_platform::{
    contract::Problem,
    event_log::{EventLog, Record},
    ledger::{read_envelope, read_problem},
};

use crate::cache::{Known, ReadResult, Reading, Source};

/// How often, and how far apart, a replica that is behind the leader is asked again.
const REPLICA_TRIES: u32 = 20;
const REPLICA_PAUSE: Duration = Duration::from_millis(10);

/// The structures of spaces.
pub(crate) struct Spaces {
    pub(crate) log: EventLog,
    pub(crate) shards: Shards,
}

/// Memberships, by space and account.
pub(crate) struct Members {
    pub(crate) log: EventLog,
    pub(crate) shards: Shards,
}

impl Source for Spaces {
    type Key = SpaceId;
    type State = <Space as Decider>::State;
    const WHOLE: bool = false;

    async fn read(&self, space: SpaceId, known: Option<Reading<Self>>) -> ReadResult<Self> {
        let subject = Subject::Space(self.shards.of(space), space);
        fold_tail::<Self>(&self.log, &subject, known).await
    }

    fn apply(state: &mut Self::State, event: &Event, _: u64) {
        if let Event::Space(event) = event {
            Space::evolve(state, event);
        }
    }
}

/// Whether an account exists, and from whom it does not want to hear.
#[derive(Clone, Debug, Default)]
pub(crate) struct PersonState {
    pub(crate) exists: bool,
    /// What it is, if it is a bot that acts.
    pub(crate) bot: Option<BotFacts>,
    pub(crate) blocked: BTreeSet<AccountId>,
}

/// Accounts, as far as conversations hang on them.
pub(crate) struct People {
    pub(crate) log: EventLog,
}

impl Source for People {
    type Key = AccountId;
    type State = PersonState;
    const WHOLE: bool = false;

    async fn read(&self, account: AccountId, known: Option<Reading<Self>>) -> ReadResult<Self> {
        fold_tail::<Self>(&self.log, &Subject::Account(account), known).await
    }

    fn apply(state: &mut PersonState, event: &Event, _: u64) {
        match event {
            Event::Account(AccountEvent::Registered(_)) => state.exists = true,
            Event::Account(AccountEvent::BotRegistered(event)) => {
                state.exists = true;
                let facts = BotFacts {
                    owner: event.owner,
                    public: event.public,
                };
                state.bot = event.webhook_of.is_none().then_some(facts);
            }
            Event::Account(AccountEvent::BotChanged(event)) => {
                if let (Some(bot), Some(public)) = (&mut state.bot, event.public) {
                    bot.public = public;
                }
            }
            Event::Account(AccountEvent::BotRetired(_)) => state.bot = None,
            Event::Account(AccountEvent::Blocked(event)) => {
                state.blocked.insert(event.account);
            }
            Event::Account(AccountEvent::Unblocked(event)) => {
                state.blocked.remove(&event.account);
            }
            Event::Account(_)
            | Event::Handle(_)
            | Event::Space(_)
            | Event::Member(_)
            | Event::Room(_)
            | Event::Report(_)
            | Event::Schedule(_)
            | Event::Call(_)
            | Event::Held(_) => {}
        }
    }
}

/// What members want to say later, by space and account.
pub(crate) struct Schedules {
    pub(crate) log: EventLog,
    pub(crate) shards: Shards,
}

impl Source for Schedules {
    type Key = (SpaceId, AccountId);
    type State = <Schedule as Decider>::State;
    const WHOLE: bool = false;

    async fn read(&self, (space, account): Self::Key, known: Option<Reading<Self>>) -> ReadResult<Self> {
        let subject = Subject::Schedule(self.shards.of(space), space, account);
        fold_tail::<Self>(&self.log, &subject, known).await
    }

    fn apply(state: &mut Self::State, event: &Event, seq: u64) {
        let Event::Schedule(event) = event else { return };
        Schedule::evolve(state, event);
        // Texts stay sealed in the log; what is held is where they are.
        let has_text = match event {
            ScheduleEvent::MessageAdded(_) => true,
            ScheduleEvent::MessageChanged(event) => event.body.is_some(),
            ScheduleEvent::MessageCancelled(_)
            | ScheduleEvent::MessageSent(_)
            | ScheduleEvent::MessageRefused(_) => false,
        };
        if has_text && let Some(plan) = state.plans.get_mut(&event.scheduled()) {
            plan.text = seq;
        }
    }
}

/// What is known, and all that the log has behind it.
async fn fold_tail<S: Source<State: Default>>(
    log: &EventLog,
    subject: &Subject,
    known: Option<Reading<S>>,
) -> ReadResult<S> {
    let subject = subject.to_string();
    let head = log.last_consistent(&subject).await.map_err(read_problem)?;
    let head = head.map_or(0, |record| record.position.seq);
    let mut known = known.unwrap_or_default();
    for attempt in 0..REPLICA_TRIES {
        if known.seq >= head {
            return Ok(known);
        }
        if attempt > 0 {
            tokio::time::sleep(REPLICA_PAUSE).await;
        }
        let records = log.load(&subject, known.seq).await.map_err(read_problem)?;
        let next = Arc::make_mut(&mut known);
        for record in records {
            if let Some(event) = decode(&record)? {
                S::apply(&mut next.state, &event, record.position.seq);
            }
            next.seq = record.position.seq;
        }
    }
    Err(Problem::unavailable(
        "the event log is catching up; try again",
        250,
    ))
}

impl Source for Members {
    type Key = (SpaceId, AccountId);
    type State = Membership;
    const WHOLE: bool = true;

    async fn read(&self, (space, account): Self::Key, _: Option<Reading<Self>>) -> ReadResult<Self> {
        let subject = Subject::Member(self.shards.of(space), space, account).to_string();
        let mut known = Known::default();
        if let Some(last) = self.log.last_consistent(&subject).await.map_err(read_problem)? {
            // A fact that is not understood must not be taken for an older one, or for none.
            let event = decode(&last)?.ok_or_else(|| Problem::internal(&"an unknown fact about a member"))?;
            known.seq = last.position.seq;
            Self::apply(&mut known.state, &event, known.seq);
        }
        Ok(Arc::new(known))
    }

    fn apply(state: &mut Membership, event: &Event, seq: u64) {
        if let Event::Member(event) = event {
            Member::evolve(state, event);
            // The event by which somebody came in cannot name itself; those behind it do.
            if state.joined == Some(0) {
                state.joined = Some(seq);
            }
        }
    }
}

/// The event of a record; `None` for a type that this version does not know.
pub(crate) fn decode(record: &Record) -> Result<Option<Event>, Problem> {
    let envelope = read_envelope(record).map_err(|error| Problem::internal(&error))?;
    match Event::decode(&envelope.kind, &record.payload) {
        Ok(event) => Ok(Some(event)),
        Err(DecodeError::UnknownType(kind)) => {
            tracing::warn!(event.kind = kind, "an event of a newer version was passed over");
            Ok(None)
        }
        Err(error) => Err(Problem::internal(&error)),
    }
}

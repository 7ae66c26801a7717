//! What decisions about calls look at, read in the log each time: people come and go seldom, compared with what they
//! say, and nothing of it is sealed.

use veza_domain::{
    Decider,
    account::{Account, AccountState},
    call::{Call, CallState},
    member::{Member, at_present},
    space::{Space, SpaceState},
};
use veza_events::{AccountId, DecodeError, Event, RoomId, Shards, SpaceId, Subject, member::Membership};
use veza_platform::{
    ambient,
    contract::Problem,
    event_log::{EventLog, Record},
    ledger::{read_envelope, read_problem},
};

/// Reads spaces, memberships and calls.
#[derive(Clone)]
pub(crate) struct Facts {
    pub(crate) log: EventLog,
    pub(crate) shards: Shards,
}

/// Who may do what.
pub(crate) struct Rights {
    pub(crate) space: SpaceState,
    /// As it counts now.
    pub(crate) membership: Membership,
    /// Whether it is a conversation of two, and one of them has blocked the other.
    pub(crate) blocked: bool,
}

impl Facts {
    pub(crate) fn call_subject(&self, space: SpaceId, room: RoomId) -> Subject {
        Subject::Call(self.shards.of(space), room)
    }

    pub(crate) async fn rights(&self, space: SpaceId, account: AccountId) -> Result<Rights, Problem> {
        let shard = self.shards.of(space);
        let member = Subject::Member(shard, space, account).to_string();
        let (space, last) = futures::try_join!(self.space(space), async {
            self.log.last_consistent(&member).await.map_err(read_problem)
        })?;
        let mut membership = Membership::default();
        if let Some(last) = last {
            // A fact that is not understood must not be taken for none.
            let event = decode(&last)?.ok_or_else(|| Problem::internal(&"an unknown fact about a member"))?;
            if let Event::Member(event) = event {
                Member::evolve(&mut membership, &event);
            }
        }
        if let Some(present) = at_present(&membership, &space, ambient::now().into()) {
            membership = present;
        }
        let other = space.direct.as_ref().and_then(|direct| direct.other(account));
        let blocked = match other {
            None => false,
            Some(other) => {
                let (mine, theirs) = futures::try_join!(self.account(account), self.account(other))?;
                mine.blocked.contains(&other) || theirs.blocked.contains(&account)
            }
        };
        Ok(Rights {
            space,
            membership,
            blocked,
        })
    }

    async fn account(&self, account: AccountId) -> Result<AccountState, Problem> {
        let of_account = |event| {
            let Event::Account(event) = event else {
                return None;
            };
            Some(event)
        };
        self.folded::<Account>(&Subject::Account(account), of_account)
            .await
    }

    pub(crate) async fn space(&self, space: SpaceId) -> Result<SpaceState, Problem> {
        let subject = Subject::Space(self.shards.of(space), space);
        let of_space = |event| {
            let Event::Space(event) = event else {
                return None;
            };
            Some(event)
        };
        self.folded::<Space>(&subject, of_space).await
    }

    /// What the log has of an aggregate.
    async fn folded<D: Decider<State: Default>>(
        &self,
        subject: &Subject,
        pick: fn(Event) -> Option<D::Event>,
    ) -> Result<D::State, Problem> {
        let records = self.log.load(&subject.to_string(), 0).await;
        let mut state = D::State::default();
        for record in records.map_err(read_problem)? {
            if let Some(event) = decode(&record)?.and_then(pick) {
                D::evolve(&mut state, &event);
            }
        }
        Ok(state)
    }

    /// What the log has of a call behind what is known; its records too.
    pub(crate) async fn call(
        &self,
        subject: &Subject,
        (state, seq): (&mut CallState, &mut u64),
    ) -> Result<Vec<Record>, Problem> {
        let records = self.log.load(&subject.to_string(), *seq).await;
        let records = records.map_err(read_problem)?;
        for record in &records {
            if let Some(Event::Call(event)) = decode(record)? {
                Call::evolve(state, &event);
            }
            *seq = record.position.seq;
        }
        Ok(records)
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

//! What accounts have chosen for their rooms and spaces: of which messages they are told.

use veza_events::{AccountId, RoomId, SpaceId};
use veza_platform::ambient;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::event_log::EventLog;
use veza_platform::kv::{Kv, KvError};
use veza_platform::notices::Notices;
use veza_readmodel::notice::{AccountNotice, NoticeData};
use veza_readmodel::{Choice, Choices};

/// Rooms and spaces that one account can choose something for.
const MAX_CHOICES: usize = 2_000;
/// Times that a write is tried against others.
const TRIES: u32 = 8;

/// For what a choice is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    Space(SpaceId),
    Room(SpaceId, RoomId),
}

fn chosen(all: &Choices, scope: Scope) -> Choice {
    match scope {
        Scope::Space(space) => all.spaces.get(&space),
        Scope::Room(_, room) => all.rooms.get(&room),
    }
    .copied()
    .unwrap_or_default()
}

fn set(all: &mut Choices, scope: Scope, choice: Choice) {
    let none = choice == Choice::default();
    match scope {
        Scope::Space(space) if none => drop(all.spaces.remove(&space)),
        Scope::Space(space) => drop(all.spaces.insert(space, choice)),
        Scope::Room(_, room) if none => drop(all.rooms.remove(&room)),
        Scope::Room(_, room) => drop(all.rooms.insert(room, choice)),
    }
}

/// The choices of all accounts.
pub struct ChoiceBook {
    kv: Kv<Choices>,
    notices: Notices,
}

impl ChoiceBook {
    pub(crate) fn new(log: &EventLog) -> Self {
        Self {
            kv: Kv::open(log, Choices::BUCKET),
            notices: Notices::open(log),
        }
    }

    /// What an account has chosen.
    ///
    /// # Errors
    /// `platform.unavailable`
    pub(crate) async fn of(&self, account: AccountId) -> Result<Choices, Problem> {
        let stored = self.kv.get_consistent(&account.to_string()).await?;
        Ok(stored.map(|entry| entry.value).unwrap_or_default())
    }

    /// Chooses, and tells the account's devices.
    ///
    /// # Errors
    /// `account.too_many_choices`, `platform.unavailable`
    pub(crate) async fn choose(
        &self,
        account: AccountId,
        scope: Scope,
        choice: Choice,
    ) -> Result<(), Problem> {
        let key = account.to_string();
        for _ in 0..TRIES {
            let stored = self.kv.get_consistent(&key).await?;
            let (mut all, revision) = stored.map_or_else(
                || (Choices::default(), None),
                |entry| (entry.value, Some(entry.revision)),
            );
            if chosen(&all, scope) == choice {
                // Again, should the answer to the first try be lost before it was told.
                return self.tell(account, scope, choice).await;
            }
            set(&mut all, scope, choice);
            if all.rooms.len() + all.spaces.len() > MAX_CHOICES {
                let detail = "choices for that many rooms and spaces are not kept; take some back";
                let code = "account.too_many_choices";
                return Err(Problem::new(ProblemKind::TooMany, code, detail));
            }
            let wrote = match revision {
                Some(revision) => self.kv.update(&key, &all, revision).await,
                None => self.kv.create(&key, &all).await,
            };
            match wrote {
                Ok(_) => return self.tell(account, scope, choice).await,
                Err(KvError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KvError::Conflict.into())
    }

    async fn tell(&self, account: AccountId, scope: Scope, choice: Choice) -> Result<(), Problem> {
        let (space, room) = match scope {
            Scope::Space(space) => (space, None),
            Scope::Room(space, room) => (space, Some(room)),
        };
        let notice = AccountNotice {
            source: None,
            kind: "account.notifications".to_owned(),
            at: ambient::now().into(),
            data: NoticeData {
                space: Some(space),
                room,
                level: choice.level,
                mute_until: choice.mute_until,
                ..NoticeData::default()
            },
        };
        let told = self.notices.tell(account, None, &notice).await;
        told.map(drop).map_err(|error| KvError::from(error).into())
    }
}

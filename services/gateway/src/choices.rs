//! What accounts have chosen: of which messages of their rooms and spaces they are told, and how.

use veza_events::{AccountId, RoomId, SpaceId};
use veza_platform::ambient;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::event_log::EventLog;
use veza_platform::kv::{Kv, KvError};
use veza_platform::notices::Notices;
use veza_readmodel::notice::{AccountNotice, NoticeData};
use veza_readmodel::{Choice, Choices, Ways};

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
        self.change(account, |all| {
            set(all, scope, choice);
            if all.rooms.len() + all.spaces.len() > MAX_CHOICES {
                let detail = "choices for that many rooms and spaces are not kept; take some back";
                let code = "account.too_many_choices";
                return Err(Problem::new(ProblemKind::TooMany, code, detail));
            }
            Ok(())
        })
        .await?;
        // Also when nothing has changed: the answer to the first try may have been lost before it was told.
        let (space, room) = match scope {
            Scope::Space(space) => (Some(space), None),
            Scope::Room(space, room) => (Some(space), Some(room)),
        };
        let data = NoticeData {
            space,
            room,
            level: choice.level,
            mute_until: choice.mute_until,
            ..NoticeData::default()
        };
        self.tell(account, data).await
    }

    /// Chooses how one is told at all, and tells the account's devices. Returns what holds now.
    ///
    /// # Errors
    /// `platform.unavailable`
    pub(crate) async fn choose_ways(
        &self,
        account: AccountId,
        choose: impl Fn(&mut Ways),
    ) -> Result<Ways, Problem> {
        let chosen = self.change(account, |all| {
            choose(&mut all.ways);
            Ok(())
        });
        let ways = chosen.await?.ways;
        self.tell(account, NoticeData::default()).await?;
        Ok(ways)
    }

    /// Changes what an account has chosen, under its revision. Returns it, also where nothing is to be written.
    async fn change(
        &self,
        account: AccountId,
        choose: impl Fn(&mut Choices) -> Result<(), Problem>,
    ) -> Result<Choices, Problem> {
        let key = account.to_string();
        for _ in 0..TRIES {
            let stored = self.kv.get_consistent(&key).await?;
            let (mut all, revision) = stored.map_or_else(
                || (Choices::default(), None),
                |entry| (entry.value, Some(entry.revision)),
            );
            let before = all.clone();
            choose(&mut all)?;
            if all == before {
                return Ok(all);
            }
            let wrote = match revision {
                Some(revision) => self.kv.update(&key, &all, revision).await,
                None => self.kv.create(&key, &all).await,
            };
            match wrote {
                Ok(_) => return Ok(all),
                Err(KvError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KvError::Conflict.into())
    }

    async fn tell(&self, account: AccountId, data: NoticeData) -> Result<(), Problem> {
        let notice = AccountNotice {
            source: None,
            kind: "account.notifications".to_owned(),
            at: ambient::now().into(),
            data,
        };
        let told = self.notices.tell(account, None, &notice).await;
        told.map(drop).map_err(|error| KvError::from(error).into())
    }
}

//! What accounts have chosen for their rooms and spaces: of which messages they are told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, RoomId, SpaceId, Timestamp};
use veza_platform::ambient;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::event_log::EventLog;
use veza_platform::kv::{Kv, KvError};
use veza_platform::notices::Notices;
use veza_readmodel::notice::{AccountNotice, NoticeData, NotificationLevel};

/// Bucket of the choices.
const BUCKET: &str = "ACCOUNT_SETTINGS";
/// Rooms and spaces that one account can choose something for.
const MAX_CHOICES: usize = 2_000;
/// Times that a write is tried against others.
const TRIES: u32 = 8;

/// One choice; absent parts are as by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choice {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<NotificationLevel>,
    /// Nothing is told until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mute_until: Option<Timestamp>,
}

/// All choices of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choices {
    #[serde(default)]
    pub(crate) spaces: BTreeMap<SpaceId, Choice>,
    #[serde(default)]
    pub(crate) rooms: BTreeMap<RoomId, Choice>,
}

/// For what a choice is made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scope {
    Space(SpaceId),
    Room(SpaceId, RoomId),
}

impl Choices {
    fn get(&self, scope: Scope) -> Choice {
        match scope {
            Scope::Space(space) => self.spaces.get(&space),
            Scope::Room(_, room) => self.rooms.get(&room),
        }
        .copied()
        .unwrap_or_default()
    }

    fn set(&mut self, scope: Scope, choice: Choice) {
        let none = choice == Choice::default();
        match scope {
            Scope::Space(space) if none => drop(self.spaces.remove(&space)),
            Scope::Space(space) => drop(self.spaces.insert(space, choice)),
            Scope::Room(_, room) if none => drop(self.rooms.remove(&room)),
            Scope::Room(_, room) => drop(self.rooms.insert(room, choice)),
        }
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
            kv: Kv::open(log, BUCKET),
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
            if all.get(scope) == choice {
                // Again, should the answer to the first try be lost before it was told.
                return self.tell(account, scope, choice).await;
            }
            all.set(scope, choice);
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

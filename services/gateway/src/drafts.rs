//! What people have begun to write and not said: bucket `DRAFTS`, one entry per account, sealed under its key. The
//! account's devices hear that a draft has changed and read it. See ADR 17.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use veza_events::{AccountId, KeyId, MessageId, RoomId, SpaceId, Timestamp};
use veza_platform::ambient;
use veza_platform::contract::{Problem, ProblemKind};
use veza_platform::event_log::EventLog;
use veza_platform::keyring::{Aad, DataKey, Keyring};
use veza_platform::kv::{Kv, KvError};
use veza_platform::notices::Notices;
use veza_readmodel::notice::{AccountNotice, NoticeData};

/// The bucket. An entry that nobody changes for 90 days goes.
const BUCKET: &str = "DRAFTS";
/// Times that a write is tried against other devices.
const TRIES: u32 = 8;
/// Most sealed bytes of all drafts of an account: what one entry of the bucket holds.
const MAX_SEALED_BYTES: usize = 480 * 1_024;

/// Something begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    /// In which space.
    pub(crate) space: SpaceId,
    /// What it says so far.
    pub(crate) words: Words,
    /// When it was last changed.
    pub(crate) updated_at: Timestamp,
}

/// What a draft says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Words {
    /// The text.
    pub(crate) body: String,
    /// Which message it is to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reply_to: Option<MessageId>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DraftLimits {
    /// Longest text, in bytes.
    pub(crate) body_bytes: usize,
    /// Most drafts of an account.
    pub(crate) drafts: usize,
}

/// The drafts of an account, as they lie in the bucket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Stored {
    drafts: BTreeMap<RoomId, Kept>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    space: SpaceId,
    at: Timestamp,
    key: KeyId,
    sealed: String,
}

/// The drafts of all accounts.
pub(crate) struct DraftBook {
    kv: Kv<Stored>,
    keys: Keyring,
    notices: Notices,
    limits: DraftLimits,
}

impl DraftBook {
    pub(crate) fn new(log: &EventLog, keys: Keyring, limits: DraftLimits) -> Self {
        Self {
            kv: Kv::open(log, BUCKET),
            keys,
            notices: Notices::open(log),
            limits,
        }
    }

    /// All drafts of an account, by room.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub(crate) async fn all(&self, account: AccountId) -> Result<BTreeMap<RoomId, Draft>, Problem> {
        let stored = self.kv.get_consistent(&account.to_string()).await?;
        let mut drafts = BTreeMap::new();
        for (room, kept) in stored.map(|entry| entry.value).unwrap_or_default().drafts {
            if let Some(draft) = self.opened(account, room, kept).await? {
                drafts.insert(room, draft);
            }
        }
        Ok(drafts)
    }

    /// The draft for a room.
    ///
    /// # Errors
    /// `draft.not_found`; `platform.unavailable`.
    pub(crate) async fn of(&self, account: AccountId, room: RoomId) -> Result<Draft, Problem> {
        let stored = self.kv.get_consistent(&account.to_string()).await?;
        let kept = stored.and_then(|mut entry| entry.value.drafts.remove(&room));
        match kept {
            Some(kept) => self.opened(account, room, kept).await?.ok_or_else(no_draft),
            None => Err(no_draft()),
        }
    }

    /// Keeps a draft in the place of the one before.
    ///
    /// # Errors
    /// `draft.too_long`, `draft.too_many`; `platform.unavailable`.
    pub(crate) async fn keep(
        &self,
        account: AccountId,
        (space, room): (SpaceId, RoomId),
        words: Words,
    ) -> Result<Draft, Problem> {
        if words.body.len() > self.limits.body_bytes {
            let detail = format!("a draft has at most {} bytes", self.limits.body_bytes);
            return Err(Problem::new(ProblemKind::TooLarge, "draft.too_long", detail));
        }
        let updated_at = ambient::now().into();
        let (key, data_key) = self.keys.ensure(account).await?;
        let kept = Kept {
            space,
            at: updated_at,
            key,
            sealed: seal(&data_key, account, room, &words),
        };
        self.change(account, |stored| {
            stored.drafts.insert(room, kept.clone());
            let bytes: usize = stored.drafts.values().map(|kept| kept.sealed.len()).sum();
            if stored.drafts.len() > self.limits.drafts || bytes > MAX_SEALED_BYTES {
                let detail = "so many drafts are not kept; say or delete some first";
                return Err(Problem::new(ProblemKind::TooMany, "draft.too_many", detail));
            }
            Ok(true)
        })
        .await?;
        self.tell(account, space, room).await?;
        Ok(Draft {
            space,
            words,
            updated_at,
        })
    }

    /// Forgets the draft for a room, if there is one.
    ///
    /// # Errors
    /// `platform.unavailable`.
    pub(crate) async fn forget(
        &self,
        account: AccountId,
        (space, room): (SpaceId, RoomId),
    ) -> Result<(), Problem> {
        let changed = self
            .change(account, |stored| Ok(stored.drafts.remove(&room).is_some()))
            .await?;
        if changed {
            self.tell(account, space, room).await?;
        }
        Ok(())
    }

    /// Changes what an account has, against other devices; says whether it did.
    async fn change(
        &self,
        account: AccountId,
        change: impl Fn(&mut Stored) -> Result<bool, Problem>,
    ) -> Result<bool, Problem> {
        let name = account.to_string();
        for _ in 0..TRIES {
            let found = self.kv.get_consistent(&name).await?;
            let (mut stored, revision) = found.map_or_else(
                || (Stored::default(), None),
                |entry| (entry.value, Some(entry.revision)),
            );
            if !change(&mut stored)? {
                return Ok(false);
            }
            let wrote = match revision {
                Some(revision) => self.kv.update(&name, &stored, revision).await,
                None => self.kv.create(&name, &stored).await,
            };
            match wrote {
                Ok(_) => return Ok(true),
                Err(KvError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KvError::Conflict.into())
    }

    /// `None` once the account's key is gone.
    async fn opened(&self, account: AccountId, room: RoomId, kept: Kept) -> Result<Option<Draft>, Problem> {
        let Some(data_key) = self.keys.get(kept.key).await? else {
            return Ok(None);
        };
        let clear = data_key.open(&bound(account, room), &kept.sealed);
        let words = clear.and_then(|clear| serde_json::from_slice(&clear).ok());
        Ok(words.map(|words| Draft {
            space: kept.space,
            words,
            updated_at: kept.at,
        }))
    }

    async fn tell(&self, account: AccountId, space: SpaceId, room: RoomId) -> Result<(), Problem> {
        let notice = AccountNotice {
            source: None,
            kind: "account.draft".to_owned(),
            at: ambient::now().into(),
            data: NoticeData {
                space: Some(space),
                room: Some(room),
                ..NoticeData::default()
            },
        };
        let told = self.notices.tell(account, None, &notice).await;
        told.map(drop).map_err(|error| KvError::from(error).into())
    }
}

fn seal(key: &DataKey, account: AccountId, room: RoomId, words: &Words) -> String {
    let clear = serde_json::to_vec(words).expect("drafts are plain data");
    key.seal(&bound(account, room), &clear)
}

fn bound(account: AccountId, room: RoomId) -> Aad {
    Aad::framed(&[b"veza.draft", account.uuid().as_bytes(), room.uuid().as_bytes()])
}

fn no_draft() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "draft.not_found",
        "there is no draft for this room",
    )
}

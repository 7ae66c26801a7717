//! Whom a message that speaks of people reaches in their own chains.
//!
//! Those who are called by name were found by the door, which has looked whether they may see the room. Holders of
//! a role and everybody are found here, and the workers say who of them may; there are only so many, beyond which
//! a message is found where it stands and in the lists of mentions. Nobody is told by those they have blocked, or
//! where they have chosen to be told nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;
use veza_events::room::{Mentions, MessageEdited, MessagePosted};
use veza_events::{AccountId, MessageId, Permission, RoleId, RoomId, SpaceId, Timestamp};
use veza_platform::ambient;
use veza_platform::bus::Bus;
use veza_platform::contract::chat::{Access, GetAccess};
use veza_platform::contract::{Caller, Problem};
use veza_platform::event_log::Position;
use veza_platform::kv::Kv;
use veza_readmodel::notice::{AccountNotice, MentionKind, NoticeData, NotificationLevel};
use veza_readmodel::{Choices, ReadModel};

/// Accounts that are asked about at once.
const ASKING: usize = 32;
/// How long it is tried to find out who reads a room, before only those are told who are called by name.
const PATIENCE: Duration = Duration::from_secs(10);

/// A message that speaks of people.
#[derive(Clone, Debug)]
pub(crate) struct Mention {
    pub(crate) position: Position,
    pub(crate) at: Timestamp,
    space: SpaceId,
    room: RoomId,
    /// The room whose rights count there.
    gate: RoomId,
    message: MessageId,
    author: AccountId,
    mentions: Mentions,
    /// Said by another text than the first: only those are told whom no text before has named.
    edit: bool,
}

impl Mention {
    /// The mention that a message is, if it speaks of people.
    pub(crate) fn of(position: &Position, at: Timestamp, event: &MessagePosted) -> Option<Self> {
        let place = (event.space, event.room, event.parent);
        let said = (event.message, event.author, event.mentions.as_ref()?.clear()?);
        Self::at(position, at, place, said, false)
    }

    /// The mention that another text of a message is, if that speaks of people.
    pub(crate) fn of_edit(position: &Position, at: Timestamp, event: &MessageEdited) -> Option<Self> {
        let place = (event.space, event.room, event.parent);
        let said = (event.message, event.author, event.mentions.as_ref()?.clear()?);
        Self::at(position, at, place, said, true)
    }

    fn at(
        position: &Position,
        at: Timestamp,
        (space, room, parent): (SpaceId, RoomId, Option<RoomId>),
        (message, author, mentions): (MessageId, AccountId, &Mentions),
        edit: bool,
    ) -> Option<Self> {
        of_people(mentions).then(|| Self {
            position: position.clone(),
            at,
            space,
            room,
            gate: parent.unwrap_or(room),
            message,
            author,
            mentions: mentions.clone(),
            edit,
        })
    }

    fn is_wide(&self) -> bool {
        !self.mentions.roles.is_empty() || self.mentions.everyone || self.mentions.here
    }

    fn notice(&self, kind: MentionKind) -> AccountNotice {
        AccountNotice {
            source: Some(self.position.to_string()),
            kind: "account.mentioned".to_owned(),
            at: self.at,
            data: NoticeData {
                space: Some(self.space),
                room: Some(self.room),
                message: Some(self.message),
                mentioned_as: Some(kind),
                by: Some(self.author),
                ..NoticeData::default()
            },
        }
    }
}

fn of_people(mentions: &Mentions) -> bool {
    !mentions.accounts.is_empty() || !mentions.roles.is_empty() || mentions.everyone || mentions.here
}

/// Finds out whom to tell.
pub(crate) struct Audience {
    read: ReadModel,
    bus: Bus,
    choices: Kv<Choices>,
    /// Most accounts that one role or everybody may be.
    most: usize,
    /// Mentions of which only those were told who are called by name.
    left_out: Counter,
    /// Since when nobody says who may read rooms.
    unanswered: Mutex<Option<Instant>>,
}

impl Audience {
    pub(crate) fn new(
        read: ReadModel,
        bus: Bus,
        choices: Kv<Choices>,
        most: usize,
        left_out: Counter,
    ) -> Self {
        Self {
            read,
            bus,
            choices,
            most,
            left_out,
            unanswered: Mutex::default(),
        }
    }

    /// Whom to tell what.
    ///
    /// # Errors
    /// When something is away; it is to be tried again.
    pub(crate) async fn of(&self, mention: &Mention) -> anyhow::Result<Vec<(AccountId, AccountNotice)>> {
        if !mention.edit {
            return self.told(mention, &BTreeSet::new()).await;
        }
        let (mut added, mut before) = (mention.clone(), BTreeSet::new());
        let seq = mention.position.seq;
        for named in self.read.ever_named(mention.message).await? {
            if named.since >= seq {
                continue;
            }
            match named.kind.as_str() {
                "account" => {
                    let account = named.target.into();
                    added.mentions.accounts.remove(&account);
                    before.insert(account);
                }
                "role" => drop(added.mentions.roles.remove(&named.target.into())),
                "everyone" => added.mentions.everyone = false,
                _ => added.mentions.here = false,
            }
        }
        if of_people(&added.mentions) {
            self.told(&added, &before).await
        } else {
            Ok(Vec::new())
        }
    }

    /// Whom a mention reaches, but for those who were told before.
    async fn told(
        &self,
        mention: &Mention,
        before: &BTreeSet<AccountId>,
    ) -> anyhow::Result<Vec<(AccountId, AccountNotice)>> {
        let named = mention.mentions.accounts.iter().copied();
        let mut all: BTreeMap<AccountId, MentionKind> =
            named.map(|account| (account, MentionKind::Account)).collect();
        if mention.is_wide() {
            for (account, kind) in self.wide(mention).await? {
                all.entry(account).or_insert(kind);
            }
        }
        all.remove(&mention.author);
        all.retain(|account, _| !before.contains(account));
        let accounts: Vec<AccountId> = all.keys().copied().collect();
        for blocker in self.read.blockers(mention.author, &accounts).await? {
            all.remove(&blocker);
        }
        let now = ambient::now().into();
        let wanted = all.into_iter().map(async |(account, kind)| {
            let stored = self.choices.get(&account.to_string()).await?;
            let choices = stored.map(|entry| entry.value).unwrap_or_default();
            let level = choices.level(mention.space, mention.room, mention.gate, now);
            anyhow::Ok((level != NotificationLevel::Nothing).then_some((account, kind)))
        });
        let wanted: Vec<_> = futures::stream::iter(wanted)
            .buffered(ASKING)
            .try_collect()
            .await?;
        let told = wanted.into_iter().flatten();
        Ok(told
            .map(|(account, kind)| (account, mention.notice(kind)))
            .collect())
    }

    /// Members whom a role or a word for all means, and who may see the room.
    async fn wide(&self, mention: &Mention) -> anyhow::Result<Vec<(AccountId, MentionKind)>> {
        let Mentions {
            roles,
            everyone,
            here,
            ..
        } = &mention.mentions;
        let roles: Vec<RoleId> = roles.iter().copied().collect();
        let all = *everyone || *here;
        let found = self
            .read
            .called(mention.space, &roles, all, self.most + 1)
            .await?;
        if found.len() > self.most {
            self.left_out.inc();
            return Ok(Vec::new());
        }
        let of_all = if *here {
            MentionKind::Here
        } else {
            MentionKind::Everyone
        };
        let kinds: BTreeMap<AccountId, MentionKind> = found
            .into_iter()
            .map(|(account, holds)| (account, if holds { MentionKind::Role } else { of_all }))
            .collect();
        let sees = |access: &Access| may_in(access, mention.gate, Permission::View);
        let readers = self.those(mention.space, kinds.keys().copied().collect(), sees);
        let Some(readers) = self.patiently(readers.await)? else {
            return Ok(Vec::new());
        };
        Ok(kinds
            .into_iter()
            .filter(|(account, _)| readers.contains(account))
            .collect())
    }

    /// Whom to tell of something that moderators look after: all who may.
    ///
    /// # Errors
    /// When something is away; it is to be tried again.
    pub(crate) async fn of_alert(&self, alert: &Alert) -> anyhow::Result<Vec<(AccountId, AccountNotice)>> {
        let found = self
            .read
            .may_hold(alert.space, alert.gate, alert.permission, self.most + 1);
        let mut found = found.await?;
        if found.len() > self.most {
            self.left_out.inc();
            found.truncate(self.most);
        }
        let may = |access: &Access| match alert.gate {
            Some(gate) => may_in(access, gate, alert.permission),
            None => access.permissions.has(alert.permission),
        };
        let moderators = self.patiently(self.those(alert.space, found, may).await)?;
        let moderators = moderators.unwrap_or_default().into_iter();
        Ok(moderators
            .map(|account| (account, alert.notice.clone()))
            .collect())
    }

    /// `None` when nobody has said for too long who may what.
    fn patiently(
        &self,
        answered: Result<BTreeSet<AccountId>, Problem>,
    ) -> anyhow::Result<Option<BTreeSet<AccountId>>> {
        let mut unanswered = self.unanswered.lock().unwrap_or_else(PoisonError::into_inner);
        match answered {
            Ok(accounts) => {
                *unanswered = None;
                Ok(Some(accounts))
            }
            Err(problem) => {
                if unanswered.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
                    anyhow::bail!("nobody says who may what: {}", problem.detail);
                }
                self.left_out.inc();
                Ok(None)
            }
        }
    }

    /// Those of `accounts` whose access to a space is such.
    async fn those(
        &self,
        space: SpaceId,
        accounts: Vec<AccountId>,
        such: impl Fn(&Access) -> bool,
    ) -> Result<BTreeSet<AccountId>, Problem> {
        let such = &such;
        let asked = accounts.into_iter().map(async |account| {
            let access = self
                .bus
                .chat(&Caller::asking(account), &GetAccess { space })
                .await?;
            Ok::<_, Problem>((access.joined && such(&access)).then_some(account))
        });
        let found = futures::stream::iter(asked).buffer_unordered(ASKING);
        found
            .try_filter_map(|account| std::future::ready(Ok(account)))
            .try_collect()
            .await
    }
}

fn may_in(access: &Access, room: RoomId, permission: Permission) -> bool {
    let mut rooms = access.rooms.iter();
    rooms.any(|(id, may)| *id == room && may.has(permission))
}

/// Something that moderators look after.
#[derive(Clone, Debug)]
pub(crate) struct Alert {
    pub(crate) position: Position,
    pub(crate) space: SpaceId,
    /// The room whose rights count; `None` for those in the whole space.
    pub(crate) gate: Option<RoomId>,
    /// What those have who look after it.
    pub(crate) permission: Permission,
    pub(crate) notice: AccountNotice,
}

//! From a message to those who are told of it, once the read models have it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use veza_events::{AccountId, MessageId, Permission, RoomId, SpaceId};
use veza_platform::ambient;
use veza_platform::bus::Bus;
use veza_platform::config::Config;
use veza_platform::contract::chat::{Access, GetAccess};
use veza_platform::contract::{Caller, Problem, ProblemKind};
use veza_platform::event_log::Position;
use veza_platform::kv::Kv;
use veza_readmodel::rows::PlacedMessage;
use veza_readmodel::{Choices, ReadError, ReadModel};

use crate::known::Known;
use crate::who::{Concerned, Why, wants};

/// How long is waited for the read models to have the message; then it is tried again.
const PATIENCE: Duration = Duration::from_secs(2);
/// People who are asked about at once.
const ASKED: usize = 16;
/// Longest beginning of a text that is told, in characters.
const EXCERPT: usize = 200;

/// How far an account has read in its rooms, as gateways write it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Markers {
    rooms: BTreeMap<RoomId, u64>,
}

/// Where to ask.
pub(crate) struct Deciding {
    pub(crate) read: ReadModel,
    pub(crate) bus: Bus,
    pub(crate) choices: Kv<Choices>,
    pub(crate) markers: Kv<Markers>,
    pub(crate) most: usize,
    pub(crate) include_text: bool,
}

/// What somebody is told.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) account: AccountId,
    pub(crate) why: Why,
    pub(crate) message: MessageId,
    /// Whether their devices are told.
    pub(crate) to_devices: bool,
    /// Whether they are told by mail, should they miss it.
    pub(crate) to_mail: bool,
    /// Read by the device alone.
    pub(crate) words: String,
}

/// A message that somebody has still missed.
#[derive(Clone, Debug)]
pub(crate) struct Still {
    pub(crate) why: Why,
    pub(crate) author: Option<String>,
    pub(crate) room: Option<String>,
    /// Its beginning.
    pub(crate) text: Option<String>,
}

/// What a device reads.
#[derive(Serialize)]
struct Words<'a> {
    kind: &'static str,
    why: Why,
    space: Uuid,
    room: Uuid,
    message: Uuid,
    seq: u64,
    author: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    author_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Deciding {
    pub(crate) fn new(
        config: &Config,
        read: ReadModel,
        bus: Bus,
        choices: Kv<Choices>,
        markers: Kv<Markers>,
    ) -> Self {
        Self {
            read,
            bus,
            choices,
            markers,
            most: config.notifier.max_receivers,
            include_text: config.push.include_text,
        }
    }

    /// Who is told of a message now, and what.
    ///
    /// # Errors
    /// When somebody who has to be asked is away: nothing is decided then.
    pub(crate) async fn pushes(
        &self,
        known: &Known,
        at: &Position,
        message: MessageId,
    ) -> Result<Vec<Push>, Problem> {
        self.read
            .wait_for(at.stream.as_str(), at.seq, PATIENCE)
            .await
            .map_err(of_read_model)?;
        let placed = self.read.message(message).await.map_err(of_read_model)?;
        // It may have been taken back, or its author erased, meanwhile.
        let Some(placed) = placed.filter(|placed| placed.message.deleted_at.is_none()) else {
            return Ok(Vec::new());
        };
        let author = placed.message.author;
        let concerned = self.concerned(known, &placed).await?;
        let list = concerned.into_list(author, self.most, |account| known.can_be_told(account));
        if list.is_empty() {
            return Ok(Vec::new());
        }
        let accounts: Vec<AccountId> = list.iter().map(|(account, _)| *account).collect();
        let blockers = self
            .read
            .blockers(author, &accounts)
            .await
            .map_err(of_read_model)?;
        let asked = list
            .into_iter()
            .filter(|(account, _)| !blockers.contains(account))
            .map(async |(account, why)| {
                let told = self.is_told(account, why, &placed).await;
                told.map(|told| told.map(|quiet| (account, why, quiet)))
            });
        let told: Vec<_> = futures::stream::iter(asked).buffered(ASKED).collect().await;
        let told: Vec<_> = told.into_iter().collect::<Result<Vec<_>, _>>()?;
        let told: Vec<_> = told.into_iter().flatten().collect();
        if told.is_empty() {
            return Ok(Vec::new());
        }
        let name = self.room_name(&placed).await?;
        let pushes = told.into_iter().map(|(account, why, quiet)| Push {
            account,
            why,
            message,
            to_devices: !quiet && known.has_devices(account),
            to_mail: known.is_mailed(account) && why != Why::All,
            words: self.words(&placed, name.as_deref(), why),
        });
        Ok(pushes.filter(|push| push.to_devices || push.to_mail).collect())
    }

    /// A message, if somebody is still to be told of it: it is there, they may read it, and have not yet.
    ///
    /// # Errors
    /// As [`Self::pushes`].
    pub(crate) async fn still(
        &self,
        account: AccountId,
        message: MessageId,
        why: Why,
    ) -> Result<Option<Still>, Problem> {
        let placed = self.read.message(message).await.map_err(of_read_model)?;
        let Some(placed) = placed.filter(|placed| placed.message.deleted_at.is_none()) else {
            return Ok(None);
        };
        let blocked = self.read.blockers(placed.message.author, &[account]).await;
        if !blocked.map_err(of_read_model)?.is_empty() || self.is_told(account, why, &placed).await?.is_none()
        {
            return Ok(None);
        }
        Ok(Some(Still {
            why,
            author: placed.message.author_name().map(str::to_owned),
            room: self.room_name(&placed).await?,
            text: placed.message.body.as_deref().map(excerpt),
        }))
    }

    /// Where a message stands, in words; nowhere in particular in a conversation between a few.
    async fn room_name(&self, placed: &PlacedMessage) -> Result<Option<String>, Problem> {
        let talkers = self.read.talkers(placed.space).await.map_err(of_read_model)?;
        if !talkers.is_empty() {
            return Ok(None);
        }
        let room = self.read.room(placed.gate).await.map_err(of_read_model)?;
        Ok(room.map(|room| room.name).filter(|name| !name.is_empty()))
    }

    /// Whom a message concerns.
    async fn concerned(&self, known: &Known, placed: &PlacedMessage) -> Result<Concerned, Problem> {
        let (space, message) = (placed.space, &placed.message);
        let mentions = &message.mentions;
        let mut concerned = Concerned::default();
        concerned.add(mentions.accounts.iter().copied(), Why::Mention);
        if mentions.everyone || mentions.here || !mentions.roles.is_empty() {
            let all = mentions.everyone || mentions.here;
            let roles: Vec<_> = mentions.roles.iter().copied().filter(|_| !all).collect();
            let everybody = known.everybody();
            let members = self
                .read
                .members_among(space, &everybody, &roles, self.most)
                .await;
            concerned.add(members.map_err(of_read_model)?, Why::Mention);
        }
        if let Some(answered) = message.reply_to {
            let answered = self.read.message(answered).await.map_err(of_read_model)?;
            concerned.add(answered.map(|answered| answered.message.author), Why::Reply);
        }
        let talkers = self.read.talkers(space).await.map_err(of_read_model)?;
        concerned.add(talkers, Why::Direct);
        concerned.add(known.want_all(space, placed.gate), Why::All);
        Ok(concerned)
    }

    /// Whether somebody is told: they want it, have not read it yet, and may read it now; and if so, whether their
    /// hours are quiet.
    async fn is_told(
        &self,
        account: AccountId,
        why: Why,
        placed: &PlacedMessage,
    ) -> Result<Option<bool>, Problem> {
        let name = account.to_string();
        let (space, room) = (placed.space, placed.room);
        let choices = self.choices.get(&name).await?.map(|entry| entry.value);
        let choices = choices.unwrap_or_default();
        let nearest_first = [
            choices.rooms.get(&room),
            choices.rooms.get(&placed.gate),
            choices.spaces.get(&space),
        ];
        let chosen: Vec<_> = nearest_first.into_iter().flatten().copied().collect();
        let now = ambient::now().into();
        if !wants(why, &chosen, now) {
            return Ok(None);
        }
        let markers = self.markers.get_consistent(&name).await?;
        let read_to = markers.and_then(|entry| entry.value.rooms.get(&room).copied());
        if read_to.is_some_and(|seq| seq >= placed.message.seq) {
            return Ok(None);
        }
        let may = may_read(self.access(account, space).await, placed.gate, placed.message.seq)?;
        Ok(may.then(|| choices.ways.quiet_until(now).is_some()))
    }

    async fn access(&self, account: AccountId, space: SpaceId) -> Result<Access, Problem> {
        let caller = Caller::asking(account);
        self.bus.chat(&caller, &GetAccess { space }).await
    }

    fn words(&self, placed: &PlacedMessage, room: Option<&str>, why: Why) -> String {
        let message = &placed.message;
        let text = message.body.as_deref().filter(|_| self.include_text);
        let words = Words {
            kind: "message",
            why,
            space: placed.space.uuid(),
            room: placed.room.uuid(),
            message: message.id.uuid(),
            seq: message.seq,
            author: message.author.uuid(),
            author_name: message.author_name(),
            room_name: room,
            text: text.map(excerpt),
        };
        serde_json::to_string(&words).expect("the words are plain data")
    }
}

/// The worker knows what a space lets somebody do; a space that is gone lets nobody.
fn may_read(access: Result<Access, Problem>, gate: RoomId, seq: u64) -> Result<bool, Problem> {
    match access {
        Ok(access) => {
            let sees =
                |(room, all): &(RoomId, veza_events::Permissions)| *room == gate && all.has(Permission::View);
            // Who came back may not see what was said while they were out.
            let hidden = seq <= access.hidden_up_to(gate);
            Ok(access.joined && !hidden && access.rooms.iter().any(sees))
        }
        Err(problem) if problem.kind == ProblemKind::Unavailable => Err(problem),
        Err(_) => Ok(false),
    }
}

/// The beginning of a text.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text.to_owned(),
    }
}

pub(crate) fn of_read_model(error: ReadError) -> Problem {
    match error {
        ReadError::Unavailable { .. } => Problem::unavailable("the read model is away", 500),
        ReadError::Behind { .. } => Problem::unavailable("the read model is behind", 500),
        error => Problem::internal(&error),
    }
}

#[cfg(test)]
mod tests {
    use veza_events::Permissions;

    use super::*;

    fn access(joined: bool, rooms: Vec<(RoomId, Permissions)>) -> Access {
        Access {
            joined,
            permissions: Permissions::NONE,
            rooms,
            categories: Vec::new(),
            hidden: Vec::new(),
            space_seq: 1,
            member_seq: 1,
        }
    }

    #[test]
    fn only_who_is_in_and_sees_the_room_and_that_far_back_may_read() {
        let (room, other): (RoomId, RoomId) = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
        let sees = Permissions::only(Permission::View);
        let may = |access| may_read(Ok(access), room, 7).unwrap_or_default();
        let sees_it = access(true, vec![(room, sees)]);
        assert!(may(sees_it.clone()));
        for (at, up_to, shown) in [(room, 6, true), (room, 7, false), (other, 7, true)] {
            let hidden = vec![(at, up_to)];
            assert_eq!(
                may(Access {
                    hidden,
                    ..sees_it.clone()
                }),
                shown,
                "{up_to}"
            );
        }
        assert!(!may(access(true, vec![(other, sees)])));
        assert!(!may(access(true, vec![(room, Permissions::NONE)])));
        assert!(!may(access(false, vec![(room, sees)])));
        let gone = Problem::new(ProblemKind::NotFound, "space.not_found", "gone");
        assert_eq!(may_read(Err(gone), room, 7), Ok(false));
        let away = Problem::unavailable("away", 1);
        assert_eq!(
            may_read(Err(away.clone()), room, 7),
            Err(away),
            "that nobody answers decides nothing"
        );
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        assert_eq!(excerpt("short"), "short");
        let long = "é".repeat(EXCERPT + 1);
        assert_eq!(excerpt(&long).chars().count(), EXCERPT + 1);
    }
}

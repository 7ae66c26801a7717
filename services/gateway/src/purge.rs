//! Taking many messages back: finds where they stand, and gives the commands.

use std::collections::BTreeMap;
use std::time::Duration;

use veza_events::{AccountId, MessageId, Permission, RoomId, SpaceId};
use veza_platform::ambient;
use veza_platform::contract::chat::DeleteMessages;
use veza_platform::contract::{Caller, Problem, ProblemKind};
use veza_platform::event_log::Position;

use crate::access::requires;
use crate::problems::of_read_model;
use crate::purge_book::{Lease, Purge};
use crate::state::Gateway;

/// Messages that one command takes back.
const AT_ONCE: usize = 100;
/// Messages of somebody who is banned that are looked at in one go.
const MOST: usize = 5_000;

/// What was taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Purged {
    /// How many.
    pub(crate) messages: usize,
    /// There are more.
    pub(crate) more: bool,
}

impl Gateway {
    /// Takes messages of a room back that are still there; `None` when none is.
    ///
    /// # Errors
    /// The worker's refusal; `platform.unavailable`.
    pub(crate) async fn delete_messages(
        &self,
        caller: &Caller,
        room: RoomId,
        messages: &[MessageId],
    ) -> Result<Option<Position>, Problem> {
        let place = self.rooms.place(room).await?;
        let allowed = self
            .access
            .in_room(caller.account()?, place.space, place.gate)
            .await?;
        let mut messages = messages.to_vec();
        messages.sort_unstable();
        messages.dedup();
        let found = if messages.len() <= AT_ONCE {
            self.read.standing(&messages).await.map_err(of_read_model)?
        } else {
            Vec::new()
        };
        let here = found.iter().filter(|one| one.room == room);
        let command = DeleteMessages {
            space: place.space,
            room,
            messages: here.map(|one| (one.message, one.seq)).collect(),
        };
        if command.messages.is_empty() && (1..=AT_ONCE).contains(&messages.len()) {
            requires(allowed, Permission::ManageMessages)?;
            return Ok(None);
        }
        Ok(Some(self.chat(caller, &command).await?.position))
    }

    /// Takes back what an account said in a space within `seconds` before it was banned at `position`. What cannot be
    /// done now is written down, and done by and by.
    ///
    /// # Errors
    /// `platform.unavailable` when it could not even be written down.
    pub(crate) async fn purge(
        &self,
        caller: &Caller,
        about: (SpaceId, AccountId),
        seconds: u32,
        position: &Position,
    ) -> Result<Purged, Problem> {
        let since = (ambient::now() - Duration::from_secs(seconds.into())).into();
        let by = caller.account()?;
        let lease = self.purges.begin(about, by, since, position.clone()).await?;
        Ok(self.go_on(caller, lease).await.unwrap_or_else(|problem| {
            tracing::warn!(error.message = %problem, "messages are still to be taken back");
            Purged {
                messages: 0,
                more: true,
            }
        }))
    }

    /// Takes back as much as one go may, and leaves the rest to whoever comes.
    ///
    /// # Errors
    /// `platform.unavailable` when less could be done.
    pub(crate) async fn go_on(&self, caller: &Caller, mut lease: Lease) -> Result<Purged, Problem> {
        match self.take_back(caller, &mut lease).await {
            Ok(purged) if !purged.more => lease.end().await.map(|()| purged),
            outcome => {
                lease.leave().await?;
                outcome
            }
        }
    }

    async fn take_back(&self, caller: &Caller, lease: &mut Lease) -> Result<Purged, Problem> {
        let Purge {
            space,
            author,
            since,
            before,
            ..
        } = lease.purge.clone();
        let within = Duration::from_millis(self.config.gateway.min_seq_wait_ms);
        let seen = self
            .read
            .wait_for(before.stream.as_str(), before.seq, within)
            .await;
        seen.map_err(of_read_model)?;
        let mut purged = Purged::default();
        let mut looked_at = 0;
        while looked_at < MOST {
            let found =
                self.read
                    .said_since((space, author), since, (lease.purge.after, before.seq), AT_ONCE);
            let found = found.await.map_err(of_read_model)?;
            let Some(last) = found.last() else {
                return Ok(purged);
            };
            let last = last.seq;
            looked_at += found.len();
            let mut by_room: BTreeMap<RoomId, Vec<(MessageId, u64)>> = BTreeMap::new();
            for one in &found {
                by_room.entry(one.room).or_default().push((one.message, one.seq));
            }
            for (room, messages) in by_room {
                let count = messages.len();
                let command = DeleteMessages {
                    space,
                    room,
                    messages,
                };
                // Deleting twice is as good as once.
                let own = Caller {
                    command: ambient::new_uuid().into(),
                    seen: None,
                    ..*caller
                };
                match self.chat(&own, &command).await {
                    Ok(_) => purged.messages += count,
                    // A room that the moderator has nothing to say in.
                    Err(problem)
                        if matches!(problem.kind, ProblemKind::Forbidden | ProblemKind::NotFound) => {}
                    Err(problem) => return Err(problem),
                }
            }
            lease.purge.after = last;
            if !lease.keep().await? {
                break;
            }
        }
        purged.more = true;
        Ok(purged)
    }
}

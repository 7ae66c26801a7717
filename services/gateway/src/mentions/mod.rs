//! Whom and what a text speaks of: the one place where every door finds out, before it gives a command.
//!
//! Only people who may see the room count, and only rooms that the author may see. Whether the author may speak to
//! a role or to everybody is decided by the worker. A text is posted in any case: while names cannot be looked up
//! they are just text.

pub(crate) mod names;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use moka::sync::Cache;
use prometheus_client::metrics::counter::Counter;
use veza_events::room::Mentions;
use veza_events::{AccountId, Permission, RoomId, SpaceId};
use veza_platform::contract::chat::{MessageChange, Post, PostByWebhook, Posted};
use veza_platform::contract::{Caller, Problem, ProblemKind};
use veza_platform::telemetry::Metrics;
use veza_readmodel::{NameQuery, Named, ReadModel};

use crate::rooms::Place;
use crate::state::Gateway;
use names::Names;

/// Names that are remembered, and how long.
const REMEMBERED: u64 = 50_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(30);
/// Longest wait for names to be looked up: a message is not to wait for what is beside it.
const PATIENCE: Duration = Duration::from_millis(500);
/// People whose access is asked for at once.
const ASKING: usize = 16;

/// Finds out whom names mean.
pub(crate) struct NameBook {
    read: ReadModel,
    /// Only names that mean somebody: whoever comes in is found at once.
    known: Cache<(SpaceId, char, String), Arc<[Named]>>,
    unresolved: Counter,
}

impl NameBook {
    pub(crate) fn new(read: ReadModel, metrics: &Metrics) -> Self {
        let unresolved = Counter::default();
        metrics.register(|registry| {
            let help = "Texts whose names could not be looked up, and were posted as they are";
            registry.register("gateway_unresolved_mentions", help, unresolved.clone());
        });
        let known = Cache::builder()
            .max_capacity(REMEMBERED)
            .time_to_live(REMEMBERED_FOR)
            .build();
        Self {
            read,
            known,
            unresolved,
        }
    }

    /// Whom the names mean in a space.
    async fn look_up(&self, space: SpaceId, names: Names) -> Vec<Named> {
        let mut found = Vec::new();
        let mut asked = NameQuery::default();
        let marks = [
            ('@', names.at, &mut asked.at),
            ('#', names.rooms, &mut asked.rooms),
        ];
        for (mark, all, unknown) in marks {
            for name in all {
                match self.known.get(&(space, mark, name.clone())) {
                    Some(known) => found.extend(known.iter().cloned()),
                    None => unknown.push(name),
                }
            }
        }
        if asked.is_empty() {
            return found;
        }
        match tokio::time::timeout(PATIENCE, self.read.named(space, &asked)).await {
            Ok(Ok(new)) => {
                self.remember(space, &asked, &new);
                found.extend(new);
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "names in a text cannot be looked up");
                self.unresolved.inc();
            }
            Err(_) => {
                self.unresolved.inc();
            }
        }
        found
    }

    /// What the names in texts of a space mean.
    pub(crate) async fn of_texts<'a>(
        &self,
        space: SpaceId,
        texts: impl Iterator<Item = &'a str>,
    ) -> Vec<Named> {
        let mut names = Names::default();
        for text in texts {
            names.add_all(Names::read(text));
        }
        if names.is_empty() {
            return Vec::new();
        }
        self.look_up(space, names).await
    }

    fn remember(&self, space: SpaceId, asked: &NameQuery, found: &[Named]) {
        for (mark, names) in [('@', &asked.at), ('#', &asked.rooms)] {
            for name in names {
                let of_name = found
                    .iter()
                    .filter(|one| one.mark() == mark && one.name() == name);
                let of_name: Arc<[Named]> = of_name.cloned().collect();
                if !of_name.is_empty() {
                    self.known.insert((space, mark, name.clone()), of_name);
                }
            }
        }
    }
}

impl Gateway {
    /// Says something, with whom it speaks of.
    ///
    /// # Errors
    /// The worker's refusal; `platform.unavailable`.
    pub(crate) async fn say(&self, caller: &Caller, mut post: Post) -> Result<Posted, Problem> {
        let author = caller.account()?;
        post.mentions = self.mentions(author, post.room, &post.body).await;
        self.chat(caller, &post).await
    }

    /// Says something by a webhook, with whom it speaks of.
    ///
    /// # Errors
    /// As [`Self::say`]; `webhook.not_found`.
    pub(crate) async fn say_by_webhook(
        &self,
        caller: &Caller,
        mut post: PostByWebhook,
    ) -> Result<Posted, Problem> {
        post.mentions = self.mentions(post.webhook, post.room, &post.body).await;
        self.chat(caller, &post).await
    }

    /// The change, with whom a new text speaks of.
    pub(crate) async fn with_mentions(
        &self,
        author: AccountId,
        room: RoomId,
        change: MessageChange,
    ) -> MessageChange {
        match change {
            MessageChange::Edit { body, .. } => MessageChange::Edit {
                mentions: self.mentions(author, room, &body).await,
                body,
            },
            change @ (MessageChange::Delete
            | MessageChange::React { .. }
            | MessageChange::Unreact { .. }
            | MessageChange::Pin
            | MessageChange::Unpin) => change,
        }
    }

    /// Of whom and what a text speaks that `author` writes in a room.
    pub(crate) async fn mentions(&self, author: AccountId, room: RoomId, text: &str) -> Mentions {
        // What is too long is refused; nobody needs to read it first.
        if !text.contains(['@', '#']) || text.len() > self.config.chat.max_message_bytes {
            return Mentions::default();
        }
        let names = Names::read(text);
        if names.is_empty() {
            return Mentions::default();
        }
        let Ok(place) = self.rooms.place(room).await else {
            return Mentions::default();
        };
        let mut mentions = Mentions {
            everyone: names.everyone,
            here: names.here,
            ..Mentions::default()
        };
        let mut people = BTreeSet::new();
        for one in self.names.look_up(place.space, names).await {
            match one {
                Named::Account { account, .. } => drop(people.insert(account)),
                Named::Role { role, .. } => drop(mentions.roles.insert(role)),
                Named::Room { room, .. } => drop(mentions.rooms.insert(room)),
            }
        }
        if !mentions.rooms.is_empty() {
            let access = self.access.of(author, place.space).await;
            let sees = |room: &RoomId| {
                let all = access.iter().flat_map(|access| &access.rooms);
                all.into_iter()
                    .any(|(id, may)| id == room && may.has(Permission::View))
            };
            mentions.rooms.retain(sees);
        }
        mentions.accounts = self.who_see(place, people).await;
        mentions
    }

    /// Those of `people` who may see a room.
    async fn who_see(&self, place: Place, people: BTreeSet<AccountId>) -> BTreeSet<AccountId> {
        let asked = people.into_iter().map(|account| async move {
            match self.access.in_room(account, place.space, place.gate).await {
                Ok(_) => Some(account),
                Err(problem) => {
                    if problem.kind != ProblemKind::NotFound {
                        self.names.unresolved.inc();
                    }
                    None
                }
            }
        });
        let seen = futures::stream::iter(asked).buffer_unordered(ASKING);
        seen.filter_map(std::future::ready).collect().await
    }
}

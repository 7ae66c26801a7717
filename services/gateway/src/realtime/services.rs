//! What the WebSocket needs of everything else, in one place: tickets, accesses, workers, keys, history.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use veza_events::{AccountId, MessageId, RoomId, Scopes, SessionId, SpaceId};
use veza_platform::contract::chat::{Access, MessageChange, Post, Posted};
use veza_platform::contract::media::{CallDone, CallJoined, CallPlaced, InCall, JoinCall, PlaceCall};
use veza_platform::contract::{Caller, Problem, ProblemKind};
use veza_platform::event_log::Record;
use veza_platform::ledger::{RecordError, Recorded};
use veza_readmodel::{Range, Timeline};

use crate::changes::About;
use crate::problems;
use crate::rooms::Place;
use crate::state::Gateway;
use crate::streams::IceServer;

/// Whose socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account.
    pub account: AccountId,
    /// The session that asked for the ticket.
    pub session: SessionId,
    /// What the bot's token was good for; `None` for people.
    pub scopes: Option<Scopes>,
}

/// The rest of the gateway, as the WebSocket sees it.
pub trait Services: Send + Sync + 'static {
    /// Trades a ticket for who asked for it. Works once.
    ///
    /// # Errors
    /// `Unauthenticated` for a ticket that is unknown, used, too old, or of a session that is over.
    fn redeem(&self, ticket: String) -> BoxFuture<'_, Result<Identity, Problem>>;

    /// Whether a session was ended. Asked often, and answered from memory.
    fn is_over(&self, session: SessionId) -> bool;

    /// Where a room is.
    ///
    /// # Errors
    /// `room.not_found`; `platform.unavailable`.
    fn place_of(&self, room: RoomId) -> BoxFuture<'_, Result<Place, Problem>>;

    /// What an account may do in a space. Possibly from a cache, which follows changes by itself.
    ///
    /// # Errors
    /// When no worker answers.
    fn access(&self, space: SpaceId, account: AccountId) -> BoxFuture<'_, Result<Arc<Access>, Problem>>;

    /// Posts a message.
    ///
    /// # Errors
    /// The worker's refusal; `platform.unavailable` when the outcome is unknown.
    fn post(&self, caller: Caller, post: Post) -> BoxFuture<'_, Result<Posted, Problem>>;

    /// Notes that an account has read a room up to `seq`, or to its end. Returns which.
    ///
    /// # Errors
    /// `room.not_found`, `platform.busy`, `platform.unavailable`.
    fn mark_read(&self, account: AccountId, room: RoomId, seq: u64) -> BoxFuture<'_, Result<u64, Problem>>;

    /// Those of `others` that share a space with `account`; as of a position at least, if there is one.
    ///
    /// # Errors
    /// When the read model is away or behind.
    fn acquainted(
        &self,
        account: AccountId,
        others: Vec<AccountId>,
        at_least: Option<(String, u64)>,
    ) -> BoxFuture<'_, Result<Vec<AccountId>, Problem>>;

    /// Does something about a message.
    ///
    /// # Errors
    /// As [`Self::post`]; `message.not_found`.
    fn change(
        &self,
        caller: Caller,
        about: About,
        change: MessageChange,
    ) -> BoxFuture<'_, Result<Posted, Problem>>;

    /// Those of `messages` that were taken back, as far as is known now.
    fn deleted(&self, messages: Vec<MessageId>) -> BoxFuture<'_, Vec<MessageId>>;

    /// Asks who carries the calls of a room.
    ///
    /// # Errors
    /// The workers' refusal; `platform.unavailable` when there is none.
    fn place_call(&self, caller: Caller, place: PlaceCall) -> BoxFuture<'_, Result<CallPlaced, Problem>>;

    /// Servers that help an account to find a way to a worker; none, if nobody names any.
    fn ice_servers(&self, account: AccountId) -> Vec<IceServer> {
        let _ = account;
        Vec::new()
    }

    /// Joins the call of a room at the worker that carries it.
    ///
    /// # Errors
    /// As [`Self::place_call`].
    fn join_call(
        &self,
        worker: String,
        caller: Caller,
        join: JoinCall,
    ) -> BoxFuture<'_, Result<CallJoined, Problem>>;

    /// Does something in a call.
    ///
    /// # Errors
    /// As [`Self::place_call`].
    fn in_call(
        &self,
        worker: String,
        caller: Caller,
        command: InCall,
    ) -> BoxFuture<'_, Result<CallDone, Problem>>;

    /// Decodes a record and opens what its key opens. Ready at once when the key is known.
    ///
    /// # Errors
    /// As [`veza_platform::ledger::Ledger::read`].
    fn read(&self, record: Record) -> BoxFuture<'static, Result<Recorded, RecordError>>;

    /// At most `limit` messages of a room behind `after`, from the read model; nothing when messages from before
    /// it have changed since.
    ///
    /// # Errors
    /// When it is away.
    fn history(
        &self,
        space: SpaceId,
        room: RoomId,
        after: u64,
        limit: u16,
    ) -> BoxFuture<'_, Result<Option<Timeline>, Problem>>;
}

impl Services for Gateway {
    fn redeem(&self, ticket: String) -> BoxFuture<'_, Result<Identity, Problem>> {
        Box::pin(async move {
            let holder = self.tickets.redeem(&ticket).await?;
            let holder = holder
                .filter(|holder| !self.verifier.is_ended(holder.session))
                .ok_or_else(|| {
                    let detail = "the ticket is used up, too old, or of a session that is over; get another";
                    Problem::new(ProblemKind::Unauthenticated, "ticket.invalid", detail)
                })?;
            Ok(Identity {
                account: holder.account,
                session: holder.session,
                scopes: holder.scopes,
            })
        })
    }

    fn is_over(&self, session: SessionId) -> bool {
        self.verifier.is_ended(session)
    }

    fn place_of(&self, room: RoomId) -> BoxFuture<'_, Result<Place, Problem>> {
        Box::pin(self.rooms.place(room))
    }

    fn access(&self, space: SpaceId, account: AccountId) -> BoxFuture<'_, Result<Arc<Access>, Problem>> {
        Box::pin(self.access.of(account, space))
    }

    fn post(&self, caller: Caller, post: Post) -> BoxFuture<'_, Result<Posted, Problem>> {
        Box::pin(async move { self.say(&caller, post).await })
    }

    fn mark_read(&self, account: AccountId, room: RoomId, seq: u64) -> BoxFuture<'_, Result<u64, Problem>> {
        Box::pin(self.mark_read(account, room, seq))
    }

    fn acquainted(
        &self,
        account: AccountId,
        others: Vec<AccountId>,
        at_least: Option<(String, u64)>,
    ) -> BoxFuture<'_, Result<Vec<AccountId>, Problem>> {
        Box::pin(async move {
            if let Some((stream, seq)) = at_least {
                let within = Duration::from_millis(self.config.gateway.min_seq_wait_ms);
                let behind = self.read.wait_for(&stream, seq, within).await;
                behind.map_err(problems::of_read_model)?;
            }
            let known = self.read.acquainted(account, &others).await;
            known.map_err(problems::of_read_model)
        })
    }

    fn change(
        &self,
        caller: Caller,
        about: About,
        change: MessageChange,
    ) -> BoxFuture<'_, Result<Posted, Problem>> {
        Box::pin(async move { self.change_message(&caller, about, change).await })
    }

    fn deleted(&self, messages: Vec<MessageId>) -> BoxFuture<'_, Vec<MessageId>> {
        Box::pin(async move { self.read.deleted(&messages).await.unwrap_or_default() })
    }

    fn place_call(&self, caller: Caller, place: PlaceCall) -> BoxFuture<'_, Result<CallPlaced, Problem>> {
        Box::pin(async move { Gateway::place_call(self, &caller, &place).await })
    }

    fn ice_servers(&self, account: AccountId) -> Vec<IceServer> {
        Gateway::ice_servers(self, account)
    }

    fn join_call(
        &self,
        worker: String,
        caller: Caller,
        join: JoinCall,
    ) -> BoxFuture<'_, Result<CallJoined, Problem>> {
        Box::pin(async move { self.media(&worker, &caller, &join).await })
    }

    fn in_call(
        &self,
        worker: String,
        caller: Caller,
        command: InCall,
    ) -> BoxFuture<'_, Result<CallDone, Problem>> {
        Box::pin(async move { self.media(&worker, &caller, &command).await })
    }

    fn read(&self, record: Record) -> BoxFuture<'static, Result<Recorded, RecordError>> {
        let ledger = self.ledger.clone();
        Box::pin(async move { ledger.read(record).await })
    }

    fn history(
        &self,
        space: SpaceId,
        room: RoomId,
        after: u64,
        limit: u16,
    ) -> BoxFuture<'_, Result<Option<Timeline>, Problem>> {
        Box::pin(async move {
            let timeline = self
                .read
                .timeline(space, room, Range::After(after), limit, 0)
                .await;
            let timeline = timeline.map_err(problems::of_read_model)?;
            // Asked afterwards: what changes in between is found.
            let changed = self.read.changed_behind(room, after).await;
            let changed = changed.map_err(problems::of_read_model)?;
            Ok(Some(timeline).filter(|_| !changed))
        })
    }
}

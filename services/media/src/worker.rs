//! A worker: the calls that it carries, and the way to each.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_nats::Client;
use tokio::sync::{mpsc, oneshot};
use veza_domain::call::CallLimits;
use veza_events::{AccountId, Permission, RoomId, SpaceId};
use veza_platform::{
    contract::{
        Caller, Problem, ProblemKind,
        media::{
            CallDone, CallJoined, CallPlaced, CallSlots, CallStreamed, InCall, JoinCall, PlaceCall,
            StreamCall,
        },
    },
    ledger::Ledger,
    lifecycle::Lifecycle,
};

use crate::{
    call::{self, Ask},
    core::News,
    facts::Facts,
    placement::Placement,
    shard::Shard,
};

/// When a call is moving to another worker, how soon to ask again, milliseconds.
const MOVED_AFTER_MS: u64 = 250;

/// What all calls of a worker share.
pub(crate) struct Worker {
    pub(crate) id: String,
    pub(crate) ledger: Ledger,
    pub(crate) facts: Facts,
    pub(crate) placement: Placement,
    pub(crate) client: Client,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) limits: CallLimits,
    pub(crate) slots: CallSlots,
    pub(crate) command_queue: usize,
    pub(crate) shards: Vec<Shard>,
    pub(crate) calls: Calls,
}

/// The calls that a worker carries.
#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<RoomId, Handle>>);

/// The way to one call.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) space: SpaceId,
    pub(crate) asks: mpsc::Sender<Ask>,
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, HashMap<RoomId, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, room: RoomId) -> Option<Handle> {
        self.lock().get(&room).cloned()
    }

    /// Forgets a call, if it is this one.
    pub(crate) fn remove(&self, room: RoomId, asks: &mpsc::WeakSender<Ask>) {
        let mut calls = self.lock();
        let own = asks.upgrade();
        let is_own = |known: &Handle| own.as_ref().is_none_or(|own| own.same_channel(&known.asks));
        if calls.get(&room).is_some_and(is_own) {
            calls.remove(&room);
        }
    }

    pub(crate) fn all(&self) -> Vec<(RoomId, Handle)> {
        let calls = self.lock();
        calls.iter().map(|(room, call)| (*room, call.clone())).collect()
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }
}

impl Worker {
    /// The shard that carries a room.
    pub(crate) fn shard_of(&self, room: RoomId) -> Shard {
        let hash = room.uuid().as_bytes().iter().fold(0_usize, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(usize::from(*byte))
        });
        self.shards[hash % self.shards.len()].clone()
    }

    /// The call of a room; begins to carry it, if that is this worker's to do.
    async fn open(self: &Arc<Self>, space: SpaceId, room: RoomId) -> Result<Handle, Problem> {
        if let Some(known) = self.calls.get(room) {
            return Ok(known);
        }
        let epoch = self.placement.epoch(room).await?.ok_or_else(moved)?;
        let mut calls = self.calls.lock();
        // Somebody else may have been faster.
        if let Some(known) = calls.get(&room) {
            return Ok(known.clone());
        }
        let (asks, waiting) = mpsc::channel(self.command_queue);
        let call = call::Call::new(Arc::clone(self), space, room, epoch, asks.downgrade());
        self.lifecycle.spawn("call", call.run(waiting));
        let handle = Handle { space, asks };
        calls.insert(room, handle.clone());
        Ok(handle)
    }

    /// Tells the calls of a space that somebody's rights may have changed; everybody's, if nobody is named.
    pub(crate) async fn review(&self, space: Option<SpaceId>, account: Option<AccountId>) {
        for (_, call) in self.calls.all() {
            if space.is_none_or(|space| space == call.space) {
                // A call that is over needs no review.
                call.asks.send(Ask::Review(account)).await.ok();
            }
        }
    }

    /// Looks whether the calls are still this worker's: it may have been away for longer than its lease.
    pub(crate) async fn doubt(&self) {
        for (_, call) in self.calls.all() {
            call.asks.send(Ask::Doubt).await.ok();
        }
    }

    /// Passes on what the shards tell.
    pub(crate) async fn pass_on(&self, mut news: mpsc::Receiver<News>) {
        while let Some(news) = news.recv().await {
            let (News::Connected(room, _)
            | News::Gone(room, _)
            | News::Speakers(room, _)
            | News::Slots(room, ..)) = news;
            if let Some(call) = self.calls.get(room) {
                call.asks.send(Ask::News(news)).await.ok();
            }
        }
    }

    /// Ends all calls: this worker stops.
    pub(crate) async fn drain(&self) {
        for (_, call) in self.calls.all() {
            call.asks.send(Ask::Drain).await.ok();
        }
        while !self.calls.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

pub(crate) async fn place(
    worker: Arc<Worker>,
    caller: Caller,
    command: PlaceCall,
) -> Result<CallPlaced, Problem> {
    let PlaceCall { space, room } = command;
    let account = caller.account()?;
    let rights = worker.facts.rights(space, account).await?;
    rights
        .space
        .requires_in_room(room, &rights.membership, account, Permission::View)?;
    worker.placement.find_or_take(room).await
}

pub(crate) async fn join(
    worker: Arc<Worker>,
    caller: Caller,
    command: JoinCall,
) -> Result<CallJoined, Problem> {
    let call = worker.open(command.space, command.room).await?;
    let (answer, answered) = oneshot::channel();
    ask(&call, Ask::Join(caller, command, answer), answered).await
}

pub(crate) async fn stream(
    worker: Arc<Worker>,
    caller: Caller,
    command: StreamCall,
) -> Result<CallStreamed, Problem> {
    let call = worker.open(command.space, command.room).await?;
    let (answer, answered) = oneshot::channel();
    ask(&call, Ask::Stream(caller, command, answer), answered).await
}

pub(crate) async fn act(worker: Arc<Worker>, caller: Caller, command: InCall) -> Result<CallDone, Problem> {
    let call = worker
        .calls
        .get(command.room)
        .ok_or(veza_domain::call::CallRejection::NotOpen)?;
    let (answer, answered) = oneshot::channel();
    ask(&call, Ask::Act(caller, Box::new(command), answer), answered).await
}

async fn ask<T>(
    call: &Handle,
    ask: Ask,
    answered: oneshot::Receiver<Result<T, Problem>>,
) -> Result<T, Problem> {
    match call.asks.try_send(ask) {
        Ok(()) => {}
        Err(mpsc::error::TrySendError::Full(_)) => {
            let problem = Problem::new(
                ProblemKind::TooMany,
                "call.busy",
                "too much is going on in this call; try again",
            );
            return Err(Problem {
                retry_after_ms: Some(MOVED_AFTER_MS),
                ..problem
            });
        }
        Err(mpsc::error::TrySendError::Closed(_)) => return Err(moved()),
    }
    answered.await.map_err(|_| moved())?
}

/// The call ended, or went to another worker, while it was asked.
fn moved() -> Problem {
    Problem::unavailable("the call is moving; join again", MOVED_AFTER_MS)
}

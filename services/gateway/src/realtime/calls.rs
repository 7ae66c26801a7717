//! Calls over the WebSocket: a socket is in one call at most. What is asked goes to the worker that carries the call,
//! what the worker tells comes back as frames that are passed on as they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::StreamExt;
use tokio::task::AbortHandle;
use veza_events::{AccountId, CommandId, ParticipantId, RoomId, SpaceId, TrackId};
use veza_platform::contract::media::{
    CallAction, CallDone, CallJoined, CallPlaced, InCall, JoinCall, PlaceCall, signals_of,
};
use veza_platform::contract::{Caller, Problem, ProblemKind};

use super::commands::Session;
use super::frames::{Frame, Outgoing};
use super::hub::Hub;
use super::sockets::SocketKey;
use crate::streams::patiently;

/// What is asked of a call.
#[derive(Debug)]
pub(super) enum CallCommand {
    /// Be in the call of a room.
    Join(RoomId, CommandId),
    /// Mute a track of one's own, or let it be heard again.
    MuteOwn {
        command: CommandId,
        track: TrackId,
        muted: bool,
    },
    /// Something else in the call.
    Act(Option<CommandId>, CallAction),
    /// Be in it no more.
    Leave(CommandId),
}

/// The calls that the sockets of this gateway are in.
#[derive(Debug, Default)]
pub(super) struct Calls(Mutex<HashMap<SocketKey, Stay>>);

/// A socket in a call.
#[derive(Clone, Debug)]
struct Stay {
    account: AccountId,
    room: RoomId,
    participant: ParticipantId,
    worker: String,
    /// Passes on what the worker tells.
    signals: AbortHandle,
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, HashMap<SocketKey, Stay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: SocketKey) -> Result<Stay, Problem> {
        self.lock().get(&key).cloned().ok_or_else(|| {
            let detail = "this socket is in no call; send `call.join` first";
            Problem::new(ProblemKind::Conflict, "call.not_joined", detail)
        })
    }

    fn take(&self, key: SocketKey) -> Option<Stay> {
        let stay = self.lock().remove(&key)?;
        stay.signals.abort();
        Some(stay)
    }
}

impl Hub {
    /// A socket has closed: whoever it was is in no call any more. The worker would notice by itself, but later.
    pub(super) fn leave_call(self: &Arc<Self>, key: SocketKey) {
        let Some(stay) = self.calls.take(key) else { return };
        let hub = Arc::clone(self);
        self.lifecycle.spawn("leave call", async move {
            let caller = Caller::asking(stay.account);
            if let Err(problem) = hub.act(caller, &stay, CallAction::Leave { gone: true }).await {
                tracing::debug!(%problem, "a call could not be left");
            }
        });
    }

    async fn act(&self, caller: Caller, stay: &Stay, action: CallAction) -> Result<CallDone, Problem> {
        let command = InCall {
            room: stay.room,
            participant: stay.participant,
            action,
        };
        self.services.in_call(stay.worker.clone(), caller, command).await
    }
}

impl Session {
    /// Does what is asked of a call, and answers.
    pub(super) async fn call(&self, id: u64, call: CallCommand) -> Result<(), Problem> {
        let (command, action) = match call {
            CallCommand::Join(room, command) => return self.join_call(id, room, command).await,
            CallCommand::Leave(command) => {
                let stay = self.hub.calls.take(self.peer.key);
                if let Some(stay) = stay {
                    let leave = CallAction::Leave { gone: false };
                    self.hub.act(self.caller(command), &stay, leave).await?;
                }
                self.done(id, std::collections::BTreeMap::new());
                return Ok(());
            }
            CallCommand::MuteOwn {
                command,
                track,
                muted,
            } => {
                let participant = self.hub.calls.get(self.peer.key)?.participant;
                let mute = CallAction::Mute {
                    participant,
                    track,
                    muted,
                };
                (Some(command), mute)
            }
            CallCommand::Act(command, action) => (command, action),
        };
        let stay = self.hub.calls.get(self.peer.key)?;
        let caller = match command {
            Some(command) => self.caller(command),
            None => Caller::asking(stay.account),
        };
        match self.hub.act(caller, &stay, action).await? {
            CallDone::Done => self.done(id, std::collections::BTreeMap::new()),
            CallDone::Answered { sdp } => {
                let answer = Outgoing::CallAnswer { id, sdp: &sdp };
                self.peer.outbox.push(&answer.frame());
            }
            CallDone::Patched { .. } => {
                return Err(Problem::internal(
                    &"another answer than to anything that a frame asks",
                ));
            }
            CallDone::Published { track } => {
                self.peer
                    .outbox
                    .push(&Outgoing::CallPublished { id, track }.frame());
            }
        }
        Ok(())
    }

    fn caller(&self, command: CommandId) -> Caller {
        Caller {
            command,
            account: Some(self.peer.identity.account),
            session: Some(self.peer.identity.session),
            seen: None,
        }
    }

    async fn join_call(&self, id: u64, room: RoomId, command: CommandId) -> Result<(), Problem> {
        let (hub, peer) = (&self.hub, &self.peer);
        let account = peer.identity.account;
        hub.leave_call(peer.key);
        let space = hub.services.place_of(room).await?.space;
        // Before it is joined, so that nothing is missed that is told at once.
        let participant: ParticipantId = command.derive(account.uuid(), "participant");
        let away = |_| Problem::unavailable("the message bus is away; try again", 1_000);
        let mut signals = hub
            .client
            .subscribe(signals_of(participant))
            .await
            .map_err(away)?;
        let (placed, joined) = self.join_where_it_is(space, room, command).await?;
        let frame = Outgoing::CallJoined {
            id,
            room,
            call: joined.call,
            participant: joined.participant,
            participants: &joined.participants,
            ice_servers: &hub.services.ice_servers(account),
            slots: joined.slots,
        };
        peer.outbox.push(&frame.frame());
        let outbox = Arc::clone(&peer.outbox);
        let passing = hub.lifecycle.spawn("call signals", async move {
            while let Some(signal) = signals.next().await {
                outbox.push(&Frame::text(&signal.payload));
            }
        });
        let stay = Stay {
            account,
            room,
            participant,
            worker: placed.worker,
            signals: passing,
        };
        hub.calls.lock().insert(peer.key, stay);
        // The socket may have closed meanwhile.
        if hub.sockets.outbox(peer.key).is_none() {
            hub.leave_call(peer.key);
        }
        Ok(())
    }

    /// Joins at the worker that carries the call, whichever that is by now.
    async fn join_where_it_is(
        &self,
        space: SpaceId,
        room: RoomId,
        command: CommandId,
    ) -> Result<(CallPlaced, CallJoined), Problem> {
        let services = &self.hub.services;
        patiently(|| async {
            let place = PlaceCall { space, room };
            let placed = services.place_call(self.caller(command), place).await?;
            let join = JoinCall { space, room };
            let joined = services.join_call(placed.worker.clone(), self.caller(command), join);
            let joined = joined.await?;
            Ok((placed, joined))
        })
        .await
    }
}

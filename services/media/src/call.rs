//! The call of one room: asked one thing after the other, so that nothing is held locked while the log is waited for.
//! Decides, appends, and only then lets the shard and the people know.

mod connection;
mod stream;
mod telling;

use std::{collections::HashMap, sync::Arc};

use tokio::sync::{mpsc, oneshot};
use veza_domain::{
    Decider,
    call::{Call as Calls, CallCommand, CallContext, CallState, Shown},
};
use veza_events::{
    AccountId, Event, ParticipantId, RoomId, SpaceId, Subject, TrackId, call::CallEvent, member::Membership,
};
use veza_platform::{
    contract::{
        Caller, Command, Problem,
        media::{CallAction, CallDone, CallJoined, CallSignal, CallStreamed, InCall, JoinCall, StreamCall},
    },
    event_log::{Expect, Position, StreamName},
    ledger::Write,
};

use crate::{
    core::{News, Publish, Wishes},
    facts,
    shard::{self, Shard},
    worker::Worker,
};

/// Tries to read what was just written, from a replica that may be behind.
const READS: usize = 20;
const READ_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

/// What a call is asked.
pub(crate) enum Ask {
    Join(Caller, JoinCall, oneshot::Sender<Result<CallJoined, Problem>>),
    Stream(Caller, StreamCall, oneshot::Sender<Result<CallStreamed, Problem>>),
    Act(Caller, Box<InCall>, oneshot::Sender<Result<CallDone, Problem>>),
    /// What the shard tells.
    News(News),
    /// The rights of somebody, or of everybody, may have changed.
    Review(Option<AccountId>),
    /// Another worker may carry it by now.
    Doubt,
    /// The worker stops.
    Drain,
}

/// The call of one room.
pub(crate) struct Call {
    worker: Arc<Worker>,
    space: SpaceId,
    room: RoomId,
    epoch: u64,
    shard: Shard,
    subject: Subject,
    state: CallState,
    /// The last event that `state` knows.
    seq: u64,
    /// Who spoke when it was told last.
    speakers: Vec<TrackId>,
    asks: mpsc::WeakSender<Ask>,
}

impl Call {
    pub(crate) fn new(
        worker: Arc<Worker>,
        space: SpaceId,
        room: RoomId,
        epoch: u64,
        asks: mpsc::WeakSender<Ask>,
    ) -> Self {
        Self {
            shard: worker.shard_of(room),
            subject: worker.facts.call_subject(space, room),
            worker,
            space,
            room,
            epoch,
            state: CallState::default(),
            seq: 0,
            speakers: Vec::new(),
            asks,
        }
    }

    /// Answers until the call is over.
    pub(crate) async fn run(mut self, mut asks: mpsc::Receiver<Ask>) {
        match self.take_over().await {
            Ok(()) => {
                while let Some(ask) = asks.recv().await {
                    if self.answer(ask).await {
                        break;
                    }
                }
            }
            Err(problem) => tracing::warn!(%problem, "a call cannot be carried now"),
        }
        self.worker.calls.remove(self.room, &self.asks);
        self.worker.placement.release(self.room, self.epoch).await;
    }

    /// What the log has; a call that another worker has left open is over, since nobody can be in it any more.
    async fn take_over(&mut self) -> Result<(), Problem> {
        self.worker
            .facts
            .call(&self.subject, (&mut self.state, &mut self.seq))
            .await?;
        if self.state.call.is_some() {
            self.abandon().await?;
        }
        Ok(())
    }

    /// Whether the call is over.
    async fn answer(&mut self, ask: Ask) -> bool {
        match ask {
            // Who does not wait for the answer any more asks again.
            Ask::Join(caller, command, answer) => drop(answer.send(self.join(&caller, &command).await)),
            Ask::Stream(caller, command, answer) => drop(answer.send(self.stream(&caller, &command).await)),
            Ask::Act(caller, command, answer) => drop(answer.send(self.act(&caller, &command).await)),
            Ask::News(news) => self.hear(news).await,
            Ask::Review(account) => self.review(account).await,
            Ask::Doubt => match self.worker.placement.epoch(self.room).await {
                Ok(epoch) if epoch == Some(self.epoch) => {}
                Ok(_) => {
                    self.drop_all().await;
                    return true;
                }
                Err(problem) => tracing::debug!(%problem, "a placement could not be looked at"),
            },
            Ask::Drain => {
                if self.state.call.is_some()
                    && let Err(problem) = self.abandon().await
                {
                    tracing::warn!(%problem, "the end of a call could not be stored; who takes over does it");
                    self.drop_all().await;
                }
                return true;
            }
        }
        self.state.call.is_none()
    }

    async fn join(&mut self, caller: &Caller, command: &JoinCall) -> Result<CallJoined, Problem> {
        let account = caller.account()?;
        let participant = caller.command.derive(account.uuid(), "participant");
        let join = CallCommand::Join {
            call: caller.command.derive(account.uuid(), "call"),
            participant,
        };
        let position = self.decide(caller, command, &join).await?;
        let call = self
            .state
            .call
            .filter(|_| self.state.participants.contains_key(&participant))
            // The command was done before, and whoever it was has left since.
            .ok_or(veza_domain::call::CallRejection::NotIn)?;
        // Others have heard of it, and it may be long until that changes.
        if !self.speakers.is_empty() {
            let tracks = self.speakers.clone();
            self.signal(participant, &CallSignal::Speakers { tracks }).await;
        }
        Ok(CallJoined {
            call,
            participant,
            participants: self.participants(),
            slots: self.worker.slots,
            position,
        })
    }

    async fn act(&mut self, caller: &Caller, command: &InCall) -> Result<CallDone, Problem> {
        let (account, participant) = (caller.account()?, command.participant);
        let own = self.state.own(participant, account);
        match &command.action {
            CallAction::Offer { sdp } => {
                own?;
                self.offer(participant, sdp).await
            }
            CallAction::Candidate { candidate } => {
                own?;
                self.candidate(participant, candidate).await
            }
            CallAction::Patch { fragment, connection } => {
                own?;
                self.patch(participant, fragment, connection.as_deref()).await
            }
            CallAction::View {
                visible,
                pinned,
                last_n,
                highest,
            } => {
                own?;
                let wishes = Wishes {
                    visible: visible.clone(),
                    pinned: pinned.clone(),
                    last_n: *last_n,
                    highest: highest.iter().copied().collect(),
                };
                self.shard.ask(shard::Ask::Wish(participant, wishes)).await;
                Ok(CallDone::Done)
            }
            action => self.act_in_log(caller, command, action).await,
        }
    }

    /// What the log is told of.
    async fn act_in_log(
        &mut self,
        caller: &Caller,
        command: &InCall,
        action: &CallAction,
    ) -> Result<CallDone, Problem> {
        let (account, participant) = (caller.account()?, command.participant);
        let asked = match action {
            CallAction::Publish {
                cid,
                source,
                codec,
                rids,
            } => {
                let track: TrackId = caller.command.derive(account.uuid(), "track");
                let publish = CallCommand::Publish {
                    participant,
                    shown: Shown {
                        track,
                        source: *source,
                        codec: codec.clone(),
                        layers: rids.clone(),
                    },
                };
                self.decide(caller, command, &publish).await?;
                let publish = Publish {
                    track,
                    mid: cid.clone(),
                    source: *source,
                    layers: rids.clone(),
                };
                self.shard.ask(shard::Ask::Publish(participant, publish)).await;
                return Ok(CallDone::Published { track });
            }
            CallAction::Unpublish { track } => CallCommand::Unpublish {
                participant,
                track: *track,
            },
            CallAction::Mute {
                participant,
                track,
                muted,
            } => CallCommand::Mute {
                participant: *participant,
                track: *track,
                muted: *muted,
            },
            CallAction::Kick { participant } => CallCommand::Kick {
                participant: *participant,
            },
            CallAction::End => CallCommand::End,
            CallAction::Leave { gone } => CallCommand::Leave {
                participant,
                gone: *gone,
            },
            // Nothing of these goes into the log.
            CallAction::Offer { .. }
            | CallAction::Candidate { .. }
            | CallAction::Patch { .. }
            | CallAction::View { .. } => return Ok(CallDone::Done),
        };
        self.decide(caller, command, &asked).await?;
        Ok(CallDone::Done)
    }

    /// Decides on what the log has, appends, and lets everybody know. Gives the position of the last event.
    async fn decide<C: Command>(
        &mut self,
        caller: &Caller,
        command: &C,
        ask: &CallCommand,
    ) -> Result<Position, Problem> {
        let actor = caller.account()?;
        let this = &*self;
        let (worker, subject) = (&this.worker, &this.subject);
        let written = worker
            .ledger
            .execute(caller, command, subject, |race| async move {
                let rights = worker.facts.rights(this.space, actor).await?;
                let (mut state, mut seq) = (this.state.clone(), this.seq);
                if race > 0 {
                    // Only another worker can have been faster.
                    this.still_ours().await?;
                    worker.facts.call(subject, (&mut state, &mut seq)).await?;
                }
                let context = CallContext {
                    room: this.room,
                    space: &rights.space,
                    actor,
                    membership: &rights.membership,
                    blocked: rights.blocked,
                    limits: worker.limits,
                };
                let facts = Calls::decide(&state, &context, ask.clone())?;
                Ok(writes(subject, seq, facts))
            })
            .await?;
        let last = written.last().map_or(self.seq, |position| position.seq);
        self.catch_up(last).await?;
        Ok(Position {
            stream: StreamName::from(self.subject.stream().as_str()),
            seq: self.seq,
        })
    }

    async fn still_ours(&self) -> Result<(), Problem> {
        match self.worker.placement.epoch(self.room).await? {
            Some(epoch) if epoch == self.epoch => Ok(()),
            Some(_) | None => Err(Problem::unavailable("the call is moving; join again", 250)),
        }
    }

    /// Nobody can be in the call any more.
    async fn abandon(&mut self) -> Result<(), Problem> {
        let caller = Caller {
            account: None,
            ..Caller::asking(AccountId::new(uuid::Uuid::nil()))
        };
        let worker = &self.worker;
        let space = worker.facts.space(self.space).await?;
        let membership = Membership::default();
        let context = CallContext {
            room: self.room,
            space: &space,
            actor: AccountId::new(uuid::Uuid::nil()),
            membership: &membership,
            blocked: false,
            limits: worker.limits,
        };
        let facts = Calls::decide(&self.state, &context, CallCommand::Abandon)?;
        let writes = writes(&self.subject, self.seq, facts);
        let command = JoinCall {
            space: self.space,
            room: self.room,
        };
        let written = worker
            .ledger
            .execute(&caller, &command, &self.subject, |_| {
                let writes = writes.clone();
                async move { Ok(writes) }
            })
            .await?;
        let reconnect = CallSignal::Reconnect { room: self.room };
        for participant in self.state.participants.keys() {
            self.signal(*participant, &reconnect).await;
        }
        let last = written.last().map_or(self.seq, |position| position.seq);
        self.catch_up(last).await
    }

    /// Somebody else carries the call: whoever is here goes there.
    async fn drop_all(&mut self) {
        let reconnect = CallSignal::Reconnect { room: self.room };
        for participant in self.state.participants.keys() {
            self.signal(*participant, &reconnect).await;
            self.shard.ask(shard::Ask::Leave(*participant)).await;
        }
    }

    /// Takes in what was written, as the log has it, and lets the shard and the people know.
    async fn catch_up(&mut self, last: u64) -> Result<(), Problem> {
        for attempt in 0..READS {
            if attempt > 0 {
                tokio::time::sleep(READ_PAUSE).await;
            }
            let before: Vec<ParticipantId> = self.state.participants.keys().copied().collect();
            let place = (&mut self.state, &mut self.seq);
            let records = self.worker.facts.call(&self.subject, place).await?;
            for record in &records {
                if let Some(Event::Call(event)) = facts::decode(record)? {
                    self.apply(&event, &before).await;
                    self.announce(record, &event, &before).await;
                }
            }
            if self.seq >= last {
                return Ok(());
            }
        }
        Err(Problem::unavailable(
            "the event log is catching up; try again",
            250,
        ))
    }

    async fn review(&mut self, account: Option<AccountId>) {
        let stays: HashMap<ParticipantId, AccountId> = self
            .state
            .participants
            .iter()
            .filter(|(_, stay)| account.is_none_or(|account| account == stay.account))
            .map(|(participant, stay)| (*participant, stay.account))
            .collect();
        for (participant, account) in stays {
            let caller = Caller::asking(account);
            let command = InCall {
                room: self.room,
                participant,
                action: CallAction::Leave { gone: true },
            };
            let review = CallCommand::Review { participant };
            if let Err(problem) = self.decide(&caller, &command, &review).await {
                tracing::warn!(%problem, "the rights of a participant could not be looked at");
            }
        }
    }
}

fn writes(subject: &Subject, seq: u64, facts: Vec<CallEvent>) -> Vec<Write> {
    let mut expect = Some(Expect::Last(seq));
    let write = |event: CallEvent| Write {
        subject: subject.clone(),
        expect: expect.take().unwrap_or(Expect::Any),
        event: event.into(),
    };
    facts.into_iter().map(write).collect()
}

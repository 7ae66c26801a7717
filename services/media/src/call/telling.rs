//! What is told of a call: to the shard, to the people in it, and by the shard.

use veza_events::{ParticipantId, Timestamp, call::CallEvent};
use veza_platform::{
    contract::{
        Caller, ProblemKind,
        media::{
            CallAction, CallParticipant, CallSignal, CallSlot, CallTrack, InCall, PausedReason, signals_of,
        },
    },
    event_log::Record,
};

use super::Call;
use crate::{
    core::{News, SlotView},
    shard,
};

impl Call {
    /// What a fact means for the packets.
    pub(super) async fn apply(&self, event: &CallEvent, before: &[ParticipantId]) {
        let asks = match event {
            CallEvent::Opened(_) | CallEvent::TrackPublished(_) => Vec::new(),
            CallEvent::ParticipantJoined(event) => vec![shard::Ask::Join(self.room, event.participant)],
            CallEvent::ParticipantLeft(event) => vec![shard::Ask::Leave(event.participant)],
            CallEvent::TrackMuted(event) => vec![shard::Ask::Mute(self.room, event.track, event.muted)],
            CallEvent::TrackUnpublished(event) => {
                vec![shard::Ask::Unpublish(event.participant, event.track)]
            }
            CallEvent::Closed(_) => before.iter().copied().map(shard::Ask::Leave).collect(),
        };
        for ask in asks {
            self.shard.ask(ask).await;
        }
    }

    /// Tells everybody in the call, and who has just left it.
    pub(super) async fn announce(&self, record: &Record, event: &CallEvent, before: &[ParticipantId]) {
        let signal = CallSignal::Event {
            room: self.room,
            seq: record.position.seq,
            kind: event.kind().to_owned(),
            at: Timestamp::from(record.time),
            data: serde_json::from_slice(&record.payload).unwrap_or_default(),
        };
        let new = self
            .state
            .participants
            .keys()
            .filter(|known| !before.contains(known));
        for participant in before.iter().chain(new) {
            self.signal(*participant, &signal).await;
        }
    }

    pub(super) async fn signal(&self, participant: ParticipantId, signal: &CallSignal) {
        let bytes = serde_json::to_vec(signal).expect("signals are plain data");
        let subject = signals_of(participant);
        if let Err(error) = self.worker.client.publish(subject, bytes.into()).await {
            tracing::debug!(%error, "a signal could not be sent");
        }
    }

    pub(super) async fn hear(&mut self, news: News) {
        match news {
            News::Connected(..) => {}
            News::Gone(_, participant) => {
                if let Some(stay) = self.state.participants.get(&participant) {
                    let caller = Caller::asking(stay.account);
                    let gone = CallAction::Leave { gone: true };
                    self.of_itself(&caller, participant, gone).await;
                }
            }
            News::Slots(_, participant, slots) => {
                let slots = slots.into_iter().map(slot).collect();
                self.signal(participant, &CallSignal::Slots { slots }).await;
            }
            News::Speakers(_, tracks) => {
                self.speakers.clone_from(&tracks);
                let speakers = CallSignal::Speakers { tracks };
                for participant in self.state.participants.keys() {
                    self.signal(*participant, &speakers).await;
                }
            }
        }
    }

    pub(super) async fn of_itself(
        &mut self,
        caller: &Caller,
        participant: ParticipantId,
        action: CallAction,
    ) {
        let command = InCall {
            room: self.room,
            participant,
            action,
        };
        match self.act(caller, &command).await {
            Ok(_) => {}
            Err(problem) if problem.kind == ProblemKind::NotFound => {}
            Err(problem) => tracing::warn!(%problem, "what has become of a participant could not be stored"),
        }
    }

    pub(super) fn participants(&self) -> Vec<CallParticipant> {
        let of = |(participant, stay): (&ParticipantId, &veza_domain::call::Participant)| CallParticipant {
            participant: *participant,
            account: stay.account,
            tracks: stay
                .tracks
                .iter()
                .map(|(track, known)| CallTrack {
                    track: *track,
                    source: known.source,
                    muted: known.muted,
                })
                .collect(),
        };
        self.state.participants.iter().map(of).collect()
    }
}

fn slot(view: SlotView) -> CallSlot {
    let waits = view.track.is_some() && view.layer.is_none();
    CallSlot {
        mid: view.mid,
        track: view.track,
        layer: view.layer,
        paused_reason: waits.then_some(PausedReason::NotReceived),
    }
}

//! A stay that comes with one description and says no more: WHIP and WHEP.

use veza_domain::call::{CallCommand, CallRejection, Shown};
use veza_events::{ParticipantId, call::TrackSource};
use veza_platform::contract::{
    Caller, Problem,
    media::{CallAction, CallStreamed, StreamCall},
};

use super::{
    Call,
    connection::{MAX_SDP, bad_offer},
};
use crate::{
    core::{Publish, offered},
    shard,
};

impl Call {
    /// Somebody comes in with all that they show, or only to watch.
    pub(super) async fn stream(
        &mut self,
        caller: &Caller,
        command: &StreamCall,
    ) -> Result<CallStreamed, Problem> {
        let account = caller.account()?;
        if command.sdp.len() > MAX_SDP {
            return Err(bad_offer("the description is longer than 60,000 bytes"));
        }
        let publishes = publishes(caller, command)?;
        let participant = caller.command.derive(account.uuid(), "participant");
        let shows = publishes.iter().map(|(_, shown)| shown.clone()).collect();
        let ask = CallCommand::Stream {
            call: caller.command.derive(account.uuid(), "call"),
            participant,
            shows,
        };
        let position = self.decide(caller, command, &ask).await?;
        if !self.state.participants.contains_key(&participant) {
            // The command was done before, and whoever it was has left since.
            return Err(CallRejection::NotIn.into());
        }
        for (publish, _) in publishes {
            self.shard.ask(shard::Ask::Publish(participant, publish)).await;
        }
        match self.answer_of(participant, &command.sdp).await {
            Ok(answered) => Ok(CallStreamed {
                participant,
                sdp: answered.sdp,
                connection: answered.connection,
                position,
            }),
            Err(problem) => {
                self.never_came(account, participant).await;
                Err(problem)
            }
        }
    }

    /// Takes out who could not be answered.
    async fn never_came(&mut self, account: veza_events::AccountId, participant: ParticipantId) {
        let leave = CallAction::Leave { gone: true };
        self.of_itself(&Caller::asking(account), participant, leave).await;
    }
}

/// What a stream shows, for the shard and for the log.
fn publishes(caller: &Caller, command: &StreamCall) -> Result<Vec<(Publish, Shown)>, Problem> {
    if !command.shows {
        return Ok(Vec::new());
    }
    let account = caller.account()?;
    let lines = offered(&command.sdp).map_err(|error| bad_offer(&error.to_string()))?;
    if lines.is_empty() {
        return Err(bad_offer(
            "the description sends nothing; a stream has sound or pictures",
        ));
    }
    let of_line = |line: crate::core::Offered| {
        let source = if line.is_audio {
            TrackSource::Microphone
        } else {
            TrackSource::Camera
        };
        let track = caller
            .command
            .derive(account.uuid(), &format!("track {}", line.mid));
        let shown = Shown {
            track,
            source,
            codec: line.codec,
            layers: line.layers.clone(),
        };
        let publish = Publish {
            track,
            mid: line.mid,
            source,
            layers: line.layers,
        };
        (publish, shown)
    };
    Ok(lines.into_iter().map(of_line).collect())
}

//! The connection of one stay: descriptions and parts of them go to the shard, and nothing of it into the log.

use tokio::sync::oneshot;
use veza_domain::call::CallRejection;
use veza_events::ParticipantId;
use veza_platform::contract::{Problem, ProblemKind, media::CallDone};

use super::Call;
use crate::{
    core::{Answered, PatchError, Patched},
    shard,
};

/// Longest description of a connection that is looked at, in bytes.
pub(super) const MAX_SDP: usize = 60_000;

impl Call {
    pub(super) async fn offer(&self, participant: ParticipantId, sdp: &str) -> Result<CallDone, Problem> {
        let answered = self.answer_of(participant, sdp).await?;
        Ok(CallDone::Answered { sdp: answered.sdp })
    }

    /// The answer of the shard to a description.
    pub(super) async fn answer_of(&self, participant: ParticipantId, sdp: &str) -> Result<Answered, Problem> {
        if sdp.len() > MAX_SDP {
            return Err(bad_offer("the description is longer than 60,000 bytes"));
        }
        let (answer, answered) = oneshot::channel();
        let asked = self
            .shard
            .ask(shard::Ask::Offer(participant, sdp.to_owned(), answer))
            .await;
        match answered.await {
            Ok(Ok(answered)) if asked => Ok(answered),
            Ok(Err(error)) => Err(bad_offer(&error.to_string())),
            Ok(Ok(_)) | Err(_) => Err(Problem::unavailable("the worker is stopping; join again", 250)),
        }
    }

    pub(super) async fn candidate(
        &self,
        participant: ParticipantId,
        candidate: &str,
    ) -> Result<CallDone, Problem> {
        let (answer, answered) = oneshot::channel();
        let ask = shard::Ask::Candidate(participant, candidate.to_owned(), answer);
        if self.shard.ask(ask).await && answered.await.unwrap_or(false) {
            return Ok(CallDone::Done);
        }
        let detail = "this is no candidate; pass the text of the browser's as it is";
        Err(Problem::field("call.candidate_invalid", "candidate", detail))
    }

    /// More about the way to a stream, or a new beginning of its connection.
    pub(super) async fn patch(
        &self,
        participant: ParticipantId,
        fragment: &str,
        connection: Option<&str>,
    ) -> Result<CallDone, Problem> {
        let refused = |detail: &str| Problem::field("call.candidate_invalid", "body", detail);
        if fragment.len() > MAX_SDP {
            return Err(refused("the part is longer than 60,000 bytes"));
        }
        let (answer, answered) = oneshot::channel();
        let connection = connection.map(str::to_owned);
        let ask = shard::Ask::Patch(participant, fragment.to_owned(), connection, answer);
        let asked = self.shard.ask(ask).await;
        match answered.await {
            Ok(Ok(Patched { fragment, connection })) if asked => {
                Ok(CallDone::Patched { fragment, connection })
            }
            Ok(Err(PatchError::Stale)) => Err(Problem::new(
                ProblemKind::Stale,
                "request.precondition_failed",
                "the connection has begun anew since; pass the `ETag` of the latest answer",
            )),
            Ok(Err(error @ PatchError::Bad(_))) => Err(refused(&error.to_string())),
            Ok(Err(PatchError::NoPeer)) => Err(CallRejection::NotIn.into()),
            Ok(Ok(_)) | Err(_) => Err(Problem::unavailable("the worker is stopping; join again", 250)),
        }
    }
}

pub(super) fn bad_offer(detail: &str) -> Problem {
    Problem::field("call.offer_invalid", "sdp", detail)
}

//! Files that go with a message: looked up before the decision, taken between it and the append.

use veza_domain::room::Offer;
use veza_events::{AttachmentId, MessageId};
use veza_platform::{contract::Problem, ledger::Write};

use crate::worker::Worker;

/// Decides with the files that are asked for, and takes them for `message` once it is allowed. A worker that
/// dies before its append leaves them taken: a repeat of the command finds them its own.
pub(super) async fn taking<F>(
    worker: &Worker,
    asked: &[AttachmentId],
    message: MessageId,
    decide: impl FnOnce(Vec<Offer>) -> F,
) -> Result<Vec<Write>, Problem>
where
    F: Future<Output = Result<Vec<Write>, Problem>>,
{
    let mut offers = Vec::new();
    // One more than may be, so that too many are noticed without being looked up.
    for id in asked.iter().take(worker.limits.body.attachments + 1) {
        offers.push(match worker.uploads.get(*id).await? {
            None => Offer::Unknown,
            Some(upload) => Offer::Upload {
                by: upload.by,
                room: upload.room,
                taken_by: upload.taken_by,
                file: Box::new(upload.attachment),
            },
        });
    }
    let writes = decide(offers).await?;
    if !writes.is_empty() {
        for id in asked {
            worker.uploads.take(*id, message).await?;
        }
    }
    Ok(writes)
}

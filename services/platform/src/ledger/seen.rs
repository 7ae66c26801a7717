//! Commands of somebody who says what they have seen (`If-Match`): refused when that has changed since, by what
//! the log says and not by what a read model or a memory knows.

use std::future::Future;

use veza_events::{Event, Subject};

use super::execute::{MAX_RACES, Write};
use super::{Ledger, read_envelope, read_problem, record_problem};
use crate::contract::{Caller, Problem, ProblemKind};
use crate::event_log::{Expect, StreamName};

/// Who has seen an aggregate so many events ago has to look again, whatever they say.
const SEEN_RECORDS: usize = 500;

/// What a command changes.
#[derive(Clone, Copy)]
pub struct About<'a> {
    /// The aggregate in whose tail an earlier try of the same command would be found.
    pub primary: &'a Subject,
    /// Where else that may lie.
    pub or: Option<&'a Subject>,
    /// Whether an event of it changed what the command is about: if so, who saw it before has to look again.
    pub concerns: &'a (dyn Fn(&Event) -> bool + Sync),
}

impl<'a> From<&'a Subject> for About<'a> {
    /// The whole aggregate.
    fn from(primary: &'a Subject) -> Self {
        Self {
            primary,
            or: None,
            concerns: &|_| true,
        }
    }
}

/// Whether what a command is about is still as its caller has seen it.
enum Seen {
    Still,
    Changed,
    /// The decision was made on older facts than the caller's.
    Behind,
}

impl Ledger {
    /// What is decided, on facts that are not older than what the caller has seen; `None` when it must be decided
    /// again.
    pub(super) async fn decided(
        &self,
        caller: &Caller,
        about: About<'_>,
        race: u32,
        decision: impl Future<Output = Result<Vec<Write>, Problem>>,
    ) -> Result<Option<Vec<Write>>, Problem> {
        let writes = decision.await?;
        let Some(seen) = caller.seen else {
            return Ok(Some(writes));
        };
        match self.seen(about, seen, &writes).await? {
            Seen::Still => Ok(Some(writes)),
            Seen::Behind if race < MAX_RACES => Ok(None),
            Seen::Changed | Seen::Behind => Err(Problem::new(
                ProblemKind::Stale,
                "request.precondition_failed",
                "it has changed since you saw it; read it again and decide anew",
            )),
        }
    }

    async fn seen(&self, about: About<'_>, seen: u64, writes: &[Write]) -> Result<Seen, Problem> {
        let own = writes.iter().find(|write| write.subject == *about.primary);
        let decided_on = own.and_then(|write| match write.expect {
            Expect::Last(seq) => Some(seq),
            Expect::Fence { .. } | Expect::Any => None,
        });
        match decided_on {
            Some(seq) if seq == seen => return Ok(Seen::Still),
            Some(seq) if seq < seen => return Ok(Seen::Behind),
            Some(_) | None => {}
        }
        let stream = StreamName::from(about.primary.stream().as_str());
        let subject = about.primary.to_string();
        let page = self.log.page(&stream, seen, SEEN_RECORDS, Some(&subject), None);
        let page = page.await.map_err(read_problem)?;
        for record in &page.records {
            let envelope = read_envelope(record).map_err(|error| record_problem(error.into()))?;
            // What is not understood here may concern it.
            let concerns = Event::decode(&envelope.kind, &record.payload);
            if concerns.map_or(true, |event| (about.concerns)(&event)) {
                return Ok(Seen::Changed);
            }
        }
        if page.pending > 0 {
            return Ok(Seen::Changed);
        }
        // The replica that answered may not have what the decision was made on.
        let reached = page.records.last().map_or(seen, |last| last.position.seq);
        Ok(match decided_on {
            Some(seq) if reached < seq => Seen::Behind,
            Some(_) | None => Seen::Still,
        })
    }
}

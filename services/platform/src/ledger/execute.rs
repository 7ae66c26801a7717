//! Once for every command of every worker: decide → append → on a lost race decide again, and the promise
//! that one command id is done at most once.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use time::OffsetDateTime;
use veza_events::{AccountId, CommandId, Envelope, Event, KeyId, Subject, header};

use super::{About, Ledger, header_of, millis, read_envelope, read_problem, record_problem};
use crate::{
    ambient,
    contract::{Caller, Command, Problem, ProblemKind},
    event_log::{AppendError, Appended, Draft, Expect, Position, Record},
    keyring::{Aad, DataKey},
    telemetry,
};

/// How far a command's id may lie in the server's future. Together with [`FRESH`] it stays inside the
/// log's two-minute window of duplicates.
pub const MAX_AHEAD: Duration = Duration::from_secs(30);
/// Ids older than this are looked for in the log before they are done.
const FRESH: Duration = Duration::from_mins(1);
/// Ids older than this are refused.
pub const MAX_AGE: Duration = Duration::from_hours(24);
/// How often a lost race is decided anew before the caller hears of it.
pub(super) const MAX_RACES: u32 = 5;
/// How many records behind a command's time are searched for it.
const MAX_SEARCH: usize = 20_000;
/// The server's "this message id is in the batch already or was seen before".
const DUPLICATE_IN_BATCH: u64 = 10_201;
/// Most events of one batch.
const MAX_BATCH: usize = 1_000;
/// Events behind a repeated command that are read at once to find the rest of its batch.
const BATCH_RECORDS: usize = 8;

/// One event to be written.
#[derive(Clone, Debug)]
pub struct Write {
    /// The aggregate.
    pub subject: Subject,
    /// What the decision was based on. Only the first event of an aggregate in a decision expects
    /// something; the others follow it in the same batch.
    pub expect: Expect,
    /// What happened, in clear.
    pub event: Event,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where its events lie, in order; at a duplicate, those from the first of its primary aggregate on.
    pub positions: Vec<Position>,
    /// The command had been done before; nothing was written now.
    pub duplicate: bool,
}

impl Written {
    /// The last position; `None` when the command changed nothing.
    pub fn last(&self) -> Option<&Position> {
        self.positions.last()
    }
}

impl Ledger {
    /// Does a command at most once: `decide` says what to write, given the number of lost races so far
    /// (above 0 it must look at the log and not at caches).
    ///
    /// # Errors
    /// What `decide` refuses; `command.id_version`, `command.id_time`, `command.reused`,
    /// `command.conflict`; `request.precondition_failed` when the caller has seen an older state;
    /// `platform.unavailable` when the log or the keys are away: the outcome is then unknown and the same
    /// command can be given again.
    pub async fn execute<'a, C, F, D>(
        &self,
        caller: &Caller,
        command: &C,
        about: impl Into<About<'a>>,
        decide: F,
    ) -> Result<Written, Problem>
    where
        C: Command,
        F: Fn(u32) -> D,
        D: Future<Output = Result<Vec<Write>, Problem>>,
    {
        let about = about.into();
        let once = Once {
            caller,
            input: digest_input(command),
            places: [Some(about.primary), about.or],
            made: check_id(caller.command, ambient::now())?,
        };
        if ambient::now() - once.made > FRESH
            && let Some(written) = self.done_before(&once).await?
        {
            return Ok(written);
        }
        for race in 0..=MAX_RACES {
            if race > 0 {
                tokio::time::sleep(jitter(race)).await;
            }
            let writes = match self.decided(caller, about, race, decide(race)).await {
                Ok(Some(writes)) => writes,
                Ok(None) => continue,
                // A refusal may only mean that an earlier try of this very command went through.
                Err(problem) if is_refusal(problem.kind) => {
                    return self.done_before(&once).await?.ok_or(problem);
                }
                Err(problem) => return Err(problem),
            };
            if writes.is_empty() {
                return Ok(Written {
                    positions: Vec::new(),
                    duplicate: false,
                });
            }
            let drafts = self.drafts(caller, &once.input, writes).await?;
            match self.append(drafts).await {
                Ok(appended) if appended.iter().any(|one| one.duplicate) => {
                    return self.confirm_duplicate(&appended, &once).await;
                }
                Ok(appended) => {
                    let positions = appended.into_iter().map(|one| one.position).collect();
                    return Ok(Written {
                        positions,
                        duplicate: false,
                    });
                }
                // One replica reports a stale expectation before the duplicate that caused it.
                Err(
                    AppendError::Conflict
                    | AppendError::Refused {
                        code: DUPLICATE_IN_BATCH,
                        ..
                    },
                ) => {
                    if let Some(written) = self.done_before(&once).await? {
                        return Ok(written);
                    }
                }
                Err(error) => return Err(append_problem(error)),
            }
        }
        Err(Problem::new(
            ProblemKind::Conflict,
            "command.conflict",
            "others kept changing the same thing; look at it again and repeat the command",
        ))
    }

    async fn append(&self, mut drafts: Vec<Draft>) -> Result<Vec<Appended>, AppendError> {
        match drafts.len() {
            1 => Ok(vec![self.log.append(drafts.remove(0)).await?]),
            _ => self.log.append_atomic(drafts).await,
        }
    }

    /// The records that a decision of `caller` on `command` is written as: sealed, with envelope and message id.
    ///
    /// # Errors
    /// When the keys are away.
    pub async fn prepare<C: Command>(
        &self,
        caller: &Caller,
        command: &C,
        writes: Vec<Write>,
    ) -> Result<Vec<Draft>, Problem> {
        self.drafts(caller, &digest_input(command), writes).await
    }

    async fn drafts(&self, caller: &Caller, input: &[u8], writes: Vec<Write>) -> Result<Vec<Draft>, Problem> {
        let time = ambient::now().into();
        let actor = caller
            .account
            .map_or_else(|| "anonymous".to_owned(), |account| account.to_string());
        let mut drafts = Vec::with_capacity(writes.len());
        for (
            index,
            Write {
                subject,
                expect,
                mut event,
            },
        ) in writes.into_iter().enumerate()
        {
            let key = self.key_for(event.sealed_for().or(caller.account)).await?;
            let envelope = Envelope {
                id: ambient::new_uuid(),
                source: self.source.to_owned(),
                kind: event.kind().to_owned(),
                time,
                actor: caller.account,
                cause: Some(caller.command),
                key: key.as_ref().map(|(id, _)| *id),
                digest: key.as_ref().map(|(_, key)| key.digest(input)),
            };
            if let Some((id, key)) = &key {
                let data = Aad::event(&envelope.kind, envelope.id, *id);
                event.visit_sealed(&mut |field| field.seal(&mut |clear| key.seal(&data, clear)));
            }
            let payload = event.encode().map_err(|error| Problem::internal(&error))?;
            let mut headers = async_nats::HeaderMap::new();
            for (name, value) in envelope.headers() {
                headers.insert(name, value);
            }
            telemetry::inject(&mut headers);
            let command = caller.command;
            drafts.push(Draft {
                subject: subject.to_string(),
                expect,
                msg_id: if index == 0 {
                    format!("{actor}:{command}")
                } else {
                    format!("{actor}:{command}:{index}")
                },
                headers,
                payload: Bytes::from(payload),
            });
        }
        Ok(drafts)
    }

    async fn key_for(&self, account: Option<AccountId>) -> Result<Option<(KeyId, DataKey)>, Problem> {
        match account {
            Some(account) => self.keys.of_account(account).await,
            None => Ok(None),
        }
    }

    /// The server says it knows the message id: it is the same command only if its digest is too.
    async fn confirm_duplicate(&self, appended: &[Appended], once: &Once<'_>) -> Result<Written, Problem> {
        let position = appended[0].position.clone();
        let record = self.log.get(&position).await.map_err(read_problem)?;
        match record {
            Some(record) => self.same_command(record, once).await,
            None => Err(Problem::unavailable(
                "the log has not shown this command yet",
                200,
            )),
        }
    }

    /// Looks for an earlier try of the command in the tails of the aggregates that it may have written to.
    async fn done_before(&self, once: &Once<'_>) -> Result<Option<Written>, Problem> {
        let since = once.made - MAX_AHEAD;
        for place in once.places.into_iter().flatten() {
            let place = place.to_string();
            let tail = self.log.since(&place, since, MAX_SEARCH);
            let tail = tail.await.map_err(read_problem)?;
            if let Some(record) = tail.into_iter().find(|record| once.wrote(record)) {
                return self.same_command(record, once).await.map(Some);
            }
        }
        Ok(None)
    }

    async fn same_command(&self, record: Record, once: &Once<'_>) -> Result<Written, Problem> {
        let envelope = read_envelope(&record).map_err(|error| record_problem(error.into()))?;
        let key = match envelope.key {
            Some(key) => self.keys.get(key).await?,
            None => None,
        };
        match (key, envelope.digest) {
            (Some(key), Some(digest)) if key.digest(&once.input) != digest => Err(Problem::new(
                ProblemKind::Invalid,
                "command.reused",
                "this command id was used before with another content; use a fresh id",
            )),
            _ => Ok(Written {
                positions: self.all_from(record, once).await?,
                duplicate: true,
            }),
        }
    }

    /// Where a command's events lie: one behind the other, since they were stored as one batch. So a repeated
    /// command is answered with the same last position as the first time.
    async fn all_from(&self, first: Record, once: &Once<'_>) -> Result<Vec<Position>, Problem> {
        let mut last = first.position;
        let mut positions = vec![last.clone()];
        // A batch has at most as many.
        while positions.len() <= MAX_BATCH {
            let page = self.log.page(&last.stream, last.seq, BATCH_RECORDS, None, None);
            let page = page.await.map_err(read_problem)?;
            let own = page
                .records
                .iter()
                .take_while(|record| once.wrote(record))
                .count();
            positions.extend(page.records[..own].iter().map(|record| record.position.clone()));
            if own == 0 || own < page.records.len() || page.pending == 0 {
                break;
            }
            last.clone_from(&page.records[own - 1].position);
        }
        Ok(positions)
    }
}

/// What makes a command one that is done once.
struct Once<'a> {
    caller: &'a Caller,
    /// What its digest is made of.
    input: Vec<u8>,
    /// Where an earlier try would be found.
    places: [Option<&'a Subject>; 2],
    made: OffsetDateTime,
}

impl Once<'_> {
    /// Whether a record was written by this command.
    fn wrote(&self, record: &Record) -> bool {
        let actor = self.caller.account.map(|account| account.to_string());
        header_of(record, header::CAUSE) == Some(&self.caller.command.to_string())
            && header_of(record, header::ACTOR) == actor.as_deref()
    }
}

/// A command's id must tell its time, so that the log knows where to look for it.
fn check_id(command: CommandId, now: OffsetDateTime) -> Result<OffsetDateTime, Problem> {
    let refuse = |code: &str, detail: String| Problem::field(code, "command_id", detail);
    let made = command
        .unix_ms()
        .and_then(|ms| OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok())
        .ok_or_else(|| {
            refuse(
                "command.id_version",
                "a command id is a UUIDv7 (RFC 9562)".to_owned(),
            )
        })?;
    if made > now + MAX_AHEAD || made < now - MAX_AGE {
        let now = veza_events::Timestamp::from(now);
        return Err(refuse(
            "command.id_time",
            format!(
                "the time in a command id is at most 30 s ahead of and 24 h behind the server's, which is {now}"
            ),
        ));
    }
    Ok(made)
}

/// What a command's digest is made of: its name, then its fields.
fn digest_input<C: Command>(command: &C) -> Vec<u8> {
    let mut input = C::NAME.as_bytes().to_vec();
    input.push(0);
    serde_json::to_writer(&mut input, command).expect("commands are plain data");
    input
}

/// Random back-off before the next try, up to 5, 10, 20 … milliseconds.
fn jitter(race: u32) -> Duration {
    let ceiling = 5_000_u64 << race;
    Duration::from_micros(u64::from_le_bytes(ambient::random()) % ceiling)
}

fn is_refusal(kind: ProblemKind) -> bool {
    !matches!(
        kind,
        ProblemKind::Unavailable | ProblemKind::Internal | ProblemKind::Unauthenticated
    )
}

fn append_problem(error: AppendError) -> Problem {
    match error {
        AppendError::Unavailable { retry_after } => Problem::unavailable(
            "the event log is away; repeat with the same command id",
            millis(retry_after),
        ),
        AppendError::TooLarge { .. } => {
            Problem::new(ProblemKind::TooLarge, "command.too_large", error.to_string())
        }
        error => Problem::internal(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_at(time: OffsetDateTime) -> CommandId {
        let ms = u64::try_from(time.unix_timestamp_nanos() / 1_000_000).unwrap();
        let mut bytes = [0x70; 16];
        bytes[..6].copy_from_slice(&ms.to_be_bytes()[2..]);
        bytes[8] = 0x80;
        CommandId::new(uuid::Uuid::from_bytes(bytes))
    }

    #[test]
    fn a_command_id_must_be_recent_and_tell_its_time() {
        let now = OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap();
        assert_eq!(check_id(id_at(now), now).unwrap(), now);
        for (id, code) in [
            (CommandId::new(uuid::Uuid::from_u128(4)), "command.id_version"),
            (id_at(now + MAX_AHEAD + Duration::from_secs(1)), "command.id_time"),
            (id_at(now - MAX_AGE - Duration::from_secs(1)), "command.id_time"),
        ] {
            assert_eq!(check_id(id, now).unwrap_err().code, code);
        }
    }

    #[test]
    fn a_repeat_inside_the_fresh_time_is_still_inside_the_servers_window() {
        assert!(FRESH + MAX_AHEAD + Duration::from_secs(20) < Duration::from_mins(2));
    }
}

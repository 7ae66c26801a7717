//! Appending: one event, or several of one stream all or none (NATS ADR-50).

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{
    HeaderValue, NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL, NATS_BATCH_ID, NATS_BATCH_SEQUENCE,
};
use bytes::Bytes;
use futures::future::try_join_all;

use super::link::{Link, LinkError};
use super::read::Reader;
use super::types::{AppendError, Appended, Position, ReadError, StreamName};
use super::wire::{self, BATCH_INCOMPLETE, BATCH_REPEATS_ID, Prepared, refused};
use crate::ambient;

/// What a server takes in one atomic batch.
const BATCH_LIMIT: usize = 1_000;
/// The stream forgets message ids after two minutes; servers' clocks may differ a little.
const ID_WINDOW: Duration = Duration::from_secs(150);
/// A replica that is asked for a repeated id may be a moment behind the leader that knew it.
const LOOK_UPS: u32 = 5;

/// Sends appends. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Appender {
    pub(super) link: Link,
    pub(super) timeout: Duration,
}

impl Appender {
    /// Stores one event.
    pub(super) async fn one(&self, draft: &Prepared) -> Result<Appended, AppendError> {
        let (subject, headers, payload) = draft.message();
        self.message(&draft.stream, subject, headers, payload).await
    }

    /// Stores one message, headers and all.
    pub(super) async fn message(
        &self,
        stream: &StreamName,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<Appended, AppendError> {
        let answer = self
            .link
            .request(subject, Some(headers), payload, self.timeout)
            .await?;
        wire::acknowledgement(stream, &answer)
    }

    /// Stores all or none. Expectations are sent as they are.
    pub(super) async fn batch(&self, drafts: &[&Prepared]) -> Result<Vec<Appended>, AppendError> {
        let Some((last, others)) = drafts.split_last() else {
            return Ok(Vec::new());
        };
        let id = ambient::new_uuid().simple().to_string();
        let mut connection = self.link.connection()?;
        for (index, draft) in others.iter().enumerate() {
            let (subject, headers, payload) = member(draft, &id, index + 1, false);
            self.link.publish(subject, headers, payload).await?;
        }
        let (subject, headers, payload) = member(last, &id, drafts.len(), true);
        let answer = tokio::select! {
            biased;
            answer = self.link.request(subject, Some(headers), payload, self.timeout) => answer?,
            // The commit may have gone over a new connection; the server then refuses the incomplete batch.
            () = connection.lost() => return Err(LinkError::Lost.into()),
        };
        let committed = wire::acknowledgement(&last.stream, &answer)?;
        let Position { stream, seq } = committed.position;
        let first = seq + 1 - drafts.len() as u64;
        let positions = (first..=seq).map(|seq| Position {
            stream: stream.clone(),
            seq,
        });
        Ok(positions
            .map(|position| Appended {
                position,
                duplicate: false,
            })
            .collect())
    }

    /// Stores all or none; a batch that is stored already is recognised by its ids.
    pub(super) async fn atomic(
        &self,
        drafts: Vec<Prepared>,
        reader: &Reader,
    ) -> Result<Vec<Appended>, AppendError> {
        if let [only] = &*drafts {
            return self.one(only).await.map(|appended| vec![appended]);
        }
        let drafts = state_before_batch(drafts)?;
        match self.batch(&drafts.iter().collect::<Vec<_>>()).await {
            Err(AppendError::Refused {
                code: BATCH_REPEATS_ID,
                description,
            }) => {
                let found = try_join_all(drafts.iter().map(|draft| stored(reader, draft))).await?;
                let found: Option<Vec<_>> = found.into_iter().collect();
                found.ok_or(AppendError::Refused {
                    code: BATCH_REPEATS_ID,
                    description,
                })
            }
            // A reconnect swallowed members. Nothing is stored, so trying again is safe.
            Err(AppendError::Refused {
                code: BATCH_INCOMPLETE,
                ..
            }) => Err(LinkError::Lost.into()),
            outcome => outcome,
        }
    }
}

fn member(draft: &Prepared, batch: &str, number: usize, commit: bool) -> (String, HeaderMap, Bytes) {
    let (subject, mut headers, payload) = draft.message();
    headers.insert(NATS_BATCH_ID, batch);
    headers.insert(NATS_BATCH_SEQUENCE, HeaderValue::from(number));
    if commit {
        headers.insert(NATS_BATCH_COMMIT, NATS_BATCH_COMMIT_FINAL);
    }
    (subject, headers, payload)
}

/// Where the event with this draft's id lies, if it was stored within the window.
async fn stored(reader: &Reader, draft: &Prepared) -> Result<Option<Appended>, AppendError> {
    if draft.msg_id.is_empty() {
        return Ok(None);
    }
    for attempt in 0..LOOK_UPS {
        let found = reader
            .find_recent(&draft.stream, &draft.subject, &draft.msg_id, ID_WINDOW)
            .await;
        match found {
            Ok(Some(seq)) => {
                let position = Position {
                    stream: draft.stream.clone(),
                    seq,
                };
                return Ok(Some(Appended {
                    position,
                    duplicate: true,
                }));
            }
            Ok(None) => tokio::time::sleep(Duration::from_millis(5 << attempt)).await,
            Err(ReadError::Unavailable { retry_after }) => {
                return Err(AppendError::Unavailable { retry_after });
            }
            Err(error) => return Err(refused(&error.to_string())),
        }
    }
    Ok(None)
}

/// Lets every expectation speak of the state before the batch. The server refuses one on a subject that the
/// batch has written further up (10164), so it moves to the first member that writes the subject.
fn state_before_batch(mut drafts: Vec<Prepared>) -> Result<Vec<Prepared>, AppendError> {
    let mut wanted: HashMap<String, u64> = HashMap::new();
    for (subject, seq) in drafts.iter().filter_map(|draft| draft.expect.as_ref()) {
        if *wanted.entry(subject.clone()).or_insert(*seq) != *seq {
            // Two states of one subject: one of them cannot be the present one.
            return Err(AppendError::Conflict);
        }
    }
    let mut written: HashSet<String> = HashSet::new();
    let mut checked: HashSet<String> = HashSet::new();
    for draft in &mut drafts {
        if draft
            .expect
            .as_ref()
            .is_some_and(|(subject, _)| written.contains(subject))
        {
            draft.expect = None;
        }
        if let Some((subject, _)) = &draft.expect {
            checked.insert(subject.clone());
        }
        let unchecked = wanted
            .get(&draft.subject)
            .filter(|_| !checked.contains(&draft.subject));
        if let Some(seq) = unchecked.filter(|_| !written.contains(&draft.subject)) {
            if draft.expect.is_some() {
                return Err(refused(
                    "a member of a batch can carry one expectation, and this one would need two",
                ));
            }
            draft.expect = Some((draft.subject.clone(), *seq));
            checked.insert(draft.subject.clone());
        }
        written.insert(draft.subject.clone());
    }
    Ok(drafts)
}

/// Checks what the server would refuse only at the end.
pub(super) fn check_batch(drafts: &[Prepared]) -> Result<(), AppendError> {
    let Some(first) = drafts.first() else {
        return Err(refused("an empty batch"));
    };
    if drafts.len() > BATCH_LIMIT {
        return Err(refused("a batch has at most 1,000 members"));
    }
    if drafts.iter().any(|draft| draft.stream != first.stream) {
        return Err(refused("the members of a batch must lie in one stream"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(subject: &str, expect: Option<(&str, u64)>) -> Prepared {
        Prepared {
            stream: StreamName::spaces(0),
            subject: subject.to_owned(),
            expect: expect.map(|(subject, seq)| (subject.to_owned(), seq)),
            msg_id: String::new(),
            headers: HeaderMap::new(),
            payload: Bytes::new(),
        }
    }

    fn expectations(drafts: Vec<Prepared>) -> Result<Vec<Option<(String, u64)>>, AppendError> {
        Ok(state_before_batch(drafts)?
            .into_iter()
            .map(|draft| draft.expect)
            .collect())
    }

    fn checked(subject: &str, seq: u64) -> (String, u64) {
        (subject.to_owned(), seq)
    }

    #[test]
    fn several_events_of_one_aggregate_are_checked_once() {
        let drafts = vec![
            draft("a", Some(("a", 4))),
            draft("a", Some(("a", 4))),
            draft("a", None),
        ];
        assert_eq!(expectations(drafts), Ok(vec![Some(checked("a", 4)), None, None]));
    }

    #[test]
    fn a_fence_behind_the_write_of_its_subject_moves_to_the_write() {
        let drafts = vec![draft("member", None), draft("room", Some(("member", 3)))];
        assert_eq!(expectations(drafts), Ok(vec![Some(checked("member", 3)), None]));
    }

    #[test]
    fn a_fence_before_the_write_of_its_subject_stays() {
        let drafts = vec![
            draft("room", Some(("member", 3))),
            draft("member", Some(("member", 3))),
        ];
        assert_eq!(
            expectations(drafts),
            Ok(vec![Some(checked("member", 3)), Some(checked("member", 3))])
        );
    }

    #[test]
    fn one_fence_may_guard_many() {
        let drafts = vec![
            draft("room", Some(("member", 3))),
            draft("call", Some(("member", 3))),
        ];
        assert_eq!(
            expectations(drafts),
            Ok(vec![Some(checked("member", 3)), Some(checked("member", 3))])
        );
    }

    #[test]
    fn two_states_of_one_subject_are_a_conflict() {
        let drafts = vec![draft("a", Some(("a", 4))), draft("a", Some(("a", 5)))];
        assert_eq!(expectations(drafts), Err(AppendError::Conflict));
    }
}

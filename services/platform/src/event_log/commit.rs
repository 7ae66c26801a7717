//! Group commit. With one replica and a flush per append the server stores about 2,000 single appends a
//! second however they are sent; an atomic batch costs as much as a dozen of them and holds hundreds.
//! With three replicas single appends are faster than batches, and nothing here is used.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};

use super::append::Appender;
use super::metrics::LogMetrics;
use super::types::{AppendError, Appended};
use super::wire::{BATCH_INCOMPLETE, BATCH_REPEATS_ID, Prepared};
use crate::lifecycle::Lifecycle;

/// As many appends are sent at once, each on its own, before others wait for them to be gathered.
const SINGLES: usize = 8;
/// Fewer waiting appends than this are sent one by one: a batch costs 4 ms where a single one costs 0.35 ms.
const WORTH_A_BATCH: usize = 12;
/// Those whom a batch has answered are about to come back: few waiting then does not mean that few will.
const LINGER: Duration = Duration::from_millis(1);
/// Members of one batch: beyond this the first of them wait longer and throughput no longer grows.
const BATCH_EVENTS: usize = 400;
/// Payload bytes of one batch.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Refused batches of this size are not halved again but taken apart.
const TAKE_APART: usize = 16;
/// Waiting appends of one stream; more are turned away.
const QUEUE: usize = 4_096;
/// The advice to those who are turned away.
const RETRY_WHEN_FULL: Duration = Duration::from_millis(500);

type Outcome = Result<Appended, AppendError>;

/// The way into one stream. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    appender: Appender,
    queue: mpsc::Sender<Waiting>,
    /// Appends under way, waiting ones included.
    pending: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Waiting {
    draft: Box<Prepared>,
    answer: oneshot::Sender<Outcome>,
}

/// Counts an append as pending until it is dropped.
struct Pending<'a>(&'a AtomicUsize);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lane {
    pub(super) fn open(appender: Appender, metrics: LogMetrics, lifecycle: &Lifecycle) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let committer = Committer {
            appender: appender.clone(),
            metrics,
            waiting,
            put_back: VecDeque::new(),
        };
        lifecycle.accompany("log group commit", committer.run());
        Self {
            appender,
            queue,
            pending: Arc::default(),
        }
    }

    pub(super) async fn append(&self, draft: Prepared) -> Outcome {
        let others = self.pending.fetch_add(1, Ordering::Relaxed);
        let _pending = Pending(&self.pending);
        if others < SINGLES {
            return self.appender.one(&draft).await;
        }
        let (answer, outcome) = oneshot::channel();
        let turned_away = |_| AppendError::Unavailable {
            retry_after: RETRY_WHEN_FULL,
        };
        self.queue
            .try_send(Waiting {
                draft: Box::new(draft),
                answer,
            })
            .map_err(turned_away)?;
        outcome.await.unwrap_or(Err(AppendError::Unavailable {
            retry_after: RETRY_WHEN_FULL,
        }))
    }
}

/// Gathers what waits for one stream and stores it together.
struct Committer {
    appender: Appender,
    metrics: LogMetrics,
    waiting: mpsc::Receiver<Waiting>,
    /// Taken from the queue but not fit for the batch that was under way.
    put_back: VecDeque<Waiting>,
}

impl Committer {
    async fn run(mut self) {
        loop {
            if self.put_back.is_empty() {
                let Some(first) = self.waiting.recv().await else {
                    return;
                };
                self.put_back.push_back(first);
            }
            let group = self.gather();
            if group.len() < WORTH_A_BATCH {
                self.one_by_one(group).await;
            } else {
                self.together(group).await;
                if self.waiting.len() < WORTH_A_BATCH {
                    tokio::time::sleep(LINGER).await;
                }
            }
        }
    }

    /// Takes what fits into one batch, in order. What expects a subject that the batch writes, or repeats an
    /// id, would have the whole batch refused: it waits for the next one.
    fn gather(&mut self) -> Vec<Waiting> {
        let mut group = Group::default();
        let mut unfit = VecDeque::new();
        while group.has_room() && unfit.len() < BATCH_EVENTS {
            let next = self.put_back.pop_front().or_else(|| self.waiting.try_recv().ok());
            let Some(next) = next else { break };
            if next.answer.is_closed() {
                continue;
            }
            if let Err(next) = group.admit(next) {
                unfit.push_back(next);
            }
        }
        unfit.append(&mut self.put_back);
        self.put_back = unfit;
        group.members
    }

    async fn one_by_one(&self, group: Vec<Waiting>) {
        let appends = group.into_iter().map(|Waiting { draft, answer }| async move {
            let _ = answer.send(self.appender.one(&draft).await);
        });
        join_all(appends).await;
    }

    /// Stores the group as one batch. One member that must be refused has all refused, so the batch is
    /// halved until those are alone.
    async fn together(&mut self, group: Vec<Waiting>) {
        let mut groups = VecDeque::from([group]);
        while let Some(mut group) = groups.pop_front() {
            if group.len() < TAKE_APART {
                self.one_by_one(group).await;
                continue;
            }
            let drafts: Vec<_> = group.iter().map(|waiting| &*waiting.draft).collect();
            match self.appender.batch(&drafts).await {
                Ok(appended) => {
                    self.metrics
                        .batch_events
                        .observe(u32::try_from(appended.len()).map_or(f64::MAX, f64::from));
                    self.refuse_overtaken(&group, &appended);
                    for (waiting, appended) in group.into_iter().zip(appended) {
                        let _ = waiting.answer.send(Ok(appended));
                    }
                }
                Err(
                    AppendError::Conflict
                    | AppendError::Refused {
                        code: BATCH_REPEATS_ID | BATCH_INCOMPLETE,
                        ..
                    },
                ) => {
                    let second = group.split_off(group.len() / 2);
                    groups.push_front(second);
                    groups.push_front(group);
                }
                Err(error @ AppendError::Unavailable { .. }) => {
                    for waiting in group.into_iter().chain(groups.drain(..).flatten()) {
                        let _ = waiting.answer.send(Err(error.clone()));
                    }
                }
                Err(AppendError::TooLarge { .. } | AppendError::Refused { .. }) => {
                    self.one_by_one(group).await;
                }
            }
        }
    }

    /// Answers those put back whose expectation the batch has just made untrue.
    fn refuse_overtaken(&mut self, group: &[Waiting], appended: &[Appended]) {
        let heads = group
            .iter()
            .zip(appended)
            .map(|(waiting, appended)| (&*waiting.draft.subject, appended.position.seq));
        let heads: HashMap<&str, u64> = heads.collect();
        let overtaken = |waiting: &Waiting| {
            let expect = waiting.draft.expect.as_ref();
            expect.is_some_and(|(subject, seq)| heads.get(subject.as_str()).is_some_and(|head| head > seq))
        };
        let (refused, kept) = self.put_back.drain(..).partition::<Vec<_>, _>(overtaken);
        self.put_back = kept.into();
        for waiting in refused {
            let _ = waiting.answer.send(Err(AppendError::Conflict));
        }
    }
}

/// Members of a batch in the making.
#[derive(Default)]
struct Group {
    members: Vec<Waiting>,
    written: HashSet<String>,
    ids: HashSet<String>,
    bytes: usize,
}

impl Group {
    fn has_room(&self) -> bool {
        self.members.len() < BATCH_EVENTS && self.bytes < BATCH_BYTES
    }

    fn admit(&mut self, waiting: Waiting) -> Result<(), Waiting> {
        let Prepared {
            subject,
            expect,
            msg_id,
            payload,
            ..
        } = &*waiting.draft;
        let overtaken = expect
            .as_ref()
            .is_some_and(|(subject, _)| self.written.contains(subject));
        if overtaken || self.ids.contains(msg_id) {
            return Err(waiting);
        }
        self.bytes += payload.len();
        self.written.insert(subject.clone());
        if !msg_id.is_empty() {
            self.ids.insert(msg_id.clone());
        }
        self.members.push(waiting);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::types::StreamName;

    fn waiting(subject: &str, expect: Option<(&str, u64)>, msg_id: &str) -> Waiting {
        let draft = Prepared {
            stream: StreamName::spaces(0),
            subject: subject.to_owned(),
            expect: expect.map(|(subject, seq)| (subject.to_owned(), seq)),
            msg_id: msg_id.to_owned(),
            headers: async_nats::HeaderMap::new(),
            payload: bytes::Bytes::from_static(b"{}"),
        };
        Waiting {
            draft: Box::new(draft),
            answer: oneshot::channel().0,
        }
    }

    #[test]
    fn many_events_of_one_subject_and_one_fence_share_a_batch() {
        let mut group = Group::default();
        for id in ["1", "2", "3", ""] {
            assert!(group.admit(waiting("room", Some(("member", 3)), id)).is_ok());
        }
    }

    #[test]
    fn what_expects_a_subject_that_the_batch_writes_waits() {
        let mut group = Group::default();
        assert!(group.admit(waiting("member", Some(("member", 3)), "1")).is_ok());
        assert!(group.admit(waiting("member", Some(("member", 3)), "2")).is_err());
        assert!(group.admit(waiting("room", Some(("member", 3)), "3")).is_err());
        assert!(group.admit(waiting("room", Some(("other", 3)), "4")).is_ok());
    }

    #[test]
    fn what_repeats_an_id_of_the_batch_waits() {
        let mut group = Group::default();
        assert!(group.admit(waiting("a", None, "1")).is_ok());
        assert!(group.admit(waiting("b", None, "1")).is_err());
    }

    #[test]
    fn a_batch_is_bounded_in_members() {
        let mut group = Group::default();
        let mut admitted = 0;
        while group.has_room() {
            admitted += usize::from(group.admit(waiting("a", None, "")).is_ok());
        }
        assert_eq!(admitted, BATCH_EVENTS);
    }
}

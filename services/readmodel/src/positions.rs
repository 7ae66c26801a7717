//! How far the tables are known to be, and waiting for them to get further.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::ReadError;

/// First and longest pause between two looks at the tables, while nobody tells of their progress.
const PAUSES: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(50));
/// Most streams remembered; an installation has at most 257.
const MAX_STREAMS: usize = 1_024;

/// Positions seen so far; they only grow.
#[derive(Debug, Default)]
pub(crate) struct Positions(Mutex<BTreeMap<String, Arc<Known>>>);

#[derive(Debug)]
struct Known {
    seq: watch::Sender<u64>,
    /// Held by the one waiter that asks for all.
    asking: tokio::sync::Mutex<()>,
}

impl Positions {
    pub(crate) fn note(&self, stream: &str, seq: u64) {
        if let Some(known) = self.of(stream) {
            known.seq.send_if_modified(|last| {
                let newer = seq > *last;
                *last = seq.max(*last);
                newer
            });
        }
    }

    /// Waits for `seq`. Of all that wait for a stream one asks `position`, which notes what it learns.
    pub(crate) async fn wait_for<F: Future<Output = Result<u64, ReadError>>>(
        &self,
        stream: &str,
        seq: u64,
        within: Duration,
        // No `AsyncFn`: whether its future is `Send` cannot be told yet.
        position: impl Fn() -> F,
    ) -> Result<(), ReadError> {
        let deadline = Instant::now() + within;
        let Some(known) = self.of(stream) else {
            return Err(ReadError::Behind { at: 0, wanted: seq });
        };
        let mut heard = known.seq.subscribe();
        let looking = async {
            let _turn = known.asking.lock().await;
            let mut pause = PAUSES.0;
            while *known.seq.borrow() < seq {
                position().await?;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
            Ok(())
        };
        let hearing = async { heard.wait_for(|last| *last >= seq).await.map(drop) };
        let outcome = tokio::time::timeout_at(deadline, async {
            tokio::select! {
                biased;
                Ok(()) = hearing => Ok(()),
                outcome = looking => outcome,
            }
        });
        outcome.await.unwrap_or_else(|_| {
            Err(ReadError::Behind {
                at: *known.seq.borrow(),
                wanted: seq,
            })
        })
    }

    fn of(&self, stream: &str) -> Option<Arc<Known>> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = streams.get(stream) {
            return Some(Arc::clone(known));
        }
        if streams.len() >= MAX_STREAMS {
            return None;
        }
        let known = Arc::new(Known {
            seq: watch::Sender::new(0),
            asking: tokio::sync::Mutex::new(()),
        });
        streams.insert(stream.to_owned(), Arc::clone(&known));
        Some(known)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn what_is_known_is_answered_without_asking() {
        let positions = Positions::default();
        positions.note("S", 7);
        positions.note("S", 3);
        positions
            .wait_for("S", 7, SECOND, async || unreachable!())
            .await
            .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_asks_until_the_tables_are_there() {
        let positions = Positions::default();
        let at = AtomicU64::new(0);
        let ask = async || {
            let seq = at.fetch_add(1, Ordering::Relaxed);
            positions.note("S", seq);
            Ok(seq)
        };
        positions.wait_for("S", 5, SECOND, ask).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_notice_wakes_a_waiter_and_a_deadline_ends_the_wait() {
        let positions = Positions::default();
        let stuck = async || Ok(4);
        let (waited, ()) = tokio::join!(positions.wait_for("S", 5, SECOND, stuck), async {
            tokio::time::sleep(SECOND / 2).await;
            positions.note("S", 5);
        });
        waited.unwrap();
        let late = positions.wait_for("S", 9, SECOND, stuck).await;
        assert_eq!(late, Err(ReadError::Behind { at: 5, wanted: 9 }));
    }
}

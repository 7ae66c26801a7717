//! Leaves a server alone for a moment after it failed, so that its absence costs callers nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets calls pass until one fails; then one call per pause, until one succeeds.
#[derive(Debug)]
pub(crate) struct Breaker {
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the next call may try; `None` while all is well.
    next_try: Option<Instant>,
    last_success: Option<Instant>,
}

impl Breaker {
    pub(crate) fn new(pause: Duration) -> Self {
        Self {
            pause,
            state: Mutex::default(),
        }
    }

    /// Whether a call may be made. While the server is away, only one caller per pause hears yes.
    pub(crate) fn permits(&self) -> bool {
        let mut state = self.lock();
        match state.next_try {
            Some(next_try) if Instant::now() < next_try => false,
            Some(_) => {
                state.next_try = Some(Instant::now() + self.pause);
                true
            }
            None => true,
        }
    }

    pub(crate) fn succeeded(&self) {
        let mut state = self.lock();
        state.next_try = None;
        state.last_success = Some(Instant::now());
    }

    pub(crate) fn failed(&self) {
        self.lock().next_try = Some(Instant::now() + self.pause);
    }

    /// A wait for a turn ran out. That is the server's absence only if nobody else had an answer meanwhile.
    pub(crate) fn starved(&self, waited: Duration) {
        let mut state = self.lock();
        if state.last_success.is_none_or(|at| at.elapsed() > waited) {
            state.next_try = Some(Instant::now() + self.pause);
        }
    }

    /// When it is worth asking again.
    pub(crate) fn retry_after(&self) -> Duration {
        let left = self
            .lock()
            .next_try
            .map(|at| at.saturating_duration_since(Instant::now()));
        left.unwrap_or(self.pause).max(Duration::from_millis(100))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_call_per_pause_may_try() {
        let breaker = Breaker::new(PAUSE);
        assert!(breaker.permits() && breaker.permits());
        breaker.failed();
        assert!(!breaker.permits());
        tokio::time::advance(PAUSE).await;
        assert!(breaker.permits());
        assert!(
            !breaker.permits(),
            "one of them tries, the others do not wait for it"
        );
        breaker.succeeded();
        assert!(breaker.permits() && breaker.permits());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crowd_is_not_taken_for_an_absence() {
        let breaker = Breaker::new(PAUSE);
        breaker.succeeded();
        tokio::time::advance(PAUSE).await;
        breaker.starved(2 * PAUSE);
        assert!(breaker.permits());
        breaker.starved(PAUSE / 2);
        assert!(!breaker.permits());
    }
}

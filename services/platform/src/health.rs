//! Whether this process can do its work, and the small listener that tells the outside.
//!
//! A check belongs to whoever owns the connection it looks at; here they are only run and shown.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod ops;

pub use ops::serve;

/// How long one answer of a check is used again.
const CACHE: Duration = Duration::from_secs(1);
/// Longest run of one check; a check that hangs is a check that fails.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between two looks while waiting to become ready.
const READY_POLL: Duration = Duration::from_millis(20);

type CheckFuture = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
type CheckFn = dyn Fn() -> CheckFuture + Send + Sync;

/// The readiness of a process: named checks, all of which must pass. Cheap to clone.
#[derive(Clone)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<String, Arc<Check>>>>,
    stopping: CancellationToken,
}

struct Check {
    run: Box<CheckFn>,
    last: tokio::sync::Mutex<Option<(Instant, Result<(), String>)>>,
}

/// What the checks say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// Whether work may be sent here.
    pub ready: bool,
    /// Whether a stop has been asked for.
    pub stopping: bool,
    /// Each check: nothing, or why it fails.
    pub checks: BTreeMap<String, Option<String>>,
}

/// A check that fails until it is opened. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// Lets the check pass from now on.
    pub fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Lets the check fail again.
    pub fn close(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health")
            .field("checks", &self.names())
            .finish_non_exhaustive()
    }
}

impl Health {
    /// No checks yet. Not ready from when `stopping` is cancelled.
    pub fn new(stopping: CancellationToken) -> Self {
        Self {
            checks: Arc::default(),
            stopping,
        }
    }

    /// Adds a check, or replaces the one of that name: begin it with the role, as several run in one process.
    /// It should look at what is known (a connection's
    /// state) or ask something cheap; its answer is used for a second.
    pub fn add<F, Fut>(&self, name: impl Into<String>, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), String>> + Send + 'static,
    {
        let run: Box<CheckFn> = Box::new(move || Box::pin(check()));
        let check = Arc::new(Check {
            run,
            last: tokio::sync::Mutex::new(None),
        });
        self.lock().insert(name.into(), check);
    }

    /// Adds a check that fails with "not serving" until the gate is opened.
    pub fn gate(&self, name: impl Into<String>) -> Gate {
        let gate = Gate::default();
        let seen = gate.clone();
        self.add(name, move || {
            let open = seen.0.load(Ordering::Acquire);
            async move {
                if open {
                    Ok(())
                } else {
                    Err("not serving".to_owned())
                }
            }
        });
        gate
    }

    /// Removes a check, when what it looked at is gone on purpose.
    pub fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Runs the checks side by side.
    pub async fn report(&self) -> HealthReport {
        let checks: Vec<_> = self
            .lock()
            .iter()
            .map(|(name, check)| (name.clone(), Arc::clone(check)))
            .collect();
        let runs = checks
            .into_iter()
            .map(async |(name, check)| (name, check.answer().await.err()));
        let checks: BTreeMap<_, _> = futures::future::join_all(runs).await.into_iter().collect();
        let stopping = self.stopping.is_cancelled();
        HealthReport {
            ready: !stopping && checks.values().all(Option::is_none),
            stopping,
            checks,
        }
    }

    /// Waits until all checks pass.
    ///
    /// # Errors
    /// With the last report when that is not so `within` the given time, or a stop was asked for.
    pub async fn ready(&self, within: Duration) -> Result<(), HealthReport> {
        let deadline = Instant::now() + within;
        loop {
            let report = self.report().await;
            if report.ready {
                return Ok(());
            }
            if report.stopping || Instant::now() >= deadline {
                return Err(report);
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Check>>> {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Check {
    /// The last answer if it is fresh, otherwise a new one. Callers that come meanwhile wait for the same run.
    ///
    /// A failure is asked again at once: nobody should wait a second longer than needed to be ready.
    async fn answer(&self) -> Result<(), String> {
        let mut last = self.last.lock().await;
        if let Some((at, Ok(()))) = &*last
            && at.elapsed() < CACHE
        {
            return Ok(());
        }
        let answer = tokio::time::timeout(CHECK_TIMEOUT, (self.run)()).await;
        let answer =
            answer.unwrap_or_else(|_| Err(format!("no answer within {} ms", CHECK_TIMEOUT.as_millis())));
        *last = Some((Instant::now(), answer.clone()));
        answer
    }
}

impl std::fmt::Display for HealthReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.ready {
            return f.write_str("ready");
        }
        let failing = self
            .checks
            .iter()
            .filter_map(|(name, why)| Some(format!("{name}: {}", why.as_ref()?)));
        let mut reasons: Vec<_> = failing.collect();
        if self.stopping {
            reasons.push("stopping".into());
        }
        write!(f, "not ready ({})", reasons.join("; "))
    }
}
